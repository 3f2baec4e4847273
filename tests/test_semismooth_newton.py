"""Semi-smooth Newton for weights of fields of experts: second derivatives, rates, the optimum."""

import numpy as np
import pytest
import torch

from odl_learned.energies import AutogradEnergy
from odl_learned.energies.filters import ExpertsEnergy, RidgeEnergy, dct_filters, fixed_filters
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute, HalfSquare
from odl_learned.learning.bilevel import BilevelProblem, Run, SquaredError
from odl_learned.learning.bilevel.first_order import lbfgsb, semismooth_newton
from odl_learned.learning.bilevel.first_order.semismooth_newton import _Reduced
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import LowerLevel, Newton

F64 = torch.float64


def images():
    """Piecewise smooth images with a texture, and noisy ones."""
    rng, grid = np.random.default_rng(0), np.arange(12.0)
    truth = []
    for _ in range(3):
        a, b, c = rng.uniform(2, 10, 3)
        step = (grid[:, None] * np.cos(c) + grid * np.sin(c) > a / 2).astype(float)
        truth.append(0.6 * step + 0.02 * grid + 0.1 * np.cos(b * grid)[:, None])
    truth = torch.from_numpy(np.stack(truth))
    return truth, truth + 0.1 * torch.from_numpy(rng.standard_normal(truth.shape))


def problem(potential, nu, penalty=None, size=3):
    truth, data = images()
    energy = ExpertsEnergy((12, 12), potential, (nu,), fixed_filters(dct_filters(size)), 0.0)
    more = {} if penalty is None else {"penalty": penalty}
    return BilevelProblem(energy, data, SquaredError(truth, 0.5), data, lower=0.0, **more)


def start(value):
    return torch.full((8,), value, dtype=F64)


CASES = {"p = 1": (CubicAbsolute(), 0.05, 0.02), "p = 2": (HalfSquare(), 1.0, 0.3)}


@pytest.mark.parametrize(("potential", "nu", "value"), [
    (Charbonnier(), 0.05, 0.02), (HalfSquare(), 1.0, 0.3)])  # fmt: skip
def test_second_derivatives_by_differences(potential, nu, value):
    reduced = _Reduced(problem(potential, nu, lambda p: (p**3).sum()), Newton(), 1e-11)
    params, h = start(value) + 0.01 * torch.arange(8), 1e-5
    matrix = reduced.hessian(reduced.at(params))
    for k, unit in enumerate(torch.eye(8, dtype=F64)):
        ahead, behind = (reduced.at(params + t * unit).gradient for t in (h, -h))
        np.testing.assert_allclose(matrix[k], (ahead - behind) / (2 * h), rtol=0,
                                   atol=1e-5 * float(matrix.abs().max()))  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_convergence_is_superlinear_and_ends_at_a_certified_stationary_point(name):
    potential, nu, value = CASES[name]
    learned = semismooth_newton(problem(potential, nu), start(value), Newton())
    residuals, lengths = (learned.history[key] for key in ("projected_gradient", "step"))
    assert learned.reason == "gradient" and residuals[-1] <= 1e-8
    assert learned.value_bound < 1e-9 and len(residuals) <= 20
    assert (lengths[-3:] == 1).all()
    rates = residuals[1:] / residuals[:-1]
    assert rates[-1] < 1e-2 and rates[-1] < rates[-3]
    assert (learned.params >= 0).all()


@pytest.mark.parametrize("name", CASES)
def test_the_optimum_is_that_of_a_method_of_first_order(name):
    potential, nu, value = CASES[name]
    p = problem(potential, nu)
    learned = semismooth_newton(p, start(value), Newton())
    other = lbfgsb(p, start(value), Implicit(), Newton(), ftol=1e-8)
    assert abs(learned.value - other.value) < 1e-4 * other.value
    assert learned.value - learned.value_bound <= other.value + other.value_bound
    assert len(learned.history["value"]) < 0.7 * len(other.history["value"])


def test_weights_that_do_not_help_are_exactly_zero():
    p = problem(CubicAbsolute(), 0.05, lambda w: 2.0 * w.sum())
    learned = semismooth_newton(p, start(0.02), Newton())
    active = learned.params == 0
    assert learned.reason == "gradient" and 0 < int(active.sum()) < 8
    found = Implicit()(LowerLevel(p), learned.params, 1e-11, 1e-11)
    assert (found.gradient[active] >= 0).all()
    np.testing.assert_allclose(found.gradient[~active], 0, atol=2e-8)


def test_a_checkpoint_continues(tmp_path):
    p = problem(CubicAbsolute(), 0.05)
    whole = semismooth_newton(p, start(0.02), Newton())
    path = tmp_path / "learned.pt"
    first = semismooth_newton(p, start(0.02), Newton(), maxiter=3, run=Run(path))
    assert first.reason == "maxiter" and len(first.history["value"]) == 4
    again = semismooth_newton(p, start(0.02), Newton(), run=Run(path))
    assert len(again.history["value"]) == len(whole.history["value"])
    np.testing.assert_allclose(again.params, whole.params, atol=1e-8)


def test_other_energies_are_refused():
    truth, data = images()
    ridge = RidgeEnergy((12, 12), (1, 2, 2), (0.1,), 0.0)

    class Autograd(AutogradEnergy):
        pass

    p = BilevelProblem(Autograd(abs, abs, abs), data, SquaredError(truth), data)
    with pytest.raises(TypeError, match="Autograd and a SquaredError"):
        semismooth_newton(p, start(0.1), Newton())
    with pytest.raises(TypeError, match="learned filters"):
        p = BilevelProblem(ridge, data, SquaredError(truth), data)
        semismooth_newton(p, ridge.params(dct_filters(2)[:1], torch.ones(1, 1)), Newton())
