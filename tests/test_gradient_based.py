"""L-BFGS, HOAG and MAID: certain decrease, no false ends, resumption to the same bits."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from bilevel_problems import (
    START,
    Stop,
    denoising,
    exact,
    require_certified,
    require_same_bits,
    sampling,
    stop_after,
)

from odl_learned.energies import AutogradEnergy
from odl_learned.learning.bilevel import Run
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.first_order.evaluations import Accuracy, Evaluations
from odl_learned.learning.bilevel.first_order.limited_memory import LimitedMemory, free_parameters
from odl_learned.learning.bilevel.first_order.line_search import search
from odl_learned.learning.bilevel.hypergradients import Direct, Implicit, JacobianFree
from odl_learned.learning.bilevel.lower import Accelerated, LowerLevel, Newton


def grid_minimum(problem):
    """The smallest exact value on a grid that is refined three times, for two parameters."""
    center, width = np.array([-0.7, -2.0]), np.array([0.6, 1.0])
    for _ in range(4):
        axes = [np.linspace(c - w, c + w, 5) for c, w in zip(center, width, strict=True)]
        points = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
        values = [exact(problem, point, 1e-6) for point in points]
        center, width = points[np.argmin(values)], width / 2
    return min(values)


def test_the_minimum_is_that_of_a_fine_grid():
    problem = denoising(2, 16)
    learned = lbfgsb(problem, START)
    assert learned.value <= grid_minimum(problem) * (1 + 1e-6)
    require_certified(problem, learned)


@pytest.mark.parametrize("accuracy", [10.0, 1e-2, 1e-6])
@pytest.mark.parametrize("adjoint_accuracy", [10.0, 1e-3, 1e-6])
def test_the_accuracy_to_start_with_does_not_matter(accuracy, adjoint_accuracy):
    problem = denoising(2, 16)
    learned = lbfgsb(problem, START, Implicit(), Newton(), accuracy=accuracy,
                     adjoint_accuracy=adjoint_accuracy)  # fmt: skip
    best = lbfgsb(problem, START, Direct(), Newton(), accuracy=1e-10, adjoint_accuracy=1e-10)
    assert abs(learned.value - best.value) <= 1e-7 * best.value
    require_certified(problem, learned)


@pytest.mark.parametrize("accuracy", [1e-8, 0.3, 10.0])
def test_no_false_end_of_the_sampling_problem(accuracy):
    """At full sampling the gradient is small, and loose ones seem to vanish."""
    problem, start = sampling(6)
    learned = lbfgsb(problem, start, Implicit(), Newton(), accuracy=accuracy,
                     adjoint_accuracy=accuracy, maxiter=25)  # fmt: skip
    assert learned.value < 0.7 * exact(problem, start)
    require_certified(problem, learned)


def test_plain_quasi_newton_with_loose_gradients_ends_at_once():
    """What the test above guards against, with SciPy's L-BFGS-B."""
    problem, start = sampling(6)
    lower = LowerLevel(problem, Newton())

    def loose(params):
        found = Implicit()(lower, torch.as_tensor(params), 0.3, 0.3)
        return found.value, found.gradient.numpy()

    bounds = scipy.optimize.Bounds(problem.lower.numpy(), problem.upper.numpy())
    result = scipy.optimize.minimize(
        loose, start.numpy(), jac=True, method="L-BFGS-B", bounds=bounds)  # fmt: skip
    assert exact(problem, result.x) > 0.9 * exact(problem, start)


def test_first_order_solvers_and_direct_adjoints_find_the_same():
    problem = denoising(2, 16)
    newton = lbfgsb(problem, START, Implicit(), Newton())
    other = lbfgsb(problem, START, Direct(), Accelerated())
    assert abs(newton.value - other.value) <= 1e-7 * newton.value


