r"""Kunisch and Pock (2013): weights of cosine filters, learned by semi-smooth Newton.

K. Kunisch and T. Pock, A bilevel optimization approach for parameter learning in variational
models, SIAM J. Imaging Sci. 6 (2013), sections 4 and 5. For noisy images ``y`` of images ``x*``,

    min_(alpha >= 0) 1/2 sum |x(alpha) - x*|^2,
    x(alpha) = argmin_x 1/2 |x - y|^2 + sum_k alpha_k sum_i phi((f_k * x)_i),

with all filters ``f_k`` of the discrete cosine transform but the constant one, and ``phi`` the
absolute value, cubic near zero (p = 1), or half the square (p = 2).

Claims, for both p:

* the projected gradient of the reduced function falls superlinearly: by a factor of at least ten in
  each of the last two steps, at least a hundred in the last, to 1e-7;
* the value is the one that projected L-BFGS reaches, to 1e-3, with certificates, in less steps;
* the sparse regularizer, p = 1, is better than the quadratic one, p = 2.

    python examples/figures/kunisch_pock2013/learned_filters.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import data
from odl_learned.energies.filters import ExpertsEnergy, dct_filters, fixed_filters
from odl_learned.energies.potentials import CubicAbsolute, HalfSquare
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.first_order import lbfgsb, semismooth_newton
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Newton

SIZES = {"smoke": {"n": 16, "images": 3, "filter_size": 3},
         "paper": {"n": 32, "images": 4, "filter_size": 4}}  # fmt: skip
NOISE_LEVEL = 0.1
CASES = {1: (CubicAbsolute(), 0.02, 0.02), 2: (HalfSquare(), 1.0, 0.3)}  # phi, nu, start


def compute(size, rng):
    """Return, for p = 1 and 2, a dict of residuals, values, bounds and weights.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    """
    n, images, filter_size = SIZES[size].values()
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float64")
    truth = torch.from_numpy(np.stack([data.random_body(space, rng).data for _ in range(images)]))
    noisy = truth + NOISE_LEVEL * torch.from_numpy(rng.standard_normal(truth.shape))
    filters, results = dct_filters(filter_size), {}
    for p, (potential, nu, start) in CASES.items():
        energy = ExpertsEnergy((n, n), potential, (nu,), fixed_filters(filters), 0.0)
        problem = BilevelProblem(energy, noisy, SquaredError(truth, 0.5), noisy, lower=0.0)
        params0 = torch.full((len(filters),), start, dtype=torch.float64)
        newton = semismooth_newton(problem, params0, Newton(), gtol=1e-7)
        first = lbfgsb(problem, params0, Implicit(), Newton(), ftol=1e-7)
        results[p] = {
            "newton": newton.history["projected_gradient"], "value": newton.value,
            "first": first.history["projected_gradient"], "first_value": first.value,
            "bound": newton.value_bound + first.value_bound, "weights": newton.params.numpy(),
        }  # fmt: skip
    return results


def draw(results, path):
    """Draw the residuals, and the weights in the order of frequencies."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, *right = figure.subplots(1, 3)
    for p, color in ((1, "C0"), (2, "C1")):
        left.semilogy(results[p]["newton"], f"{color}.-", label=f"semi-smooth Newton, p = {p}")
        left.semilogy(results[p]["first"], f"{color}--", label=f"projected L-BFGS, p = {p}")
    left.set(xlabel="step", title="projected gradient")
    left.legend(fontsize=8)
    left.grid(alpha=0.3)
    for p, ax in zip((1, 2), right):
        weights = np.concatenate([[0], results[p]["weights"]])
        side = round(len(weights) ** 0.5)
        shown = ax.imshow(weights.reshape(side, side), cmap="magma")
        figure.colorbar(shown, ax=ax)
        ax.set(title=f"weights by frequency, p = {p}", xticks=range(side), yticks=range(side))
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    for p, found in results.items():
        residuals = found["newton"]
        assert residuals[-1] <= 1e-7, f"p = {p}: no stationary point was found"
        rates = residuals[1:] / residuals[:-1]
        assert rates[-2] < 0.1 and rates[-1] < 0.01, f"p = {p}: convergence is not superlinear"
        distance = found["value"] - found["first_value"]
        assert distance <= found["bound"], f"p = {p}: L-BFGS has a smaller value"
        assert -distance < 1e-3 * found["value"], f"p = {p}: L-BFGS has another value"
        assert len(residuals) < len(found["first"]), f"p = {p}: L-BFGS takes less steps"
        assert (found["weights"] >= 0).all()
    assert results[1]["value"] < results[2]["value"], "the quadratic regularizer is better"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "kunisch_pock2013_learned_filters.png"
    draw(results, path)
    steps = {p: (len(r["newton"]) - 1, len(r["first"]) - 1) for p, r in results.items()}
    values = {p: round(r["value"], 5) for p, r in results.items()}
    rates = {p: [f"{x:.0e}" for x in r["newton"][-3:]] for p, r in results.items()}
    print(f"by p: values {values}, steps of Newton and L-BFGS {steps}, last residuals {rates} "
          f"-> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
