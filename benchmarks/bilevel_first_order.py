"""First-order bilevel learning on the published problems: value reached, time and certificates.

Functions take the folder of the data (``dfo_1d.npz``, ``mri_square_32.npz``, ``tv_kodak_96.npz``)
and return dicts of numbers. Values are exact upper-level values: of a lower level that is solved
again, to 1e-9. Times are CPU seconds of this process.
"""

import time
from pathlib import Path

import numpy as np
import torch

import odl_learned  # noqa: F401  (imports odl first)
from odl_learned.energies import Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import Coefficients, decimal, odds_weights
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute
from odl_learned.energies.transforms import BackwardDifferences, ForwardDifferences, Separate
from odl_learned.learning.bilevel import BilevelProblem, Run, SquaredError, continuation
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import LowerLevel, Newton

OPTIMA = {1e-6: 2.8268742, 1e-4: 4.9796783}


def three_parameters(folder, beta):
    """Denoising of 20 signals, ``log10 (alpha, nu, xi)``, with a penalty of the conditioning."""
    truth, data = _arrays(folder, "dfo_1d.npz", "truth_3param", "data_3param")

    def penalty(params):
        alpha, nu, xi = 10.0**params
        return beta * ((1 + 4 * alpha / nu + xi) / (1 + xi)) ** 2

    size = data.shape[1]
    energy = VariationEnergy(Denoising(), BackwardDifferences(size), Charbonnier(), decimal)
    return BilevelProblem(
        energy, data, SquaredError(truth), data.clone(), penalty,
        lower=_vector(-7, -7, -7), upper=_vector(7, 0, 0)), _vector(0, -1, -1)  # fmt: skip


def sampling_64(folder):
    """Sampling of the Fourier transform of 10 signals, 64 weights ``c / (1 - c)``."""
    truth, data = _arrays(folder, "dfo_1d.npz", "truth_mri", "data_mri")
    energy = VariationEnergy(FourierSampling(), BackwardDifferences(64), Charbonnier(),
                             odds_weights(1e-2, 1e-2, 1e-4))  # fmt: skip
    start = torch.full((64,), 0.5, dtype=torch.float64)
    return BilevelProblem(
        energy, data, SquaredError(truth), torch.zeros_like(data), lambda c: 0.1 * c.sum(),
        lower=0.001, upper=0.99), start  # fmt: skip


def variation_kodak(folder):
    """Denoising of 25 images by smoothed total variation, ``log (alpha, nu)``."""
    truth, data = _arrays(folder, "tv_kodak_96.npz", "truth", "data")
    energy = VariationEnergy(
        Denoising(), Separate(ForwardDifferences(data.shape[1:])), Charbonnier(),
        lambda p: Coefficients(0.5 * p[0].exp(), p[1].exp(), 0.0))  # fmt: skip
    problem = BilevelProblem(energy, data, SquaredError(truth, 0.5 / len(data)), data.clone())
    return problem, _vector(-5, -5)


def sampling_square(folder, fixed=False, concave=0.1):
    """Sampling of a 32^2 image: all weights and alpha, or, ``fixed`` at full sampling, alpha.

    ``concave`` is the price ``beta_2`` of undecided weights.
    """
    truth, data = _arrays(folder, "mri_square_32.npz", "truth", "data")
    shape, entries = data.shape[1:], data[0].numel()

    def coefficients(params):
        weights = None if fixed else params[:-1].reshape(shape) ** 2
        return Coefficients(params[-1], 1e-2, 1e-2, weights)

    def penalty(params):
        s = params[:-1]
        return (0.1 * s.sum() + concave * (s * (1 - s)).sum()) / entries

    energy = VariationEnergy(FourierSampling(), ForwardDifferences(shape), CubicAbsolute(),
                             coefficients)  # fmt: skip
    loss = SquaredError(truth, 0.5 / (len(data) * entries))
    if fixed:
        return BilevelProblem(energy, data, loss, torch.zeros_like(data), lower=1e-8)
    lower, upper = torch.zeros(entries + 1).double(), torch.ones(entries + 1).double()
    lower[-1], upper[-1] = 1e-8, torch.inf
    return BilevelProblem(energy, data, loss, torch.zeros_like(data), penalty, lower, upper)


def reg6(folder):
    """Gap of three parameters, both penalties, and seconds until the slower one is at 1e-3."""
    gaps, seconds, wrong = {}, 0.0, 0
    for beta, optimum in OPTIMA.items():
        problem, start = three_parameters(folder, beta)
        clock = _Clock(problem, optimum * (1 + 1e-3))
        learned = lbfgsb(problem, start, Implicit(), Newton(), ftol=1e-6, run=Run(callback=clock))
        gaps[beta] = exact_value(problem, learned.params)[0] / optimum - 1
        seconds, wrong = max(seconds, clock.seconds), wrong + violations(problem, learned)
    return {"reg6_gap": gaps[1e-6], "reg4_gap": gaps[1e-4], "reg6_seconds": seconds,
            "certificate_violations": wrong}  # fmt: skip


