r"""Ehrhardt and Roberts (2021): dynamic against fixed accuracy of the lower level.

M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel learning, J. Math.
Imaging Vis. 63 (2021), section 4.2. Three parameters of denoising, ``theta = log10 (alpha, nu,
xi)``, are learned from piecewise constant signals with noise,

    min_theta  sum_i |x_i(theta) - x_i*|^2 + beta kappa(theta)^2,
    x_i(theta) = argmin_x  1/2 |x - y_i|^2 + alpha sum_j sqrt((grad x)_j^2 + nu^2) + xi/2 |x|^2,

``kappa = (1 + 4 alpha / nu + xi) / (1 + xi)``, always by algorithm 1. What differs is the lower
level: accelerated gradient descent with dynamic accuracy, or with a number of iterations, 200 or
2000 at full size, that begin at zero each time, as in the paper, or up to 1e-8 with warm starts;
and Newton's method, with dynamic accuracy or up to 1e-8. Work is the number of gradients and
Hessian products of single signals.

Claims, with upper-level values computed anew to high accuracy:

* to 5 % of the minimum, dynamic accuracy needs at most a fifth of the work of many iterations;
* warm starts alone do not explain this: up to 1e-8 with warm starts takes more than twice the work;
* where the lower level converges fast, it does not pay: Newton's method up to 1e-8 needs at most
  twice the work of Newton's method with dynamic accuracy;
* a number of iterations that happens to suffice needs at most four times its work, but in the end
  the bound of the value is a hundred times as large.

    python examples/figures/dfo2021/dynamic_against_fixed.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from odl_learned.learning import bilevel

SIZES = {
    "smoke": {"n": 32, "signals": 3, "few": 50, "many": 400, "evaluations": 26},
    "paper": {"n": 256, "signals": 20, "few": 200, "many": 2000, "evaluations": 40},
}
NOISE_LEVEL, BETA = 0.1, 5e-8  # beta of one signal: 1e-6 for twenty
GAP = 0.05
START = torch.tensor([0.0, -1.0, -1.0], dtype=torch.float64)


def signals(count, n, rng):
    """Return plateaus of height one, and the same with noise, tensors ``(count, n)``."""
    center = rng.uniform(n / 4, 3 * n / 4, (count, 1))
    radius = rng.uniform(n / 8, n / 4, (count, 1))
    truth = (np.abs(np.arange(n) - center) < radius).astype(float)
    y = truth + NOISE_LEVEL * rng.standard_normal(truth.shape)
    return torch.as_tensor(truth), torch.as_tensor(y)


def three_parameters(truth, y):
    """Return the bilevel problem."""

    def penalty(p):
        alpha, nu, xi = 10 ** p[0], 10 ** p[1], 10 ** p[2]
        return BETA * len(truth) * ((1 + 4 * alpha / nu + xi) / (1 + xi)) ** 2

    energy = bilevel.VariationEnergy(bilevel.Denoising(),
                                     bilevel.BackwardDifferences(truth.shape[1]),
                                     bilevel.Charbonnier(), bilevel.decimal)  # fmt: skip
    bounds = torch.tensor([[-7.0, -7, -7], [7, 0, 0]], dtype=torch.float64)
    return bilevel.BilevelProblem(energy, y, bilevel.SquaredError(truth), y.clone(), penalty,
                                  *bounds)  # fmt: skip


def compute(size, rng):
    """Return what every run reached with how much work.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``minimum``, by L-BFGS; ``runs``, a dict of dicts with arrays ``work`` and ``exact``, the
        upper-level value of the iterate, and with ``bound``, that of the last value.
    """
    n, count, few, many, maxeval = SIZES[size].values()
    truth, y = signals(count, n, rng)
    problem = three_parameters(truth, y)
    sharp = bilevel.LowerLevel(problem, bilevel.Newton())

    def value(params):
        params = torch.as_tensor(params)
        x = sharp.solve(params, 1e-9).x
        return float(problem.loss.value(x).sum() + problem.penalty(params))

    def dynamic(solver):
        return bilevel.dynamic_accuracy(problem, START, maxeval, solver)

    def fixed(solver, memory):
        return bilevel.fixed_accuracy(problem, START, maxeval, solver, 1e-8, memory=memory)

    learned = {
        "dynamic": dynamic(bilevel.Accelerated()),
        "few": fixed(bilevel.FixedIterations(few), 0),
        "many": fixed(bilevel.FixedIterations(many), 0),
        "1e-8, warm starts": fixed(bilevel.Accelerated(), 8),
        "Newton, dynamic": dynamic(bilevel.Newton()),
        "Newton, 1e-8": fixed(bilevel.Newton(), 8),
    }
    reference = bilevel.lbfgsb(problem, START, bilevel.Implicit(), bilevel.Newton())
    runs = {name: {"work": run.history["gradients"] + run.history["hessian_products"],
                   "exact": _values(run.history["best"], value), "bound": run.value_bound}
            for name, run in learned.items()}  # fmt: skip
    return {"runs": runs, "minimum": value(reference.params)}


def _values(iterates, value):
    new = np.r_[True, (np.diff(iterates, axis=0) != 0).any(1)]
    return np.array([value(p) for p in iterates[new]])[np.cumsum(new) - 1]


def needed(results, name):
    """Return the work until the gap is reached, infinite if it is not."""
    run = results["runs"][name]
    reached = np.flatnonzero(run["exact"] <= (1 + GAP) * results["minimum"])
    return float(run["work"][reached[0]]) if reached.size else np.inf


def draw(results, path):
    """Draw gaps against work, gradient descent on the left, Newton's method on the right."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for name, run in results["runs"].items():
        ax = axes[1 if name.startswith("Newton") else 0]
        style = "-" if "dynamic" in name else "--"
        gap = np.maximum(run["exact"] / results["minimum"] - 1, 1e-6)
        ax.loglog(run["work"], gap, style, drawstyle="steps-post", label=name)
    for ax, title in zip(axes, ("accelerated gradient descent", "Newton's method")):
        ax.axhline(GAP, color="k", ls=":", lw=1)
        ax.set(title=title, xlabel="work of the lower level")
        ax.legend(fontsize=8)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(r"$f / \min f - 1$ of the iterate")
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    runs = results["runs"]
    work = {name: needed(results, name) for name in runs}
    assert work["dynamic"] <= 0.2 * work["many"] < np.inf, "dynamic accuracy does not pay"
    assert 2 * work["dynamic"] <= work["1e-8, warm starts"], "warm starts are what pays"
    assert work["Newton, 1e-8"] <= 2 * work["Newton, dynamic"] < np.inf, "it pays for Newton, too"
    assert work["few"] <= 4 * work["dynamic"], "a few iterations do not suffice, or are too many"
    assert runs["few"]["bound"] >= 100 * runs["dynamic"]["bound"], "fixed values are as certain"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "dfo2021_dynamic_against_fixed.png"
    draw(results, path)
    works = ", ".join(f"{name}: {needed(results, name):,.0f} (ends at "
                      f"{run['exact'][-1] / results['minimum'] - 1:.1e}, bound {run['bound']:.0e})"
                      for name, run in results["runs"].items())  # fmt: skip
    print(f"work to {GAP:.0%} of {results['minimum']:.4g}: {works} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
