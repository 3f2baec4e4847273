r"""Learn alpha and nu of smoothed total variation for a fan beam, and use them on a real slice.

    E(u, theta, y) = 1/2 |A u - y|^2 + alpha int sqrt(|grad u|^2 + nu^2) + xi/2 |u|^2

with the ray transform A of a fan beam; alpha and nu, exponentials of theta, are learned from
phantoms with certificates, and reconstruct a CT slice, relative to water.

    python examples/ct_fan_beam_learned_variation.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, metrics, operators, plotting
from odl_learned.learning import bilevel

SIZES = {"smoke": {"n": 32, "pairs": 2, "steps": 30}, "paper": {"n": 64, "pairs": 3, "steps": 30}}
VIEWS, SOURCE, DETECTOR, XI, START = 48, 3.0, 3.0, 1e-2, (-5.0, -1.0)


def main(n, pairs, steps, out):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.fan_beam_ray_transform(X, VIEWS, SOURCE, DETECTOR)
    square = odl.functionals.L2NormSquared
    u, (alpha, nu), y = functionals.arguments(X, 2, A.range)
    E = (0.5 * square(A.range) @ (A @ u - y) + 0.5 * XI * square(X) @ u
         + functionals.smoothed_length(operators.gradient(X) @ u, alpha, nu))  # fmt: skip

    slice_ = 1 + data.example_ct().array / 1000  # from Hounsfield units, relative to water
    images = [data.random_body(X, rng) for _ in range(pairs)]
    images.append(X.element(data.downsample(slice_, len(slice_) // n).clip(0, 2)))
    scans = [data.add_white_noise(A(image), 0.01, rng) for image in images]
    energy = bilevel.learn(E, images[:-1], scans[:-1], START, maxiter=steps)
    value, bound = energy.learned.value, energy.learned.value_bound
    others = [energy.training_error(energy.params + s * np.array([np.log(2), 0])) for s in (-1, 1)]

    found, fbp = energy.reconstruct(scans[-1]), operators.fbp(A)(scans[-1])
    gain = metrics.psnr(found.x, images[-1]) - metrics.psnr(fbp, images[-1])
    path, (alpha, nu) = out / "ct_fan_beam_learned_variation.png", np.exp(energy.params)
    plotting.comparison({"filtered backprojection": fbp, "learned": found.x}, images[-1], path)
    print(f"alpha {alpha:.3g}, nu {nu:.3g}, training error {value:.3e} +- {bound:.0e}, {gain:.1f} "
          f"dB over filtered backprojection, error bound {found.error_bound:.1e} -> {path}")
    assert bound < 1e-3 * value and value + bound < min(error - b for error, b in others)
    assert gain > 2 and found.error_bound <= 2e-3 * images[-1].norm()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
