r"""Computed tomography with a learned ridge as a functional in ODL's own solver.

    min_u  1/2 |A u - y|^2 + alpha R(u),   0 <= u <= 2.5,   R(u) = sum_k int psi_k(w_k * u),

with the convex ridge that comes with the package: its filters and potentials were learned by
denoising photographs and never saw a slice.

    python examples/ct_learned_ridge.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, learning, metrics, operators, plotting, regularizers

SIZES = {"smoke": {"n": 64, "views": 20}, "paper": {"n": 128, "views": 40}}
ALPHA, NOISE_LEVEL, PHOTONS = 0.1, 0.1, 1e5


def main(n, views, out, niter=300):
    image, relative = data.example_ct(), 1 + data.example_ct().array / 1000  # to water
    half_width = image.pixel_mm[0] * len(relative) / 2 / 50  # water weakens rays by 1 / e in 50 mm
    fine, X = (odl.uniform_discr([-half_width] * 2, [half_width] * 2, (m, m), dtype="float32")
               for m in (2 * n, n))  # fmt: skip
    A = operators.parallel_ray_transform(X, views)
    exact = odl.applications.tomo.RayTransform(fine, A.geometry, impl="astra_cpu")(
        fine.element(data.downsample(relative, 256 // n)))  # simulated on a finer grid
    counts = data.transmission_counts(A.range.element(exact), PHOTONS, np.random.default_rng(0))
    y = data.log_linearize(counts, PHOTONS)
    truth, fbp = X.element(data.downsample(relative, 512 // n)), operators.fbp(A, "Hann", 0.8)(y)

    D, box = functionals.LeastSquares(A, y), functionals.BoxConstraint(X, 0, 2.5)
    ridge = learning.load_regularizer(learning.CONVEX_RIDGE)
    R = regularizers.RidgeRegularizer(ridge, X, NOISE_LEVEL)
    energy, L = D + ALPHA * R, D.grad_lipschitz + ALPHA * R.grad_lipschitz
    u = fbp.copy()
    odl.solvers.accelerated_proximal_gradient(u, box, energy, 1 / L, niter)

    def residual(u):  # zero at the minimizer
        return (u - box.proximal(1 / L)(u - energy.gradient(u) / L)).norm() * L

    (before, after), left = (metrics.psnr(x, truth) for x in (fbp, u)), residual(u) / residual(fbp)
    path = out / "ct_learned_ridge.png"
    plotting.comparison({"filtered backprojection": fbp, "learned ridge": u}, truth, path,
                        window=(0.7, 1.3), title=f"CT, {views} views, {n} x {n}")  # fmt: skip
    print(f"PSNR {before:.2f} -> {after:.2f} dB, residual {left:.1e} of its start after {niter} "
          f"iterations with L = {L:.3g} -> {path}")
    assert after >= before + 2 and left <= 0.01 and R.weak_convexity == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
