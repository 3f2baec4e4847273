r"""Learn alpha and nu of smoothed total variation for MRI with several coils.

    E(u, theta, y) = 1/2 |A u - y|^2 + alpha int sqrt(|grad u|^2 + nu^2) + xi/2 |u|^2

of complex images u, with A the sampled Fourier transforms of four coil images; alpha and nu,
exponentials of theta, are learned with certificates.

    python examples/mri_multicoil_learned_variation.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, metrics, operators, plotting
from odl_learned.learning import bilevel

SIZES = {"smoke": {"n": 24, "pairs": 2, "steps": 30}, "paper": {"n": 64, "pairs": 3, "steps": 30}}
COILS, LINES, NOISE, XI, START = 4, 0.4, 0.05, 1e-2, (-4.0, -2.0)


def main(n, pairs, steps, out):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="complex128")  # lengths in pixels
    mask = data.cartesian_mask(X.shape, LINES, 0.08, rng)
    A = operators.MultiCoilFourier(X, mask, data.simulated_sensitivities(X, COILS))
    square = odl.functionals.L2NormSquared
    u, (alpha, nu), y = functionals.arguments(X, 2, A.range)
    E = (0.5 * square(A.range) @ (A @ u - y) + 0.5 * XI * square(X) @ u
         + functionals.smoothed_length(operators.gradient(X) @ u, alpha, nu))  # fmt: skip

    bodies = [data.random_body(X.real_space, rng) for _ in range(pairs + 1)]
    images = [X.element(body.data * data.smooth_phase(X, rng).data) for body in bodies]
    scans = [data.add_white_noise(A(image), NOISE, rng) for image in images]
    energy = bilevel.learn(E, images[:-1], scans[:-1], START, maxiter=steps)
    value, bound = energy.learned.value, energy.learned.value_bound
    others = [energy.training_error(energy.params + s * np.array([np.log(2), 0])) for s in (-1, 1)]

    x, f, zero_filled = energy.reconstruct(scans[-1]).x, energy.at(scans[-1]), A.adjoint(scans[-1])
    slope = f.gradient(x).norm() / f.gradient(X.zero()).norm()
    gain = metrics.psnr(x, images[-1]) - metrics.psnr(zero_filled, images[-1])
    path, (alpha, nu) = out / "mri_multicoil_learned_variation.png", np.exp(energy.params)
    plotting.comparison({"zero filling": zero_filled, "learned": x}, images[-1], path)
    print(f"alpha {alpha:.3g}, nu {nu:.3g}, training error {value:.3e} +- {bound:.0e}, {gain:.1f} "
          f"dB over zero filling, |grad E(x)| / |grad E(0)| = {slope:.0e} -> {path}")
    assert bound < 1e-3 * value and value + bound < min(error - b for error, b in others)
    assert gain > 2 and slope < 1e-2, "the learned functional does not reconstruct well"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
