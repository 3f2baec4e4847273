r"""Computed tomography with a learned ridge as a functional in ODL's own solver.

    min_u  1/2 |A u - y|^2 + alpha R(u),   0 <= u <= 2.5,   R(u) = sum_k int psi_k(w_k * u),

with the convex ridge that comes with the package: its filters and potentials were learned by
denoising photographs and never saw a slice. It brings its gradient and the Lipschitz constant of
it, by construction, so that odl.solvers.accelerated_proximal_gradient knows its step.

    python examples/ct_learned_ridge.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, learning, metrics, operators, plotting, regularizers

SIZES = {"smoke": {"n": 64, "views": 20, "niter": 150}, "paper": {"n": 128, "views": 40,
                                                                  "niter": 300}}  # fmt: skip
WATER, PHOTONS = 0.2, 1e5  # WATER: its attenuation at 70 keV in 1/cm
ALPHA, NOISE_LEVEL = 0.03, 0.1


def main(n, views, niter, out):
    rng = np.random.default_rng(0)
    image = data.example_ct()
    relative = data.hounsfield_to_attenuation(image.array) / WATER
    half_width = 0.05 * image.pixel_mm[0] * len(relative)  # cm

    def images(m):
        return odl.uniform_discr([-half_width] * 2, [half_width] * 2, (m, m), dtype="float32")

    ray = operators.parallel_ray_transform(images(n), views)
    fine = odl.applications.tomo.RayTransform(images(2 * n), ray.geometry, impl="astra_cpu")
    exact = WATER * fine(fine.domain.element(data.downsample(relative, 256 // n)))
    y = data.log_linearize(data.transmission_counts(exact, PHOTONS, rng), PHOTONS)
    A, X = WATER * ray, ray.domain
    truth = X.element(data.downsample(relative, 512 // n))

    D = functionals.LeastSquares(A, A.range.element(y))
    ridge = learning.load_regularizer(learning.CONVEX_RIDGE)
    R = regularizers.RidgeRegularizer(ridge, X, NOISE_LEVEL)
    energy = D + ALPHA * R
    box = functionals.BoxConstraint(X, 0, 2.5)
    L = D.grad_lipschitz + ALPHA * R.grad_lipschitz
    fbp = operators.fbp(A, "Hann", 0.8)(y)
    u = fbp.copy()
    odl.solvers.accelerated_proximal_gradient(u, box, energy, 1 / L, niter)

    def residual(u):  # zero at the minimizer
        return (u - box.proximal(1 / L)(u - energy.gradient(u) / L)).norm() * L

    left = residual(u) / residual(fbp)
    before, after = metrics.psnr(fbp, truth), metrics.psnr(u, truth)
    path = out / "ct_learned_ridge.png"
    plotting.comparison(
        {"filtered backprojection": fbp, "learned ridge": u}, truth, path, window=(0.7, 1.3),
        title=f"CT, {views} views, {n} x {n}, relative to water",
        captions={"filtered backprojection": f"PSNR {before:.1f} dB",
                  "learned ridge": f"PSNR {after:.1f} dB"},
    )  # fmt: skip
    print(f"PSNR {before:.2f} -> {after:.2f} dB, residual {left:.1e} of its start after {niter} "
          f"iterations with L = {L:.3g} -> {path}")
    assert after >= before + 2, "the ridge gains less than 2 dB over filtered backprojection"
    assert left <= 0.01, "far from the minimizer"
    assert R.weak_convexity == 0, "the ridge is not convex"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
