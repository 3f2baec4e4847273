r"""Ehrhardt and Roberts (2021): dynamic against fixed accuracy of the lower level.

M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel learning, J. Math.
Imaging Vis. 63 (2021), section 4.2. Three parameters of denoising, ``theta = log10 (alpha, nu,
xi)``, are learned from piecewise constant signals with noise,

    min_theta  sum_i |x_i(theta) - x_i*|^2 + beta kappa(theta)^2,
    x_i(theta) = argmin_x  1/2 |x - y_i|^2 + alpha sum_j sqrt((grad x)_j^2 + nu^2) + xi/2 |x|^2,

``kappa = (1 + 4 alpha / nu + xi) / (1 + xi)``, or one, ``log10 alpha``, with ``nu = xi`` fixed and
without penalty; always by algorithm 1. What differs is the lower level: accelerated gradient
descent, 200 or 2000 iterations at full size, and plain gradient descent, 10000 iterations, which
begin at zero each time, as in the paper; the same with dynamic accuracy, or up to 1e-8 with warm
starts; and Newton's method, with dynamic accuracy or up to 1e-8. Work is the number of gradients
and Hessian products of single signals.

Claims, with upper-level values computed anew to high accuracy. Three parameters, work to 5 % of the
minimum:

* dynamic accuracy needs at most a fifth of the work of many iterations, with plain gradient descent
  as with acceleration: the penalty keeps ``kappa`` small, and many iterations are far too many;
* warm starts alone do not explain this: up to 1e-8 with warm starts takes more than twice the work;
* acceleration is worth it, too: with plain steps, dynamic accuracy takes three times the work;
* where the lower level converges fast, it does not pay: Newton's method up to 1e-8 needs at most
  twice the work of Newton's method with dynamic accuracy;
* a number of iterations that happens to suffice needs at most ten times its work, but in the end
  the bound of the value is fifty times as large.

One parameter, work to 1 %, residuals of whole images as in the paper:

* with plain gradient descent it does not pay: many iterations take at most 1.5 times the work of
  dynamic accuracy, against more than twice with acceleration. A factor ``e`` of accuracy costs
  ``kappa / 2`` plain steps, but ``sqrt(kappa)`` accelerated ones; one trial with a large ``alpha``,
  where ``kappa`` is tens of times as large as at the end, takes most of the work, whereas a fixed
  number of plain steps leaves it unsolved, which does no harm.

    python examples/figures/dfo2021/dynamic_against_fixed.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from signal_denoising import one_parameter, signals, three_parameters

from odl_learned.learning.bilevel.derivative_free import (
    ImageResiduals,
    dynamic_accuracy,
    fixed_accuracy,
)
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import (
    Accelerated,
    FixedIterations,
    GradientDescent,
    LowerLevel,
    Newton,
)
from odl_learned.solvers.smooth.gradient_descent import gradient_descent

SIZES = {
    "smoke": {
        "three": {"n": 32, "signals": 3, "few": 100, "many": 400, "plain": 2000, "evaluations": 26},
        "one": {"n": 256, "signals": 3, "nu": 2e-2, "many": 450, "plain": 500, "evaluations": 12},
    },
    "paper": {
        "three": {"n": 256, "signals": 20, "few": 200, "many": 2000, "plain": 10000,
                  "evaluations": 40},
        "one": {"n": 256, "signals": 10, "nu": 1e-3, "many": 2000, "plain": 10000,
                "evaluations": 20},
    },
}  # fmt: skip
NOISE_LEVEL, BETA = 0.1, 5e-8  # beta of one signal: 1e-6 for twenty
GAP = {"three": 0.05, "one": 0.01}


def compute(size, rng):
    """Return what every run reached with how much work.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        For ``"three"`` and ``"one"`` parameters, a dict: ``minimum``, by L-BFGS; ``runs``, a dict
        of dicts with arrays ``work`` and ``exact``, the upper-level value of the iterate, and with
        ``bound``, that of the last value.
    """
    return {"three": _three(rng, *SIZES[size]["three"].values()),
            "one": _one(rng, *SIZES[size]["one"].values())}  # fmt: skip


def _three(rng, n, count, few, many, plain, maxeval):
    problem = three_parameters(*signals(count, n, NOISE_LEVEL, rng), BETA)
    start = torch.tensor([0.0, -1.0, -1.0], dtype=torch.float64)

    def dynamic(solver):
        return dynamic_accuracy(problem, start, maxeval, solver)

    def fixed(solver, memory):
        return fixed_accuracy(problem, start, maxeval, solver, 1e-8, memory=memory)

    return _compared(problem, start, {
        "dynamic": dynamic(Accelerated()),
        "few": fixed(FixedIterations(few), 0),
        "many": fixed(FixedIterations(many), 0),
        "1e-8, warm starts": fixed(Accelerated(), 8),
        "plain, dynamic": dynamic(GradientDescent()),
        "plain, many": fixed(FixedIterations(plain, gradient_descent), 0),
        "Newton, dynamic": dynamic(Newton()),
        "Newton, 1e-8": fixed(Newton(), 8),
    })  # fmt: skip


def _one(rng, n, count, nu, many, plain, maxeval):
    problem = one_parameter(*signals(count, n, NOISE_LEVEL, rng), nu)
    start, images = torch.zeros(1, dtype=torch.float64), ImageResiduals()

    def dynamic(solver):
        return dynamic_accuracy(problem, start, maxeval, solver, images)

    def fixed(solver):
        return fixed_accuracy(problem, start, maxeval, solver, 1e-8, images, memory=0)

    return _compared(problem, start, {
        "dynamic": dynamic(Accelerated()),
        "many": fixed(FixedIterations(many)),
        "plain, dynamic": dynamic(GradientDescent()),
        "plain, many": fixed(FixedIterations(plain, gradient_descent)),
    })  # fmt: skip


def _compared(problem, start, learned):
    sharp = LowerLevel(problem, Newton())

    def value(params):
        params = torch.as_tensor(params)
        x = sharp.solve(params, 1e-9).x
        return float(problem.loss.value(x).sum() + problem.penalty(params))

    reference = lbfgsb(problem, start, Implicit(), Newton())
    runs = {name: {"work": run.history["gradients"] + run.history["hessian_products"],
                   "exact": _values(run.history["best"], value), "bound": run.value_bound}
            for name, run in learned.items()}  # fmt: skip
    return {"runs": runs, "minimum": value(reference.params)}


def _values(iterates, value):
    new = np.r_[True, (np.diff(iterates, axis=0) != 0).any(1)]
    return np.array([value(p) for p in iterates[new]])[np.cumsum(new) - 1]


def needed(results, count, name):
    """Return the work until the gap is reached, infinite if it is not."""
    run, minimum = results[count]["runs"][name], results[count]["minimum"]
    reached = np.flatnonzero(run["exact"] <= (1 + GAP[count]) * minimum)
    return float(run["work"][reached[0]]) if reached.size else np.inf


def draw(results, path):
    """Draw gaps against work: three parameters with three lower-level methods, one parameter."""
    figure = Figure(figsize=(9, 6.6), layout="constrained")
    axes = figure.subplots(2, 2, sharey=True).ravel()
    titles = ("three parameters, accelerated gradient descent",
              "three parameters, plain gradient descent", "three parameters, Newton's method",
              "one parameter, accelerated and plain gradient descent")  # fmt: skip
    for count in results:
        for name, run in results[count]["runs"].items():
            ax = axes[3 if count == "one" else ("plain" in name) + 2 * ("Newton" in name)]
            style = "-" if "dynamic" in name else "--"
            gap = np.maximum(run["exact"] / results[count]["minimum"] - 1, 1e-6)
            ax.loglog(run["work"], gap, style, drawstyle="steps-post", label=name)
    for ax, title, count in zip(axes, titles, ("three", "three", "three", "one")):
        ax.axhline(GAP[count], color="k", ls=":", lw=1)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("work of the lower level")
        ax.legend(fontsize=8)
        ax.tick_params(axis="x", which="minor", labelbottom=False)
        ax.grid(alpha=0.3)
    for ax in axes[::2]:
        ax.set_ylabel(r"$f / \min f - 1$ of the iterate")
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    work, one = ({name: needed(results, count, name) for name in results[count]["runs"]}
                 for count in ("three", "one"))  # fmt: skip
    bound = {name: run["bound"] for name, run in results["three"]["runs"].items()}
    assert work["dynamic"] <= 0.2 * work["many"] < np.inf, "dynamic accuracy does not pay"
    assert work["plain, dynamic"] <= 0.2 * work["plain, many"] < np.inf, "it does not, if plain"
    assert 2 * work["dynamic"] <= work["1e-8, warm starts"], "warm starts are what pays"
    assert 3 * work["dynamic"] <= work["plain, dynamic"], "acceleration does not pay"
    assert work["Newton, 1e-8"] <= 2 * work["Newton, dynamic"] < np.inf, "it pays for Newton, too"
    assert work["few"] <= 10 * work["dynamic"], "a few iterations do not suffice, or are too many"
    assert bound["few"] >= 50 * bound["dynamic"], "fixed values are as certain"
    assert 2 * one["dynamic"] <= one["many"] < np.inf, "it does not pay for one parameter"
    assert one["plain, many"] <= 1.5 * one["plain, dynamic"] < np.inf, "it does, with plain steps"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "dfo2021_dynamic_against_fixed.png"
    draw(results, path)
    works = "; ".join(f"{count}, {name}: {needed(results, count, name):,.0f} (ends at "
                      f"{run['exact'][-1] / results[count]['minimum'] - 1:.1e}, "
                      f"bound {run['bound']:.0e})"
                      for count in results
                      for name, run in results[count]["runs"].items())  # fmt: skip
    print(f"work to {GAP['three']:.0%} and {GAP['one']:.0%} of the minimum: {works} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
