r"""Learn a weight for each of three wavelet scales for deblurring; one for all is worse.

    E(u, theta, y) = 1/2 |A u - y|^2 + sum_j alpha_j int sqrt(|W_j u|^2 + nu^2) + xi/2 |u|^2

with a Gaussian blur A, the details W_j of three levels, and alpha_j exponentials of theta_j.

    python examples/deblurring_learned_scales.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, metrics, operators, plotting
from odl_learned.learning import bilevel

SIZES = {"smoke": {"n": 32, "pairs": 2, "steps": 30}, "paper": {"n": 128, "pairs": 4, "steps": 30}}
LEVELS, WIDTH, NOISE, NU, XI, START = 3, 1.0, 0.1, 0.02, 1e-2, -4.0


def main(n, pairs, steps, out):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float64")  # lengths in pixels
    A = operators.PeriodicConvolution(X, operators.gaussian_kernel(X, WIDTH))
    W, square = operators.OrthogonalWavelet(X, "db2", LEVELS), odl.functionals.L2NormSquared
    images = [data.random_ellipses(X, rng) for _ in range(pairs + 1)]
    blurred = [data.add_white_noise(A(image), NOISE, rng) for image in images]

    def learned(count):
        u, alphas, y = functionals.arguments(X, count, X)
        E = 0.5 * square(X) @ (A @ u - y) + 0.5 * XI * square(X) @ u
        for j in range(LEVELS):
            E = E + functionals.smoothed_length(W.details(j) @ u, alphas[min(j, count - 1)], NU)
        return bilevel.learn(E, images[:-1], blurred[:-1], [START] * count, maxiter=steps)

    one, three = learned(1), learned(LEVELS)
    x, y = three.reconstruct(blurred[-1]).x, blurred[-1]
    gain = metrics.psnr(x, images[-1]) - metrics.psnr(y, images[-1])
    (value, bound), (other, other_bound) = (each.learned[1:3] for each in (three, one))
    path = out / "deblurring_learned_scales.png"
    plotting.comparison({"data": y, "one weight": one.reconstruct(y).x, "three weights": x},
                        images[-1], path)  # fmt: skip
    print(f"alphas {np.exp(three.params).round(5)}, error {value:.4e} +- {bound:.0e}, with "
          f"one weight {other:.4e} +- {other_bound:.0e}, {gain:.1f} dB over the data -> {path}")
    assert bound < 1e-3 * value and value + bound < other - other_bound
    assert gain > 2, "the learned functional does not deblur"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
