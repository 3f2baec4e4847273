"""HOAG and MAID: the same minimum as L-BFGS, certain decrease, schedules, momentum."""

import numpy as np
import pytest
import torch
from bilevel_problems import (
    START,
    Stop,
    denoising,
    require_certified,
    require_same_bits,
    stop_after,
)

from odl_learned.learning.bilevel import Run
from odl_learned.learning.bilevel.first_order import hoag, lbfgsb, maid
from odl_learned.learning.bilevel.first_order.schedules import cubic, exponential, quadratic
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Newton

NEAR = torch.tensor([-0.6, -1.5], dtype=torch.float64)


def best():
    return lbfgsb(denoising(2, 16), START, Implicit(), Newton()).value


@pytest.mark.parametrize("learn", [hoag, maid])
def test_the_value_is_that_of_quasi_newton(learn):
    problem = denoising(2, 16)
    learned = learn(problem, NEAR, Implicit(), Newton(), maxiter=150)
    assert learned.value <= best() * (1 + 1e-6)
    require_certified(problem, learned)


@pytest.mark.parametrize("accuracy, adjoint_accuracy", [(10.0, 10.0), (10.0, 1e-5), (1e-5, 10.0)])
def test_maid_does_not_depend_on_its_first_accuracies(accuracy, adjoint_accuracy):
    problem = denoising(2, 16)
    learned = maid(problem, NEAR, Implicit(), Newton(), maxiter=150, accuracy=accuracy,
                   adjoint_accuracy=adjoint_accuracy)  # fmt: skip
    assert learned.value <= best() * (1 + 1e-6)
    require_certified(problem, learned)


def test_directions_of_maid_are_certain_to_descend():
    problem = denoising(2, 16)
    rows = []
    learned = maid(problem, NEAR, Implicit(), Newton(), maxiter=10, accuracy=1.0,
                   adjoint_accuracy=1.0, run=Run(callback=rows.append))  # fmt: skip
    accuracies = learned.history["accuracy"]
    assert np.min(accuracies) < 0.1 and np.any(np.diff(accuracies) > 0)


def test_momentum_is_used():
    """Same first step, another second one, and fewer steps to the same value."""
    problem = denoising(2, 16)
    plain = maid(problem, NEAR, Implicit(), Newton(), maxiter=25)
    heavy = maid(problem, NEAR, Implicit(), Newton(), maxiter=25, momentum=0.7)
    one, other = plain.history["params"], heavy.history["params"]
    np.testing.assert_array_equal(one[1], other[1])
    assert not np.allclose(one[2], other[2])
    require_certified(problem, heavy)


@pytest.mark.parametrize("schedule", [quadratic, cubic, exponential])
def test_gradients_of_hoag_are_as_accurate_as_scheduled(schedule):
    problem = denoising(2, 16)
    learned = hoag(problem, NEAR, Implicit(), Newton(), schedule=schedule, maxiter=6, accuracy=0.1,
                   adjoint_accuracy=0.2)  # fmt: skip
    steps = np.arange(len(learned.history["accuracy"]))
    # The first trial has the accuracy of the start, and is evaluated again before it is used.
    allowed = np.array([schedule(0 if k == 1 else k) for k in steps]) * (1 + 1e-12)
    assert len(steps) > 3 and schedule(0) == 1
    assert np.all(learned.history["accuracy"] <= 0.1 * allowed)
    assert np.all(learned.history["adjoint_accuracy"] <= 0.2 * allowed)


@pytest.mark.parametrize("learn", [hoag, maid])
@pytest.mark.parametrize("count", [1, 4])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, learn, count):
    problem = denoising(2, 16)
    full = learn(problem, NEAR, Implicit(), Newton(), maxiter=8)
    with pytest.raises(Stop):
        learn(problem, NEAR, Implicit(), Newton(), maxiter=8,
              run=Run(tmp_path / "c", stop_after(count)))  # fmt: skip
    continued = learn(problem, NEAR, Implicit(), Newton(), maxiter=8, run=Run(tmp_path / "c"))
    require_same_bits(full, continued)


def test_a_checkpoint_of_another_method_is_refused(tmp_path):
    problem = denoising(2, 16)
    hoag(problem, NEAR, Implicit(), Newton(), maxiter=1, run=Run(tmp_path / "c"))
    with pytest.raises(ValueError, match="method = hoag, expected maid"):
        maid(problem, NEAR, Implicit(), Newton(), maxiter=1, run=Run(tmp_path / "c"))


@pytest.mark.parametrize("name, value", [
    ("momentum", 1.0), ("momentum", -0.1), ("shrink", 1.5), ("grow", 0.5), ("longer", 0.9),
    ("descent", 1.0), ("step", 0.0),
])  # fmt: skip
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        maid(denoising(2, 16), NEAR, Implicit(), Newton(), **{name: value})
