"""An operator of your own, a camera of wide pixels that overlap, with a learned reconstruction.

    python examples/own_operator_learned.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, conformance, data, learning, metrics, networks, plotting
from odl_learned.reconstruction import LearnedProximalGradient, MemoryStep

SIZES = {"smoke": {"n": 24, "steps": 200}, "paper": {"n": 64, "steps": 600}}


class Camera(odl.Operator):
    """Means over 4 x 4 pixels around every second one, ``M u M^T``, or its adjoint."""
    def __init__(self, X, Y, is_adjoint=False):
        super().__init__(*((Y, X) if is_adjoint else (X, Y)), linear=True)
        M = 0.25 * (abs(2 * np.arange(Y.shape[0])[:, None] + 0.5 - np.arange(X.shape[0])) < 2)
        self.M = 2 * M.T if is_adjoint else M  # cells of the data are four times as large
        self.arguments = X, Y, not is_adjoint

    def _call(self, x):
        return self.range.element(self.M @ x.data @ self.M.T)

    @property
    def adjoint(self):
        return Camera(*self.arguments)


def main(n, steps, out):
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    A = Camera(*(odl.uniform_discr([-1, -1], [1, 1], (m, m)) for m in (n, n // 2)))
    [check(A, rng) for check in conformance.checks_for(A)]  # <A u, y> = <u, A* y>, also in torch
    forward, adjoint = map(bridge.as_module, (A, A.adjoint))
    nets = [networks.CNN(4, 3, 16, 3, generator=generator).double() for _ in range(3)]
    model = LearnedProximalGradient(
        forward, adjoint, [MemoryStep(net, 2, 0.25, dimension=2) for net in nets], adjoint)
    truths = [data.random_ellipses(A.domain, rng) for _ in range(33)]
    measured = [data.add_white_noise(A(u), 0.01, rng) for u in truths]
    learning.train(model, data.FixedPairs(measured[1:], truths[1:]), steps=steps, progress=False,
                   optimizer=torch.optim.Adam(model.parameters(), 3e-3))
    path, y = out / "own_operator.png", measured[0]
    found = {"adjoint": A.adjoint(y), "learned": bridge.as_operator(model, A.range, A.domain)(y)}
    plotting.comparison(found, truths[0], path)
    psnr = [metrics.psnr(x, truths[0]) for x in found.values()]
    print(f"PSNR {psnr[0]:.1f} -> {psnr[1]:.1f} dB -> {path}")
    assert psnr[1] >= psnr[0] + 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    (arguments := parser.parse_args()).out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