def test_gradients_without_bounds_are_trusted_when_more_accuracy_does_not_change_them():
    """An energy whose curvature constants are unknown."""
    problem = denoising(2, 16)
    closed = problem.energy
    energy = AutogradEnergy(
        lambda x, p, y: 0.5 * (x - y).square().sum(1) + 0.5e-3 * x.square().sum(1) + 10 ** p[0] * (
            torch.diff(x, dim=1, prepend=0 * x[:, :1]).square() + 100 ** p[1]).sqrt().sum(1),
        closed.lipschitz, closed.strong_convexity)  # fmt: skip
    unknown = dataclasses.replace(problem, energy=energy)
    learned = lbfgsb(unknown, START, Implicit(), Newton(), accuracy=1.0, adjoint_accuracy=10.0)
    assert np.all(np.isinf(learned.history["gradient_bound"]))
    best = lbfgsb(problem, START, Implicit(), Newton())
    assert abs(learned.value - best.value) <= 1e-6 * best.value


def test_a_direction_that_is_no_gradient_does_not_increase_the_value():
    problem = denoising(2, 16)
    learned = lbfgsb(problem, START, JacobianFree(), Newton(), maxiter=5)
    require_certified(problem, learned)


def test_a_mode_without_certificates_is_refused():
    def mode(lower, params, accuracy, adjoint_accuracy):
        found = Implicit()(lower, params, accuracy, adjoint_accuracy)
        return found._replace(value_bound=math.inf, corrected_value_bound=math.inf)

    with pytest.raises(ValueError, match="no bound of the upper-level value"):
        lbfgsb(denoising(2, 16), START, mode, Newton())


@pytest.mark.parametrize("name", ["accuracy", "adjoint_accuracy", "gtol", "ftol", "max_step"])
def test_numbers_out_of_range_are_refused(name):
    with pytest.raises(ValueError, match=name):
        lbfgsb(denoising(2, 16), START, Implicit(), Newton(), **{name: -1.0})


@pytest.mark.parametrize("count", [1, 3, 6])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, count):
    problem = denoising(2, 16)
    full = lbfgsb(problem, START, Implicit(), Newton())
    with pytest.raises(Stop):
        lbfgsb(problem, START, Implicit(), Newton(),
               run=Run(tmp_path / "c", stop_after(count)))  # fmt: skip
    continued = lbfgsb(problem, START, Implicit(), Newton(), run=Run(tmp_path / "c"))
    require_same_bits(full, continued)


def test_a_checkpoint_of_another_problem_is_refused(tmp_path):
    lbfgsb(denoising(2, 16), START, Implicit(), Newton(), maxiter=2, run=Run(tmp_path / "c"))
    with pytest.raises(ValueError, match="was written with values of data"):
        lbfgsb(denoising(2, 16, seed=1), START, Implicit(), Newton(), run=Run(tmp_path / "c"))


def test_limited_memory_is_the_inverse_of_a_quadratic(rng):
    """After as many independent pairs as parameters, along the last pair it is exact."""
    root = torch.as_tensor(rng.standard_normal((5, 5)))
    hessian, memory = root @ root.T + torch.eye(5), LimitedMemory(5)
    for _ in range(5):
        s = torch.as_tensor(rng.standard_normal(5))
        memory.update(s, hessian @ s)
    everything = torch.ones(5, dtype=torch.bool)
    torch.testing.assert_close(memory.direction(hessian @ s, everything), -s)
    free = torch.tensor([True, True, False, True, True])
    g = torch.as_tensor(rng.standard_normal(5))
    direction = memory.direction(g, free)
    assert float(direction[free] @ g[free]) < 0 and float(direction[2] * g[2]) < 0


def test_parameters_at_a_bound_are_free_where_the_gradient_leads_inside():
    params, gradient = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.5]), torch.tensor([1.0, -1, 1, -1, 1])
    free = free_parameters(params, gradient, torch.zeros(5), torch.ones(5))
    assert free.tolist() == [False, True, True, False, True]


def test_a_search_gives_up_where_rounding_decides():
    problem = denoising(2, 16)
    best = lbfgsb(problem, START, Implicit(), Newton(), gtol=1e-9, ftol=1e-14)
    evaluations = Evaluations(problem, Implicit(), Newton())
    here = evaluations.start(best.params, Accuracy(1e-9, 1e-9))
    found = search(evaluations, here, lambda t: here.params - t * here.gradient,
                   here.accuracy)  # fmt: skip
    assert found.there is None and found.undecidable and evaluations.count < 20
