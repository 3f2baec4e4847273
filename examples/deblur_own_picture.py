"""Deblur a picture of your own by total variation, with a parameter from its noise.

Any PNG, TIFF, .npy or DICOM file; without one, a picture is drawn at random. It is blurred by a
Gaussian, reflected at its border, noise is added, and the certified minimizer is compared with it.

    python examples/deblur_own_picture.py [smoke | paper] [--image FILE] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, metrics, operators, plotting, solvers, variational
from odl_learned.variational import parameter_choice

SIZES = {"smoke": {"n": 48}, "paper": {"n": 256}}
NOISE_LEVEL, RADIUS, DEVIATION = 0.02, 6, 2.0  # of the picture's range; in pixels


def picture(path, n, rng):
    """Values in [0, 1], in the orientation of ODL, at most n pixels along an axis."""
    if path is None:
        space = odl.uniform_discr([-1, -1], [1, 1], (n, n))
        values = data.dival_ellipses(space, rng).data
    else:
        values = data.read_image(path).astype(float)[:n, :n]
    return (values - values.min()) / np.ptp(values)


def main(n, out, image=None, maxiter=20_000):
    rng = np.random.default_rng(0)
    truth = picture(image, n, rng)
    X = odl.uniform_discr([0, 0], list(truth.shape), truth.shape)  # pixels of side one
    steps = np.arange(-RADIUS, RADIUS + 1)
    kernel = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * DEVIATION**2))
    A = operators.ReflectingConvolution(X, kernel / kernel.sum())
    y = data.add_white_noise(A(X.element(truth)), NOISE_LEVEL, rng)

    alpha = parameter_choice.first_alpha(A, NOISE_LEVEL)
    problem = variational.tv_problem(A, functionals.l2_fidelity(y), alpha,
                                     functionals.BoxConstraint(X, 0, 1))
    solution = solvers.primal_dual(problem, accuracy=1e-2, maxiter=maxiter)
    gap = solution.gap / problem.value(solution.x)
    before, after = metrics.psnr(y, truth), metrics.psnr(solution.x, truth)
    path, captions = out / "deblurred.png", {"blurred": f"{before:.1f} dB", "TV": f"{after:.1f} dB"}
    plotting.comparison({"blurred": y, "TV": solution.x}, truth, path, (0, 1), captions=captions)
    print(f"PSNR {before:.1f} -> {after:.1f} dB, relative gap {gap:.1e} -> {path}")
    assert after >= before + 1.5 and gap <= 1e-2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--image"), parser.add_argument("--out", type=Path, default="results")
    arguments = parser.parse_args()
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=Path(arguments.out), image=arguments.image)
