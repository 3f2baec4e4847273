"""Inexact derivative-free learning: decisions, accuracy, resumption, and what it costs."""

import dataclasses
import os

import numpy as np
import pytest
import torch

from odl_learned.energies import AutogradEnergy, Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import decimal, decimal_alpha, odds_weights
from odl_learned.energies.potentials import Charbonnier
from odl_learned.energies.transforms import BackwardDifferences
from odl_learned.learning.bilevel import BilevelProblem, Run, SquaredError
from odl_learned.learning.bilevel.derivative_free import (
    ImageResiduals,
    PixelResiduals,
    bobyqa,
    dynamic_accuracy,
    fixed_accuracy,
)
from odl_learned.learning.bilevel.derivative_free.dynamic_accuracy import DynamicAccuracy
from odl_learned.learning.bilevel.derivative_free.residuals import Point
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Accelerated, FixedIterations, LowerLevel, Newton


def signals(count, size, rng):
    """Piecewise constant signals with two jumps, and data with noise."""
    t = np.linspace(0, 1, size)
    first, last = rng.uniform(0.1, 0.4, (count, 1)), rng.uniform(0.6, 0.9, (count, 1))
    truth = np.where((t > first) & (t < last), rng.uniform(0.7, 1.3, (count, 1)), 0.0)
    data = truth + 0.1 * rng.normal(size=truth.shape)
    return torch.as_tensor(truth), torch.as_tensor(data)


def energy(coefficients, size):
    return VariationEnergy(Denoising(), BackwardDifferences(size), Charbonnier(), coefficients)


def one_parameter(count=4, size=32, factor=1.0):
    truth, data = signals(count, size, np.random.default_rng(0))
    return BilevelProblem(energy(decimal_alpha(1e-2, 1e-3), size), data,
                          SquaredError(truth, factor), data.clone(), lower=-4.0,
                          upper=2.0)  # fmt: skip


def condition_penalty(p):
    alpha, nu, xi = 10 ** p[0], 10 ** p[1], 10 ** p[2]
    return 1e-6 * ((1 + 4 * alpha / nu + xi) / (1 + xi)) ** 2


def three_parameters():
    truth, data = signals(4, 32, np.random.default_rng(1))
    return BilevelProblem(energy(decimal, 32), data, SquaredError(truth), data.clone(),
                          condition_penalty, torch.tensor([-4.0, -4, -4]).double(),
                          torch.tensor([2.0, 0, 0]).double())  # fmt: skip


def exact(problem, params):
    solution = LowerLevel(problem, Newton()).solve(params, 1e-10)
    return float(problem.loss.value(solution.x).sum() + problem.penalty(params))


