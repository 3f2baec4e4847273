r"""Choose the parameter of total variation by the noise, or without knowing it.

An MR slice with noise by four rules, and in another unit of length, which must change nothing.

    python examples/choose_alpha_denoising.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl

from odl_learned import data, functionals, metrics, plotting, solvers
from odl_learned.variational import parameter_choice as choice

SIZES = {"smoke": {"n": 48, "told": 0.1}, "paper": {"n": 192, "told": 0.1}}
NOISE_LEVEL, RULES = 0.1, ("first", "discrepancy", "unbiased risk", "cross-validation")


def choices(y, told):
    """Parameters by rule; ``rof`` solves what ``(alpha, y)`` stands for."""
    A, rng = odl.IdentityOperator(y.space), np.random.default_rng
    first = choice.first_alpha(A, told)
    noise = solvers.Discrepancy(A, y, choice.white_noise_norm(y.space, told), tau=1.0)
    how: dict = {"solve": lambda pair, accuracy, start: solvers.rof(pair[1], pair[0], accuracy)}
    found = (choice.by_discrepancy(lambda alpha: (alpha, y), noise, first, **how),
             choice.by_unbiased_risk(lambda *pair: pair, A, y, told, first, rng(1), **how),
             choice.by_cross_validation(lambda *pair: pair, A, y, first, rng(1), **how))
    return dict(zip(RULES, (first, *(each.alpha for each in found))))


def main(n, told, out):
    X = odl.uniform_discr([0, 0], [n, n], (n, n))
    image = data.example_mr().array[128:896, 128:896].astype(float)
    truth = X.element(data.downsample(image / np.quantile(image, 0.999), 768 // n))
    y = data.add_white_noise(truth, NOISE_LEVEL, np.random.default_rng(0))
    found = choices(y, told)
    other = choices(odl.uniform_discr([0, 0], [n / 10] * 2, (n, n)).element(y.data), told)
    alphas = found["first"] * 2.0 ** np.arange(-3, 3.1, 0.5)
    curve = [solvers.rof(y, alpha).x for alpha in alphas]
    images = {rule: solvers.rof(y, alpha).x for rule, alpha in found.items()}
    psnr, best = ([metrics.psnr(x, truth) for x in xs] for xs in (images.values(), curve))
    captions = {r: f"{found[r]:.2g}: PSNR {p:.2f} dB" for r, p in zip(RULES, psnr)}
    path, penalties = out / "choose_alpha_denoising.png", map(functionals.TotalVariation(X), curve)
    plotting.comparison({"data": y} | images, truth, path, (0, 1), captions=captions)
    plotting.l_curve(alphas, [float((x - y).norm()) for x in curve], list(penalties),
                     out / "choose_alpha_l_curve.png", found)
    print(f"best {max(best):.2f} dB; {', '.join(captions.values())} -> {path}")
    assert all(np.isclose(10 * other[rule], found[rule], rtol=1e-6) for rule in RULES), "units"
    assert min(psnr[2:]) > max(best) - 0.3 and found["discrepancy"] > found["unbiased risk"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
