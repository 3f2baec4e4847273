r"""Computed tomography by Landweber's iteration: when to stop, and what happens if one does not.

    x_{k+1} = x_k + A* (y - A x_k) / |A|^2   until   |A x_k - y| <= 1.02 |noise|.

The residual falls forever, but the error to the truth has a minimum (semi-convergence). The
discrepancy principle stops near it and knows only the size of the noise.

    python examples/ct_landweber_discrepancy.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
from matplotlib.figure import Figure

from odl_learned import data, metrics, operators, solvers

SIZES = {
    "smoke": {"n": 48, "views": 48, "niter": 400},
    "paper": {"n": 128, "views": 120, "niter": 1000},
}
RELATIVE_NOISE, TAU = 0.1, 1.02


def main(n, views, niter, out):
    rng = np.random.default_rng(0)
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(space, views))
    truth = data.random_body(space, rng)
    exact = A(truth)
    y = data.add_white_noise(exact, data.noise_level_for(exact, RELATIVE_NOISE), rng)
    noise_norm = float((y - exact).norm())

    stopped = solvers.landweber(A, y, space.zero(), noise_norm, tau=TAU, maxiter=niter)
    errors, residuals = [], []

    def observe(x):
        errors.append(metrics.relative_error(x, truth))
        residuals.append(float((A(x) - y).norm()) / noise_norm)

    last = space.zero()
    odl.solvers.landweber(A, last, y, niter=niter, omega=1.0, callback=observe)
    best, error = int(np.argmin(errors)) + 1, metrics.relative_error(stopped.x, truth)

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    curves, *pictures = figure.subplots(1, 4, width_ratios=(1.5, 1, 1, 1))
    k = np.arange(1, niter + 1)
    curves.loglog(k, residuals, label="$|A x_k - y|\\;/\\;|$noise$|$")
    curves.loglog(k, errors, label="relative error of $x_k$")
    curves.axvline(stopped.niter, color="gray", ls="--", label=f"stopped, k = {stopped.niter}")
    curves.set(xlabel="iteration k", title="Landweber")
    curves.legend(fontsize=8)
    names = ("truth", f"stopped, error {error:.3f}", f"k = {niter}, error {errors[-1]:.3f}")
    for ax, x, name in zip(pictures, (truth, stopped.x, last), names):
        ax.imshow(data.to_rows(x.data), cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], title=name)
    path = out / "ct_landweber_discrepancy.png"
    figure.savefig(path, dpi=150)
    print(f"stopped at {stopped.niter} with error {error:.4f}; least {min(errors):.4f} at {best}, "
          f"{errors[-1]:.4f} at {niter} -> {path}")
    assert stopped.reason == "discrepancy", "the iterations ran out"
    assert float((A(stopped.x) - y).norm()) <= TAU * noise_norm * (1 + 1e-5)
    assert best < niter and errors[-1] > 1.2 * error, "no semi-convergence"
    assert error <= 1.2 * min(errors), "the discrepancy principle stopped far from the best"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
