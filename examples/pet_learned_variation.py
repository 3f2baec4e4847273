r"""Learn alpha of total variation for emission tomography with Poisson counts.

    E(u, theta, y) = L(A u, y) + alpha int sqrt(|grad u|^2 + nu^2) + xi/2 |u|^2

with the negative log-likelihood L of counts with a known background, Kullback-Leibler's divergence
up to a constant, and alpha the exponential of theta, learned with certificates.

    python examples/pet_learned_variation.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, metrics, operators, plotting, solvers
from odl_learned.learning import bilevel

SIZES = {"smoke": {"n": 24, "pairs": 2, "steps": 30}, "paper": {"n": 64, "pairs": 3, "steps": 30}}
VIEWS, NU, XI, COUNTS, BACKGROUND, START = 40, 0.1, 1e-2, 20.0, 1.0, (2.0,)


def main(n, pairs, steps, out):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = COUNTS * operators.parallel_ray_transform(X, VIEWS)
    images = [data.random_body(X, rng) for _ in range(pairs + 1)]
    scans = [A.range.element(rng.poisson(A(image).data + BACKGROUND)) for image in images]

    background = BACKGROUND * A.range.one()
    most = max(float(scan.data.max()) for scan in scans)
    u, (alpha,), y = functionals.arguments(X, 1, A.range)
    E = (functionals.PoissonLikelihood(background, most) @ odl.BroadcastOperator(A @ u, y)
         + functionals.smoothed_length(operators.gradient(X) @ u, alpha, NU)
         + 0.5 * XI * odl.functionals.L2NormSquared(X) @ u)  # fmt: skip
    energy = bilevel.learn(E, images[:-1], scans[:-1], START, maxiter=steps)
    value, bound = energy.learned.value, energy.learned.value_bound
    others = [energy.training_error(energy.params + s * np.log(2)) for s in (-1, 1)]

    x, start = energy.reconstruct(scans[-1]).x, float(np.mean(images[0].data)) * X.one()
    em = solvers.mlem(A, scans[-1], start, background, 30).x
    gain = metrics.psnr(x, images[-1]) - metrics.psnr(em, images[-1])
    path = out / "pet_learned_variation.png"
    plotting.comparison({"30 x MLEM": em, "learned": x}, images[-1], path)
    print(f"alpha {float(np.exp(energy.params[0])):.3g}, training error {value:.3e} +- {bound:.0e},"
          f" {gain:.1f} dB over MLEM -> {path}")
    assert bound < 1e-3 * value and value + bound < min(error - b for error, b in others)
    assert gain > 0.5, "the learned functional does not reconstruct well"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
