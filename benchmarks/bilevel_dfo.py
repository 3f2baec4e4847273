"""Dynamic against fixed accuracy in derivative-free bilevel learning.

The three problems of M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for
bilevel learning, J. Math. Imaging Vis. 63 (2021), on the signals of ``dfo_1d.npz``. The ratio of
work counts gradients of single images by accelerated gradient descent until the exact value at the
iterate is within a gap of the minimum: 2000 iterations per evaluation against dynamic accuracy, by
the same trust-region algorithm with the same warm starts.

    python benchmarks/bilevel_dfo.py DATA/bilevel/dfo_1d.npz
"""

import argparse
import json
import time

import numpy as np
import torch

from odl_learned.learning.bilevel.coefficients import decimal, decimal_alpha, odds_weights
from odl_learned.learning.bilevel.dynamic_accuracy import dynamic_accuracy
from odl_learned.learning.bilevel.fidelities import Denoising, FourierSampling
from odl_learned.learning.bilevel.fixed_accuracy import fixed_accuracy
from odl_learned.learning.bilevel.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower_solvers import FixedIterations, Newton
from odl_learned.learning.bilevel.potentials import Charbonnier
from odl_learned.learning.bilevel.problem import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.transforms import BackwardDifferences
from odl_learned.learning.bilevel.variation_energy import VariationEnergy

MINIMUM_1, MINIMUM_3, MINIMUM_SAMPLING = 1.3714888, 2.8268742, 0.4782751


def one_parameter(path):
    """Ten signals, log10 alpha in [-7, 7]."""
    truth, data = _signals(path, "1param")
    energy = VariationEnergy(Denoising(), BackwardDifferences(truth.shape[1]), Charbonnier(),
                             decimal_alpha(1e-3, 1e-3))  # fmt: skip
    return BilevelProblem(energy, data, SquaredError(truth), data.clone(), lower=-7.0, upper=7.0)


def three_parameters(path, beta=1e-6):
    """Twenty signals, log10 of alpha, nu and xi, with a penalty of the condition number."""
    truth, data = _signals(path, "3param")

    def penalty(p):
        alpha, nu, xi = 10 ** p[0], 10 ** p[1], 10 ** p[2]
        return beta * ((1 + 4 * alpha / nu + xi) / (1 + xi)) ** 2

    energy = VariationEnergy(Denoising(), BackwardDifferences(truth.shape[1]), Charbonnier(),
                             decimal)  # fmt: skip
    return BilevelProblem(energy, data, SquaredError(truth), data.clone(), penalty,
                          torch.tensor([-7.0, -7, -7]).double(),
                          torch.tensor([7.0, 0, 0]).double())  # fmt: skip


def sampling(path):
    """Ten signals of 64 Fourier coefficients with weights c / (1 - c)."""
    truth, data = _signals(path, "mri")
    n = truth.shape[1]
    energy = VariationEnergy(FourierSampling(), BackwardDifferences(n), Charbonnier(),
                             odds_weights(1e-2, 1e-2, 1e-4))  # fmt: skip
    return BilevelProblem(energy, data, SquaredError(truth), torch.zeros_like(truth),
                          lambda c: 0.1 * c.sum(), 1e-3, 0.99)  # fmt: skip


def one_parameter_from_five_starts(path):
    """Return the worst exact value after 20 evaluations, and work and seconds from 0."""
    problem, result = one_parameter(path), {}
    exact, values, distances = Exact(problem), [], []
    for a in (0.0, -2.0, -1.0, 1.0, 2.0):
        began = time.process_time()
        learned = dynamic_accuracy(problem, torch.tensor([a], dtype=torch.float64), 20)
        if a == 0.0:
            result = {"dfo1_iterations": int(learned.history["gradients"][-1]),
                      "dfo1_seconds": time.process_time() - began}  # fmt: skip
        values.append(exact(learned.params))
        distances.append(abs(float(learned.params[0]) + 0.314921))
    return {"dfo1_f_worst": max(values), "dfo1_distance_worst": max(distances), **result}


def fixed_two_hundred(path):
    """Return what 200 iterations from the data lead to: the value believed and the exact one."""
    problem = one_parameter(path)
    start = torch.zeros(1, dtype=torch.float64)
    learned = fixed_accuracy(problem, start, 20, FixedIterations(200), memory=0)
    return {"dfo1_fixed_200_believed": learned.value,
            "dfo1_fixed_200_exact": Exact(problem)(learned.params)}  # fmt: skip


def work_ratio_1(path):
    """One parameter, gap of 1 %."""
    return _ratio(one_parameter(path), torch.zeros(1, dtype=torch.float64), 20, MINIMUM_1, 0.01,
                  "work_ratio_1")  # fmt: skip


def work_ratio_3(path):
    """Three parameters, gap of 5 %."""
    start = torch.tensor([0.0, -1.0, -1.0], dtype=torch.float64)
    return _ratio(three_parameters(path), start, 100, MINIMUM_3, 0.05, "work_ratio_3")


def work_ratio_sampling(path, maxeval=1000):
    """Sixty-four weights from 1/2, gap of 1 %; minutes for the fixed accuracy."""
    return _ratio(sampling(path), torch.full((64,), 0.5, dtype=torch.float64), maxeval,
                  MINIMUM_SAMPLING, 0.01, "work_ratio_sampling", largest_radius=0.1)  # fmt: skip


class Exact:
    """Exact upper-level values."""

    def __init__(self, problem):
        self._problem, self._lower_level = problem, LowerLevel(problem, Newton())

    def __call__(self, params):
        params = torch.as_tensor(params)
        x = self._lower_level.solve(params, 1e-10).x
        return float(self._problem.loss.value(x).sum() + self._problem.penalty(params))


class Reached(Exception):
    """The gap is reached: no need to go on."""


def _ratio(problem, start, maxeval, minimum, gap, name, largest_radius=1.0):
    works = {}
    for kind in ("dynamic", "fixed"):
        exact, last = Exact(problem), [None]
        row = {}

        def watch(new, exact=exact, last=last, row=row):
            row.update(new)
            if last[0] is None or not np.array_equal(new["best"], last[0]):
                last[0] = new["best"]
                if exact(new["best"]) <= minimum * (1 + gap):
                    raise Reached

        try:
            if kind == "dynamic":
                dynamic_accuracy(problem, start, maxeval, largest_radius=largest_radius,
                                 callback=watch)  # fmt: skip
            else:
                fixed_accuracy(problem, start, maxeval, FixedIterations(2000),
                               largest_radius=largest_radius, callback=watch)  # fmt: skip
            works[f"{name}_{kind}_reached"] = False
        except Reached:
            works[f"{name}_{kind}_reached"] = True
        works[f"{name}_{kind}_work"] = int(row["gradients"])
        works[f"{name}_{kind}_evaluations"] = int(row["evaluation"])
    ratio = works[f"{name}_fixed_work"] / works[f"{name}_dynamic_work"]
    # where the fixed accuracy did not get there, the ratio is at least this
    return {name: ratio if works[f"{name}_dynamic_reached"] else float("nan"), **works}


def _signals(path, name):
    with np.load(path) as arrays:
        return tuple(torch.as_tensor(arrays[f"{kind}_{name}"]) for kind in ("truth", "data"))


def main(path):
    """Print all numbers as JSON, one measurement a line."""
    torch.set_num_threads(1)
    for measure in (one_parameter_from_five_starts, fixed_two_hundred, work_ratio_1, work_ratio_3,
                    work_ratio_sampling):  # fmt: skip
        print(json.dumps(measure(path)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="dfo_1d.npz")
    main(parser.parse_args().path)