def start(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_one_parameter_reaches_the_minimum_of_a_fine_grid_from_everywhere():
    problem = one_parameter()
    grid = np.linspace(-4, 2, 601)
    least = min(exact(problem, start(a)) for a in grid[250:450:4])
    for a in (-3.0, -1.0, 0.0, 1.5):
        learned = dynamic_accuracy(problem, start(a), 20)
        assert exact(problem, learned.params) <= 1.002 * least
        assert learned.history["evaluation"][-1] <= 20


@pytest.mark.parametrize("residuals", [PixelResiduals(), ImageResiduals()])
def test_three_parameters_with_a_penalty(residuals):
    """Against Nelder and Mead on exact values."""
    from scipy.optimize import minimize

    problem, params0 = three_parameters(), start(0, -1, -1)
    lower, upper = problem.lower.numpy(), problem.upper.numpy()
    reference = minimize(
        lambda p: exact(problem, torch.as_tensor(np.clip(p, lower, upper))), params0.numpy(),
        method="Nelder-Mead", options={"maxfev": 150, "xatol": 1e-4, "fatol": 1e-7})  # fmt: skip
    first = exact(problem, params0)
    learned = dynamic_accuracy(problem, params0, 60, residuals=residuals)
    gap = exact(problem, learned.params) - reference.fun
    assert gap <= 0.05 * (first - reference.fun)
    assert torch.all(learned.params >= problem.lower) and torch.all(learned.params <= problem.upper)


def test_more_parameters_than_images():
    """Weights of Fourier coefficients, with a penalty: against L-BFGS-B on hypergradients."""
    truth, data = signals(2, 12, np.random.default_rng(4))
    data = torch.fft.fft(data.to(torch.complex128), norm="ortho")
    smooth = VariationEnergy(FourierSampling(), BackwardDifferences(12), Charbonnier(),
                             odds_weights(1e-2, 1e-1, 1e-2))  # fmt: skip
    problem = BilevelProblem(smooth, data, SquaredError(truth), torch.zeros_like(truth),
                             lambda c: 0.1 * c.sum(), 1e-2, 0.9)  # fmt: skip
    params0 = start(*[0.5] * 12)
    least = lbfgsb(problem, params0, Implicit(), Newton(), ftol=1e-6).value
    learned = dynamic_accuracy(problem, params0, 100, residuals=ImageResiduals())
    assert exact(problem, learned.params) <= 1.03 * least


@pytest.mark.parametrize("factor", [1.0, 0.125])
def test_values_are_certified(factor):
    problem = one_parameter(factor=factor)
    history = dynamic_accuracy(problem, start(0.0), 12).history
    for params, value, bound in zip(history["params"], history["value"],
                                    history["value_bound"], strict=True):  # fmt: skip
        assert abs(value - exact(problem, torch.as_tensor(params))) <= bound
    assert np.all(history["error_bound"] <= history["accuracy"])
    assert np.all(np.diff(history["gradients"]) >= 0)


def test_the_iterates_decrease_the_exact_function():
    problem = one_parameter()
    history = dynamic_accuracy(problem, start(1.0), 20).history
    values = [exact(problem, torch.as_tensor(p)) for p in history["best"]]
    accepted = np.flatnonzero(np.diff(values) != 0)
    assert len(accepted) >= 3
    # the first model may start anywhere among its points; from then on eta_1' <= eta_1 / 2
    assert all(values[i + 1] < values[i] for i in accepted[1:])


def test_accuracy_of_a_decrease_inverts_the_bound_of_the_loss():
    """With errors ``tau`` of all images the bound of ``SquaredError`` is below ``eta pred``."""
    rng = np.random.default_rng(2)
    rule = DynamicAccuracy(0.05, 10.0)
    for _ in range(50):
        truth, x = torch.as_tensor(rng.normal(size=(2, 5, 7)))
        loss, decrease = SquaredError(truth), 10 ** rng.uniform(-8, 1)
        r = PixelResiduals()(loss, x).numpy()
        point = Point(np.zeros(1), r, np.zeros(5), float(r @ r), 0.0)
        tau = rule.of_decrease(point, decrease)
        assert float(loss.value_bound(x, tau * np.ones(5)).sum()) <= 0.05 * decrease * (1 + 1e-9)
        worst = r + tau * np.sqrt(5) * r / np.linalg.norm(r)
        assert worst @ worst - r @ r == pytest.approx(0.05 * decrease, rel=1e-6)


def test_residuals_have_the_errors_of_the_reconstructions():
    rng = np.random.default_rng(3)
    truth = torch.as_tensor(rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4)))
    x, e = truth + 1, torch.as_tensor(rng.normal(size=(3, 4)) + 0j)
    loss = SquaredError(truth, 0.25)
    for residuals in (PixelResiduals(), ImageResiduals()):
        r = residuals(loss, x)
        assert r.dtype == torch.float64 and not r.is_complex()
        assert float(r @ r) == pytest.approx(float(loss.value(x).sum()))
        change = (residuals(loss, x + e) - r).norm()
        assert change <= 0.5 * e.norm() * (1 + 1e-12)
    again = PixelResiduals().reconstructions(loss, PixelResiduals()(loss, x).numpy())
    torch.testing.assert_close(again, x)


class Killed(Exception):
    """The process ends here."""


def killed_after(rows):
    count = []

    def callback(row):
        count.append(row)
        if len(count) == rows:
            raise Killed

    return callback


@pytest.mark.parametrize("rows", [1, 5, 12])
def test_a_killed_run_continues_with_the_same_bits(tmp_path, rows):
    problem, params0 = three_parameters(), start(0, -1, -1)
    whole = dynamic_accuracy(problem, params0, 12)
    path = tmp_path / "run.ckpt"
    with pytest.raises(Killed):
        dynamic_accuracy(problem, params0, 12, run=Run(path, killed_after(rows)))
    again = dynamic_accuracy(problem, params0, 12, run=Run(path))
    assert torch.equal(whole.params, again.params) and whole.value == again.value
    for name in whole.history.keys() - {"seconds"}:
        np.testing.assert_array_equal(whole.history[name], again.history[name], err_msg=name)
    with pytest.raises(ValueError, match="solver"):
        dynamic_accuracy(problem, params0, 12, Newton(), run=Run(path))


def test_fixed_iterations_are_fixed_and_may_be_wrong():
    problem = one_parameter()
    few = fixed_accuracy(problem, start(0.0), 12, FixedIterations(5), memory=0)
    work = np.diff(few.history["gradients"])
    assert np.all(work == work[0])
    assert few.value_bound > 0.05 * few.value  # and it says so
    least = dynamic_accuracy(problem, start(0.0), 20).value
    assert exact(problem, few.params) > 1.01 * least


