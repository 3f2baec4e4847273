"""How many images `solvers.primal_dual` holds at once; run by `speed.py`, on Linux only."""

import sys
from pathlib import Path

import odl
import timing  # noqa: F401  (before torch)
import torch

from odl_learned import bridge, functionals, solvers, variational


def resident(name):
    """A number of ``/proc/self/status`` in bytes, such as ``VmRSS`` and its largest, ``VmHWM``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def main(n):
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float32")
    y = odl.phantom.shepp_logan(space, modified=True)
    problem = bridge.as_batch(variational.tv_problem(
        odl.IdentityOperator(space), functionals.l2_fidelity(y), 0.1))

    def run(x0):
        solvers.primal_dual(problem, x0=x0, accuracy=1e-12, maxiter=14)

    x0 = torch.ones(4, n, n)
    run(x0[:1])  # whatever is imported and built once
    Path("/proc/self/clear_refs").write_text("5")  # the largest so far is the present one
    before = resident("VmRSS")
    run(x0)
    print((resident("VmHWM") - before) / (4 * x0.numel()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
