"""A volume of 256 x 256 x 256 voxels from 60 views of a cone beam, by certified total variation.

    python examples/cone_beam_tv.py [smoke | paper] [--out results]

It goes on where it was interrupted, with the same bits: between rounds of twenty iterations with
fixed steps, the volume and its dual variable are all there is, and both are in a file.
"""

import argparse
import dataclasses
import os
import resource
import sys
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, metrics, operators, plotting, solvers, variational
from odl_learned.variational import parameter_choice

SIZES = {"smoke": {"n": 24, "views": 24}, "paper": {"n": 256, "views": 60}}
NOISE_LEVEL, ACCURACY, ROUND = 0.02, 0.02, 20


def reconstruct(problem, path, maxiter):
    """Rounds of iterations, each written to a file; those of an earlier run count."""
    x, dual, done = None, None, 0
    if path.exists():
        with np.load(path) as state:
            x, done = problem.L.domain.element(state["x"]), int(state["done"])
            dual = problem.L.range.element([state["rays"], list(state["field"])])
    while True:
        solution = solvers.primal_dual(problem, x, ACCURACY, min(ROUND, maxiter - done),
                                       solvers.FixedSteps(3.0), dual)
        x, dual, done = solution.x, solution.dual, done + solution.niter
        with open(path.with_suffix(".part"), "wb") as file:
            np.savez(file, x=x.data, rays=dual[0].data, field=[z.data for z in dual[1]], done=done)
        os.replace(path.with_suffix(".part"), path)
        gap = solution.gap / problem.value(x)
        print(f"{done} iterations, relative gap {gap:.2%}", file=sys.stderr, flush=True)
        if solution.reason != "maxiter" or done >= maxiter:
            return x, gap


def main(n, views, out, maxiter=400):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([-1] * 3, [1] * 3, (n, n, n), dtype="float32")
    A = operators.cone_beam_ray_transform(X, views, 4.0, 2.0, (n, n), (1.6, 2.0))
    truth = odl.phantom.shepp_logan(X, modified=True)
    y = data.add_white_noise(A(truth), NOISE_LEVEL, rng)
    start = operators.fbp(A)(y)
    problem = variational.tv_problem(A, functionals.l2_fidelity(y),
                                     parameter_choice.first_alpha(A, NOISE_LEVEL),
                                     functionals.BoxConstraint(X, 0, 1))
    problem = dataclasses.replace(problem, norm=2**0.5)  # both rows of L have norm one
    checkpoint = out / f"cone_beam_{n}.npz"
    x, gap = reconstruct(problem, checkpoint, maxiter)

    before, after = metrics.psnr(start, truth), metrics.psnr(x, truth)
    path, peak = out / "cone_beam_tv.png", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plotting.comparison(
        {"FDK": start.data[..., n // 2], "total variation": x.data[..., n // 2]},
        truth.data[..., n // 2], path, (0, 1), title=f"{n} x {n} x {n} voxels, {views} views",
        captions={"FDK": f"{before:.1f} dB", "total variation": f"{after:.1f} dB"})
    print(f"PSNR {before:.1f} -> {after:.1f} dB, gap {gap:.1e}, {peak / 2**20:.1f} GiB -> {path}")
    assert after >= before + 3 and gap <= ACCURACY
    checkpoint.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