def test_dynamic_accuracy_needs_less_work_than_a_fixed_one():
    problem = one_parameter()
    fixed = fixed_accuracy(problem, start(0.0), 15, Accelerated(), 1e-8, memory=0)
    dynamic = dynamic_accuracy(problem, start(0.0), 15)
    assert exact(problem, dynamic.params) <= 1.01 * exact(problem, fixed.params)
    assert dynamic.history["gradients"][-1] < 0.5 * fixed.history["gradients"][-1]


def test_a_lower_level_that_can_do_no_better_ends_the_refinement():
    problem = one_parameter()

    def coarse(f, x0, accuracy):
        return Accelerated()(f, x0, np.maximum(accuracy, 1e-3))

    learned = dynamic_accuracy(problem, start(0.0), 15, coarse)
    assert len(learned.history["value"]) < 150
    assert learned.value_bound > 0


def test_bobyqa_finds_the_same_minimum_and_continues(tmp_path):
    pytest.importorskip("pybobyqa")
    problem = one_parameter()
    least = dynamic_accuracy(problem, start(0.0), 20).value
    learned = bobyqa(problem, start(0.0), 20, Accelerated(), 1e-8)
    assert exact(problem, learned.params) <= 1.01 * least
    path = tmp_path / "run.ckpt"
    with pytest.raises(Killed):
        bobyqa(problem, start(0.0), 20, Accelerated(), 1e-8,
               run=Run(path, killed_after(7)))  # fmt: skip
    again = bobyqa(problem, start(0.0), 20, Accelerated(), 1e-8, run=Run(path))
    assert torch.equal(learned.params, again.params)
    np.testing.assert_array_equal(learned.history["value"], again.history["value"])


def test_bobyqa_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pybobyqa", None)
    with pytest.raises(ImportError, match=r"odl_learned\[dfo\]"):
        bobyqa(one_parameter(), start(0.0), 20, Newton())


def test_errors_name_the_next_step():
    problem = one_parameter()
    with pytest.raises(ValueError, match="bounds"):
        dynamic_accuracy(dataclasses.replace(problem, upper=np.inf), start(0.0), 20)
    with pytest.raises(ValueError, match="clip"):
        dynamic_accuracy(problem, start(5.0), 20)
    with pytest.raises(ValueError, match="maxeval"):
        dynamic_accuracy(problem, start(0.0), 1)
    with pytest.raises(ValueError, match="eta"):
        dynamic_accuracy(problem, start(0.0), 20, eta=0.2)
    with pytest.raises(TypeError, match="SquaredError"):
        dynamic_accuracy(dataclasses.replace(problem, loss=object()), start(0.0), 20)


def test_any_energy_will_do():
    """Scalars in closed form: ``xhat = y / (1 + a)``, best with ``1 + a = |y|^2 / <y, t>``."""
    truth, data = torch.ones(3, 1).double(), start(1.2, 1.5, 1.8)[:, None]
    quadratic = AutogradEnergy(
        lambda x, p, y: ((x - y) ** 2 / 2 + p[0] * x**2 / 2).sum(1),
        lambda p: 1 + p[0], lambda p: 1 + p[0])  # fmt: skip
    problem = BilevelProblem(quadratic, data, SquaredError(truth), data, lower=0.0, upper=10.0)
    learned = dynamic_accuracy(problem, start(3.0), 25)
    best = float((data**2).sum() / (data * truth).sum()) - 1
    assert float(learned.params) == pytest.approx(best, rel=1e-2)


@pytest.mark.slow
@pytest.mark.skipif("ODL_LEARNED_DATA" not in os.environ, reason="needs the published signals")
def test_published_one_parameter_problem():
    """Twenty evaluations from five starts; the exact minimum is 1.3714888 at -0.314921."""
    arrays = np.load(os.path.join(os.environ["ODL_LEARNED_DATA"], "bilevel", "dfo_1d.npz"))
    truth, data = (torch.as_tensor(arrays[k]) for k in ("truth_1param", "data_1param"))
    problem = BilevelProblem(energy(decimal_alpha(1e-3, 1e-3), 256), data, SquaredError(truth),
                             data.clone(), lower=-7.0, upper=7.0)  # fmt: skip
    for a in (-2.0, -1.0, 0.0, 1.0, 2.0):
        learned = dynamic_accuracy(problem, start(a), 20)
        assert exact(problem, learned.params) <= 1.3727
        assert abs(float(learned.params) + 0.3149) <= 0.025
        assert a != 0 or learned.history["gradients"][-1] <= 93_000
