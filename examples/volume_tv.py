"""A volume of 64 x 64 x 64 voxels deblurred by total variation: the same lines as for pictures.

    python examples/volume_tv.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, metrics, operators, plotting, solvers, variational
from odl_learned.variational import parameter_choice

SIZES = {"smoke": {"n": 24}, "paper": {"n": 64}}
NOISE_LEVEL = 0.05


def main(n, out, maxiter=20_000):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([0] * 3, [n] * 3, (n, n, n), dtype="float32")  # voxels of side one
    places = rng.uniform(0.2 * n, 0.8 * n, (6, 3))
    radii, values = rng.uniform(0.08 * n, 0.25 * n, 6), rng.uniform(0.3, 1, 6)
    points = X.points().reshape(*X.shape, 3)
    truth = np.zeros(X.shape)
    for place, radius, value in zip(places, radii, values):
        truth[((points - place) ** 2).sum(-1) < radius**2] = value
    steps = np.arange(-2, 3)
    line = np.exp(-(steps**2) / 2)
    kernel = line[:, None, None] * line[:, None] * line
    A = operators.ReflectingConvolution(X, kernel / kernel.sum())
    y = data.add_white_noise(A(X.element(truth)), NOISE_LEVEL, rng)

    alpha = parameter_choice.first_alpha(A, NOISE_LEVEL)
    problem = variational.tv_problem(A, functionals.l2_fidelity(y), alpha,
                                     functionals.BoxConstraint(X, 0, 1))
    solution = solvers.primal_dual(problem, accuracy=1e-2, maxiter=maxiter)
    gap = solution.gap / problem.value(solution.x)
    before, after = metrics.psnr(y, truth), metrics.psnr(solution.x, truth)
    path, middle = out / "volume.png", n // 2
    captions = {"data": f"{before:.1f} dB", "total variation": f"{after:.1f} dB"}
    plotting.comparison(
        {name: x.data[..., middle] for name, x in zip(captions, (y, solution.x))},
        truth[..., middle], path, (0, 1), title=f"{n} x {n} x {n}, slice {middle}",
        captions=captions)
    print(f"PSNR {before:.1f} -> {after:.1f} dB, relative gap {gap:.1e} -> {path}")
    assert after >= before + 3 and gap <= 1e-2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