def sampling1d(folder):
    """Value, seconds until it is certainly at most 0.4788, and points that are sampled."""
    problem, start = sampling_64(folder)
    clock = _Clock(problem, 0.4788)
    learned = lbfgsb(problem, start, Implicit(), Newton(), ftol=1e-6, run=Run(callback=clock))
    return {
        "sampling1d_f": exact_value(problem, learned.params)[0],
        "sampling1d_seconds": clock.seconds, "sampling1d_seconds_in_all": clock.all,
        "sampling1d_nonzeros": int((learned.params > 0.0011).sum()),
        "certificate_violations": violations(problem, learned),
    }  # fmt: skip


def square(folder):
    """Final value, seconds until 0.0278 and in all, and the part of the points sampled.

    The concave part of the penalty comes last; all values are those with it.
    """
    alone, problem = sampling_square(folder, fixed=True), sampling_square(folder)
    first = _Clock(alone, 0.0)
    alpha = lbfgsb(alone, _vector(1e-3), Implicit(), Newton(), max_step=1e-2, ftol=1e-4,
                   run=Run(callback=first)).params  # fmt: skip
    start = torch.cat([torch.ones(problem.lower.shape[0] - 1, dtype=torch.float64), alpha])
    clock = _Clock(problem, 0.0278)

    def learn(stage, params):
        def measured(row):
            at = torch.as_tensor(row["params"])
            other = (problem.penalty(at) - stage.penalty(at)).item()
            clock(dict(row, value=row["value"] + other))

        return lbfgsb(stage, params, Implicit(), Newton(), maxiter=1000,
                      ftol=1e-5 if stage is problem else 1e-3,
                      run=Run(callback=measured))  # fmt: skip

    learned = continuation([sampling_square(folder, concave=0.0), problem], start, learn)
    return {
        "square_f": exact_value(problem, learned.params)[0],
        "square_seconds": first.all + clock.seconds, "square_seconds_in_all": first.all + clock.all,
        "square_fraction": float((learned.params[:-1] > 1e-3).double().mean()),
        "certificate_violations": violations(problem, learned),
    }  # fmt: skip


def tv25(folder, accuracies=(10.0, 1.0, 0.1, 1e-3, 1e-5)):
    """Value, seconds and work until 8.4718, and the worst value from all pairs of accuracies."""
    problem, start = variation_kodak(folder)
    clock = _Clock(problem, 8.4718)
    learned = lbfgsb(problem, start, Implicit(), Newton(), ftol=1e-5, run=Run(callback=clock))
    value, wrong = exact_value(problem, learned.params)[0], violations(problem, learned)
    worst = value
    for accuracy in accuracies:
        for adjoint in accuracies:
            other = lbfgsb(problem, start, Implicit(), Newton(), accuracy=accuracy,
                           adjoint_accuracy=adjoint, ftol=1e-5)  # fmt: skip
            worst = max(worst, exact_value(problem, other.params)[0])
            wrong += violations(problem, other, 4)
    return {"tv25_f": value, "tv25_seconds": clock.seconds, "tv25_iterations": clock.iterations,
            "tv25_worst_f": worst, "certificate_violations": wrong}  # fmt: skip


class _Clock:
    """A callback that notes CPU seconds and batched iterations until the value is certainly low."""

    def __init__(self, problem, target):
        self.seconds = self.iterations = self.all = float("inf")
        self._target, self._pairs, self._began = target, len(problem.x0), time.process_time()

    def __call__(self, row):
        self.all = time.process_time() - self._began
        if row["value"] + row["value_bound"] <= self._target and self.seconds == float("inf"):
            self.seconds = self.all
            self.iterations = float(row["gradients"] + row["hessian_products"]) / self._pairs


def exact_value(problem, params, accuracy=1e-9):
    """Return the upper-level value of a lower level that is solved anew, and its error bound."""
    solution = LowerLevel(problem, Newton()).solve(params, accuracy)
    value = float(problem.loss.value(solution.x).sum())
    bound = float(problem.loss.value_bound(solution.x, solution.error_bound).sum())
    return value + problem.penalty_value_and_gradient(params)[0], bound


def violations(problem, learned, most=12):
    """Count intervals that miss the exact value, and steps that do not decrease it."""
    count, rows = 0, learned.history
    picked = np.unique(np.linspace(0, len(rows["value"]) - 1, most).astype(int))
    before = np.inf
    for i in picked:
        value, bound = exact_value(problem, torch.as_tensor(rows["params"][i]))
        count += abs(value - rows["value"][i]) > rows["value_bound"][i] + bound
        count += value - bound >= before
        before = value + bound
    return int(count)


def _arrays(folder, name, *keys):
    with np.load(Path(folder) / name) as file:
        arrays = [torch.as_tensor(file[key]) for key in keys]
    return [a.to(torch.complex128 if a.is_complex() else torch.float64) for a in arrays]


def _vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)
