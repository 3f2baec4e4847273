r"""Ehrhardt and Roberts (2021): the better the parameters, the better the reconstructions.

M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel learning, J. Math.
Imaging Vis. 63 (2021), section 4.2. Three parameters of denoising are learned from piecewise
constant signals with noise, ``theta = log10 (alpha, nu, xi)``,

    min_theta  sum_i |x_i(theta) - x_i*|^2 + beta kappa(theta)^2,
    x_i(theta) = argmin_x  1/2 |x - y_i|^2 + alpha sum_j sqrt((grad x)_j^2 + nu^2) + xi/2 |x|^2,

``kappa = (1 + 4 alpha / nu + xi) / (1 + xi)``, by algorithm 1 with accelerated gradient descent.

Claims, with all upper-level values ``f`` computed anew to high accuracy:

* the value of the iterate does not increase from one number of evaluations to the next;
* it is where the certificate says, ``|f~ - f| <= bound``;
* the last one is within 5 % of the minimum that a method with gradients (L-BFGS) finds;
* the first signal is reconstructed at least twice as well as with the first parameters.

    python examples/figures/dfo2021/reconstructions_by_evaluations.py [smoke | paper] [--out O]
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from signal_denoising import signals, three_parameters

from odl_learned.learning.bilevel.derivative_free import dynamic_accuracy
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import LowerLevel, Newton

SIZES = {
    "smoke": {"n": 32, "signals": 3, "counts": (1, 8, 16, 24)},
    "paper": {"n": 256, "signals": 20, "counts": (1, 10, 20, 30, 60)},
}
NOISE_LEVEL, BETA = 0.1, 5e-8  # beta of one signal: 1e-6 for twenty
START = torch.tensor([0.0, -1.0, -1.0], dtype=torch.float64)


def compute(size, rng):
    """Return values and the first reconstruction after some numbers of evaluations.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``counts``; for each of them ``exact``, upper-level values, ``believed`` and ``bound``, what
        the algorithm knew, ``reconstructions`` of the first signal, ``(len(counts), n)``;
        ``params``; ``truth`` and ``data`` of this signal; ``minimum``, by L-BFGS.
    """
    n, count, counts = (SIZES[size][key] for key in ("n", "signals", "counts"))
    truth, y = signals(count, n, NOISE_LEVEL, rng)
    problem = dataclasses.replace(three_parameters(truth, y, BETA), x0=y)
    exact = LowerLevel(problem, Newton())
    learned = dynamic_accuracy(problem, START, counts[-1])
    history, results = learned.history, {"counts": np.array(counts), "truth": truth[0].numpy(),
                                         "data": y[0].numpy()}  # fmt: skip
    rows = [np.flatnonzero(history["evaluation"] <= k)[-1] for k in counts]

    def value(params):
        x = exact.solve(params, 1e-9).x
        return float(problem.loss.value(x).sum() + problem.penalty(params)), x[0].numpy()

    results["params"] = history["best"][rows]
    pairs = [value(torch.as_tensor(params)) for params in results["params"]]
    results["exact"] = np.array([f for f, _ in pairs])
    results["reconstructions"] = np.stack([x for _, x in pairs])
    results["believed"] = history["best_value"][rows]
    results["bound"] = np.array([_bound_known(history, row) for row in rows])
    reference = lbfgsb(problem, START, Implicit(), Newton())
    results["minimum"] = value(reference.params)[0]
    return results


def _bound_known(history, row):
    """The bound of the value of the iterate, from the last row where it was computed."""
    same = (history["params"][: row + 1] == history["best"][row]).all(1)
    same &= history["value"][: row + 1] == history["best_value"][row]
    return history["value_bound"][np.flatnonzero(same)[-1]]


def draw(results, path):
    """Draw the reconstructions in a row and the values below."""
    counts, gaps = results["counts"], results["exact"] / results["minimum"] - 1
    figure = Figure(figsize=(2.6 * len(counts), 4.8), layout="constrained")
    grid = figure.add_gridspec(2, len(counts), height_ratios=(3, 2))
    for i, (count, x) in enumerate(zip(counts, results["reconstructions"])):
        ax = figure.add_subplot(grid[0, i])
        ax.plot(results["data"], color="0.75", lw=0.8, label="data")
        ax.plot(results["truth"], "k--", lw=1, label="truth")
        ax.plot(x, "C3", label="reconstruction")
        ax.set(title=f"N = {count}", ylim=(-0.9, 1.4))
        ax.tick_params(labelleft=i == 0)
    figure.axes[0].legend(fontsize=7, loc="lower center")
    ax = figure.add_subplot(grid[1, :])
    ax.semilogy(counts, gaps, "o-", label="exact value of the iterate")
    ax.axhline(0.05, color="k", ls=":", lw=1)
    ax.set(xlabel="evaluations N", ylabel="$f / \\min f - 1$", title="upper level")
    ax.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    exact = results["exact"]
    assert np.all(np.diff(exact) <= 0), "an iterate is worse than an earlier one"
    assert np.all(np.abs(results["believed"] - exact) <= results["bound"]), "a bound is wrong"
    assert exact[-1] <= 1.05 * results["minimum"], "the last value is not within 5 % of the minimum"
    error = np.linalg.norm(results["reconstructions"] - results["truth"], axis=1)
    assert error[-1] <= 0.5 * error[0], "the reconstruction is not twice as good"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "dfo2021_reconstructions_by_evaluations.png"
    draw(results, path)
    values = ", ".join(f"N = {count}: {value:.4g}"
                       for count, value in zip(results["counts"], results["exact"]))  # fmt: skip
    print(f"exact values {values}; minimum {results['minimum']:.4g} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
