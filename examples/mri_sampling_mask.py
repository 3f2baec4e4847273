"""Which frequencies to measure: a mask from training images beside two that know none.

The largest mean coefficients of training images (Knoll et al. 2011) choose the mask; another image
is measured at as many frequencies with each mask and reconstructed by total variation.

    python examples/mri_sampling_mask.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import data, functionals, metrics, operators, plotting, solvers, variational
from odl_learned.learning.bilevel import sampling

SIZES = {"smoke": {"n": 32}, "paper": {"n": 96}}
FRACTION, NOISE_LEVEL, ALPHA, TRAINING = 0.25, 0.03, 0.02, 8


def main(n, out, maxiter=5000):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([-n / 2] * 2, [n / 2] * 2, (n, n), dtype="complex128")
    R = odl.uniform_discr([-1, -1], [1, 1], (n, n))
    images = [X.element(data.random_body(R, rng).data) for _ in range(TRAINING + 1)]
    everything = operators.SampledFourier(X, np.ones(X.shape, bool))
    spectra = torch.from_numpy(np.stack([everything(u).data for u in images[:TRAINING]]))
    masks = {
        "lines": data.cartesian_mask(X.shape, FRACTION, 0.08, rng),
        "variable density": data.variable_density_mask(X.shape, FRACTION, 3.0, rng, 0.08),
        "learned": sampling.largest_coefficients(spectra, sampling.points(X.shape), FRACTION),
    }
    truth, found, captions = images[-1], {}, {}
    for name, mask in masks.items():
        A = operators.SampledFourier(X, np.asarray(mask, bool))
        y = A.range.element(A.weights * data.add_white_noise(A(truth), NOISE_LEVEL, rng).data)
        problem = variational.tv_problem(A, functionals.l2_fidelity(y), ALPHA,
                                         functionals.MagnitudeBound(X, 1.5))
        solution = solvers.primal_dual(problem, accuracy=1e-2, maxiter=maxiter)
        assert solution.gap <= 1e-2 * problem.value(solution.x)
        found[name] = solution.x
        captions[name] = f"{metrics.psnr(found[name], truth):.1f} dB, {np.mean(mask):.0%} measured"
    path = out / "sampling_mask.png"
    plotting.comparison(found, truth, path, (0, 0.5), captions=captions)
    psnr = {name: metrics.psnr(x, truth) for name, x in found.items()}
    print(", ".join(f"{name} {value:.1f} dB" for name, value in psnr.items()), "->", path)
    assert psnr["learned"] >= psnr["lines"] + 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
