r"""Magnetic resonance imaging with total generalized variation, by ODL's own pdhg.

    min_{u, v}  1/2 |S F u - y|^2 + alpha int |grad u - v| + alpha beta int |E v|,   |u| <= 1.5.

Measured are 30 % of the lines of the spectrum of a complex image, with noise. The duality gap says
how far from the minimum the iteration stopped.

    python examples/mri_tgv_pdhg.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, metrics, plotting
from odl_learned.functionals import MagnitudeBound, l2_fidelity
from odl_learned.operators import SampledFourier
from odl_learned.variational import tgv_problem

SIZES = {
    "smoke": {"n": 64, "alpha": 0.01, "niter": 300, "largest_gap": 0.2},
    "paper": {"n": 256, "alpha": 0.025, "niter": 2000, "largest_gap": 0.01},
}
NOISE_LEVEL, BETA = 0.03, 2.0  # beta in pixels


def main(n, alpha, niter, largest_gap, out):
    rng = np.random.default_rng(0)
    space = odl.uniform_discr([-n / 2, -n / 2], [n / 2, n / 2], (n, n), dtype="complex64")
    slice_ = data.downsample(data.example_mr().array, 1024 // n)
    truth = data.smooth_phase(space, rng) * space.element(slice_ / np.quantile(slice_, 0.999))

    mask = data.cartesian_mask(space.shape, fraction=0.3, center_fraction=0.08, rng=rng)
    A = SampledFourier(space, mask)
    noisy = data.add_white_noise(A(truth), NOISE_LEVEL, rng)
    y = A.range.element(mask * noisy.data)

    problem = tgv_problem(A, l2_fidelity(y), alpha, BETA, MagnitudeBound(space, 1.5))
    f, g, L = problem
    tau, sigma = problem.step_sizes()
    x, dual = L.domain.zero(), L.range.zero()
    odl.solvers.pdhg(x, f, g, L, niter=niter, tau=tau, sigma=sigma, y=dual)
    gap = problem.gap(x, dual) / problem.value(x)

    zero_filling, tgv = A.adjoint(y), x[0]
    before, after = metrics.psnr(zero_filling, truth), metrics.psnr(tgv, truth)
    path = out / "mri_tgv_pdhg.png"
    plotting.comparison(
        {"zero filling": zero_filling, "TGV": tgv}, truth, path, window=(0, 0.9),
        title=f"MRI, {mask.mean():.0%} of the lines, {n} x {n}",
        captions={"zero filling": f"PSNR {before:.1f} dB",
                  "TGV": f"PSNR {after:.1f} dB, gap {gap:.1e} of the value"},
    )  # fmt: skip
    print(f"PSNR {before:.2f} -> {after:.2f} dB, relative gap {gap:.2e} after {niter} iterations "
          f"-> {path}")
    assert after >= before + 2, "TGV gains less than 2 dB over zero filling"
    assert 0 <= gap <= largest_gap, "pdhg is further from the minimum than it should be"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
