r"""Ehrhardt and Roberts (2021): from every start the same parameter, if values are accurate enough.

M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel learning, J. Math.
Imaging Vis. 63 (2021), section 4.1. One parameter ``theta = log10 alpha`` in [-7, 7] of denoising,

    x_i(theta) = argmin_x  1/2 |x - y_i|^2 + alpha sum_j sqrt((grad x)_j^2 + nu^2) + xi/2 |x|^2

with nu = xi = 1e-3, is learned from piecewise constant signals with noise and 20 evaluations, from
five starts. The lower level is solved by accelerated gradient descent: with dynamic accuracy, or by
a few iterations, 200 at full size. These begin always at zero, as in the paper, or at the
reconstructions for the nearest earlier parameter.

Claims, with upper-level values computed anew to high accuracy:

* dynamic accuracy ends within 1 % of the minimum from all starts;
* a few iterations from zero lead from all starts to the same parameter, too, but to a wrong one,
  which is at least 10 % worse than the minimum: that runs agree does not mean that they are right;
* the bound of the value tells: it is larger than these 10 %, and smaller with dynamic accuracy;
* the same few iterations with warm starts end at less than half of the distance to the minimum, but
  not always within 1 %: what an evaluation believes depends on those before it.

    python examples/figures/dfo2021/robustness_to_initialization.py [smoke | paper] [--out results]
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from signal_denoising import one_parameter, signals

from odl_learned.learning.bilevel.derivative_free import dynamic_accuracy, fixed_accuracy
from odl_learned.learning.bilevel.lower import FixedIterations, LowerLevel, Newton

SIZES = {
    "smoke": {"n": 64, "signals": 3, "few": 70, "starts": (-2.0, 2.0), "points": 13},
    "paper": {"n": 256, "signals": 10, "few": 200, "starts": (0.0, -2.0, -1.0, 1.0, 2.0),
              "points": 41},
}  # fmt: skip
NOISE_LEVEL, NU, EVALUATIONS = 0.1, 1e-3, 20
METHODS = {"dynamic": "dynamic accuracy", "cold": "few iterations from zero",
           "warm": "few iterations, warm starts"}  # fmt: skip


def compute(size, rng):
    """Return what is learned from all starts, and the upper level on a grid.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``starts``; for every method ``paths``, a list of pairs of numbers of evaluations and
        ``log10 alpha``, and arrays ``params``, ``exact``, ``believed``, ``bound``, one number for
        each start; ``grid`` with ``grid_exact`` and ``grid_few``, values from exact and from a few
        iterations from zero; ``minimum``, of a search between points of the grid.
    """
    n, count, few, starts, points = SIZES[size].values()
    truth, y = signals(count, n, NOISE_LEVEL, rng)
    problem = one_parameter(truth, y, NU)
    steps = FixedIterations(few)
    sharp = LowerLevel(dataclasses.replace(problem, x0=y), Newton())
    coarse = LowerLevel(problem, steps, memory=0)

    def value(lower_level, a):
        x = lower_level.solve(torch.tensor([a], dtype=torch.float64), 1e-9).x
        return float(problem.loss.value(x).sum())

    def learn(method, params0):
        if method == "dynamic":
            return dynamic_accuracy(problem, params0, EVALUATIONS)
        return fixed_accuracy(problem, params0, EVALUATIONS, steps,
                                      memory=0 if method == "cold" else 8)  # fmt: skip

    grid = np.linspace(-1.5, 0.5, points)
    results = {"starts": np.array(starts), "grid": grid,
               "grid_exact": np.array([value(sharp, a) for a in grid]),
               "grid_few": np.array([value(coarse, a) for a in grid])}  # fmt: skip
    for method in METHODS:
        runs = [learn(method, torch.tensor([a], dtype=torch.float64)) for a in starts]
        results[method] = {
            "paths": [(run.history["evaluation"], run.history["best"][:, 0]) for run in runs],
            "params": np.array([float(run.params[0]) for run in runs]),
            "exact": np.array([value(sharp, float(run.params[0])) for run in runs]),
            "believed": np.array([run.value for run in runs]),
            "bound": np.array([run.value_bound for run in runs]),
        }
    best = grid[np.argmin(results["grid_exact"])]
    near = best + np.linspace(-2, 2, 21) / (points - 1)
    results["minimum"] = min(value(sharp, a) for a in near)
    return results


def draw(results, path):
    """Draw the paths of all runs, and what they minimize."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    colors = dict(zip(METHODS, ("C0", "C3", "C2")))
    for ax, methods, title in ((left, ("dynamic",), "dynamic accuracy"),
                               (middle, ("cold", "warm"), "few iterations")):  # fmt: skip
        for method in methods:
            for i, (count, a) in enumerate(results[method]["paths"]):
                ax.plot(count, a, color=colors[method], alpha=0.8,
                        label=METHODS[method] if i == 0 else None)  # fmt: skip
        ax.axhline(results["grid"][np.argmin(results["grid_exact"])], color="k", ls=":",
                   label="minimum of the exact values")  # fmt: skip
        ax.set(xlabel="evaluations", ylabel=r"$\log_{10} \alpha$", title=title)
    right.semilogy(results["grid"], results["grid_exact"], "k", label="$f$")
    right.semilogy(results["grid"], results["grid_few"], "C3",
                   label="$f$, few iterations from zero")  # fmt: skip
    for method, marker, size in zip(METHODS, "osx", (8, 6, 6)):
        right.semilogy(results[method]["params"], results[method]["exact"], marker, ms=size,
                       mfc="none", color=colors[method], label=METHODS[method])  # fmt: skip
    right.set(xlabel=r"$\log_{10} \alpha$", title="upper level",
              ylim=(0.3 * results["minimum"], 8 * results["minimum"]))  # fmt: skip
    for ax in (left, middle, right):
        ax.legend(fontsize=7, loc="lower left" if ax is right else "upper right")
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    minimum, (dynamic, cold, warm) = results["minimum"], (results[name] for name in METHODS)
    assert np.all(dynamic["exact"] <= 1.01 * minimum), "a start leads dynamic accuracy astray"
    assert np.ptp(cold["params"]) <= 0.05, "a few iterations do not agree with one another"
    assert np.all(cold["exact"] >= 1.1 * minimum), "a few iterations from zero suffice"
    for run in (dynamic, cold):
        assert np.all(np.abs(run["believed"] - run["exact"]) <= run["bound"]), "a bound is wrong"
    assert np.all(cold["bound"] >= 0.1 * minimum), "the bound does not tell"
    assert np.all(dynamic["bound"] <= 0.1 * minimum), "the bound of dynamic accuracy is too large"
    gaps = warm["exact"].max() - minimum, cold["exact"].min() - minimum
    assert gaps[0] < 0.5 * gaps[1], "warm starts do not help"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "dfo2021_robustness_to_initialization.png"
    draw(results, path)
    worst = ", ".join(
        f"{name}: {results[name]['exact'].max() / results['minimum'] - 1:.2%} (log10 alpha "
        f"{results[name]['params'].min():.3f} to {results[name]['params'].max():.3f})"
        for name in METHODS)  # fmt: skip
    print(f"worst gaps {worst}; minimum {results['minimum']:.4g} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
