"""Inexact stochastic gradients: batches, certain decrease of batches, resumption."""

import numpy as np
import pytest
import torch
from bilevel_problems import Stop, denoising, exact, require_same_bits, stop_after

from odl_learned.learning.bilevel import Run
from odl_learned.learning.bilevel.first_order import isgd, lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import Newton

START = torch.tensor([-0.3, -1.5], dtype=torch.float64)


def learn(problem, **more):
    generator = torch.Generator().manual_seed(0)
    return isgd(problem, START, Implicit(), Newton(), generator=generator,
                **{"batch_size": 2, "epochs": 4, **more})  # fmt: skip


def test_the_value_comes_near_the_minimum():
    problem = denoising(6, 16)
    learned = learn(problem, epochs=12)
    best = lbfgsb(problem, START, Implicit(), Newton()).value
    at_start = exact(problem, START)
    assert learned.value - best < 0.1 * (at_start - best)
    assert abs(exact(problem, learned.params) - learned.value) <= learned.value_bound + 1e-9


def test_every_pair_is_used_once_in_an_epoch():
    """Batches of 2 and a rest of 1: values of rows are those of a permutation."""
    problem = denoising(5, 16)
    learned = learn(problem, epochs=2)
    np.testing.assert_array_equal(learned.history["epoch"], [0, 0, 0, 1, 1, 1])
    order = torch.randperm(5, generator=torch.Generator().manual_seed(0))
    params, before = START, START
    for row, index in enumerate((order[:2], order[2:4], order[4:])):
        part = problem.take(index)
        scale = 5 / len(index)
        params = torch.as_tensor(learned.history["params"][row])

        def value(theta):
            penalty = problem.penalty_value_and_gradient(theta)[0]
            whole = exact(part, theta)
            return scale * (whole - penalty) + penalty

        assert abs(value(params) - learned.history["value"][row]) <= (
            learned.history["value_bound"][row] + 1e-8)  # fmt: skip
        if learned.history["taken"][row]:
            assert value(params) < value(before) - learned.history["decrease"][row] + 1e-8
        else:
            assert torch.equal(params, before)
        before = params
    assert learned.history["taken"].any()


def test_one_batch_of_all_pairs_is_gradient_descent():
    problem = denoising(3, 16)
    learned = learn(problem, batch_size=3, epochs=6)
    values = [exact(problem, p) for p in learned.history["params"]]
    assert np.all(np.diff(values) < 0)


@pytest.mark.parametrize("count", [1, 5])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, count):
    problem = denoising(5, 16)
    full = learn(problem)
    with pytest.raises(Stop):
        learn(problem, run=Run(tmp_path / "c", stop_after(count)))
    require_same_bits(full, learn(problem, run=Run(tmp_path / "c")))


@pytest.mark.parametrize("name, value", [("batch_size", 7), ("batch_size", 0), ("epochs", 0),
                                         ("step", -1.0), ("accuracy", 0.0)])  # fmt: skip
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        learn(denoising(5, 16), **{name: value})
