r"""Computed tomography from few views with total variation in a box, by ODL's own pdhg.

    min_u  1/2 |A u - y|^2 + alpha int |grad u|,   0 <= u <= 2.5,

where ``u`` is the attenuation relative to water. Photons are counted behind a slice of twice the
resolution, so that the reconstruction does not invert its own discretization.

    python examples/ct_tv_pdhg.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, metrics, operators, plotting
from odl_learned.functionals import BoxConstraint, l2_fidelity
from odl_learned.variational import tv_problem

SIZES = {
    "smoke": {"n": 64, "views": 20, "niter": 150, "largest_gap": 0.1},
    "paper": {"n": 256, "views": 60, "niter": 500, "largest_gap": 0.01},
}
WATER, PHOTONS, ALPHA = 0.2, 1e5, 6e-4  # WATER: its attenuation at 70 keV in 1/cm


def main(n, views, niter, largest_gap, out):
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
    truth = ray.domain.element(data.downsample(relative, 512 // n))

    A = WATER * ray
    problem = tv_problem(A, l2_fidelity(A.range.element(y)), ALPHA,
                         BoxConstraint(A.domain, 0, 2.5))
    f, g, L = problem
    tau, sigma = problem.step_sizes()
    tv, dual = L.domain.zero(), L.range.zero()
    odl.solvers.pdhg(tv, f, g, L, niter=niter, tau=tau, sigma=sigma, y=dual)
    gap = problem.gap(tv, dual) / problem.value(tv)

    fbp = operators.fbp(A, "Hann", 0.8)(y)
    before, after = metrics.psnr(fbp, truth), metrics.psnr(tv, truth)
    path = out / "ct_tv_pdhg.png"
    plotting.comparison(
        {"filtered backprojection": fbp, "TV": tv}, truth, path, window=(0.7, 1.3),
        title=f"CT, {views} views, {n} x {n}, relative to water",
        captions={"filtered backprojection": f"PSNR {before:.1f} dB",
                  "TV": f"PSNR {after:.1f} dB, gap {gap:.1e} of the value"},
    )  # fmt: skip
    print(f"PSNR {before:.2f} -> {after:.2f} dB, relative gap {gap:.2e} after {niter} iterations "
          f"-> {path}")
    assert after >= before + 2, "TV gains less than 2 dB over filtered backprojection"
    assert 0 <= gap <= largest_gap, "pdhg is further from the minimum than it should be"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
