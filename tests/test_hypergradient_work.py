"""Accuracies, warm starts and work of hypergradients, sample by sample, and their errors."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from hypergradient_problems import PROBLEMS, denoising, pictures, sampling, signals

from odl_learned.energies import FixedEnergy
from odl_learned.energies.samples import sample_norms
from odl_learned.learning.bilevel import SquaredError
from odl_learned.learning.bilevel.hypergradients import (
    Direct,
    Implicit,
    JacobianFree,
    Piggyback,
    Unrolled,
)
from odl_learned.learning.bilevel.hypergradients.adjoint import AdjointOperator
from odl_learned.learning.bilevel.lower import LowerLevel


@pytest.mark.parametrize("mode", [Implicit(), Piggyback(3000)], ids=["implicit", "piggyback"])
def test_accuracies_are_reached_for_every_sample(mode, rng):
    problem, params = signals(rng)
    asked = np.array([1e-2, 1e-4, 1e-7]), np.array([1e-6, 1e-2, 1e-4])
    found = mode(LowerLevel(problem), params, *asked)
    f = FixedEnergy(problem.energy, params, problem.data)
    slope = f.linearize(found.x)
    error = sample_norms(slope.gradient) / f.strong_convexity
    residual = sample_norms(slope.hessian(found.adjoint) - problem.loss.gradient(found.x))
    assert (error.numpy() <= asked[0]).all() and (residual.numpy() <= asked[1]).all()


def test_the_adjoint_starts_warm_and_the_state_keeps_it(rng):
    problem, params = denoising(rng)
    lower = LowerLevel(problem)
    first = Implicit()(lower, params, 1e-9, 1e-9)
    again = Implicit()(lower, params, 1e-9, 1e-9)
    assert again.work.hessian_products < first.work.hessian_products / 3
    other = LowerLevel(problem)
    other.restore(copy.deepcopy(lower.state()))
    results = [Implicit()(level, params + 1e-3, 1e-9, 1e-9) for level in (lower, other)]
    assert torch.equal(results[0].gradient, results[1].gradient)
    assert results[0].work.hessian_products == results[1].work.hessian_products


def test_a_useless_adjoint_is_not_used(rng):
    problem, params = denoising(rng)
    lower, fresh = LowerLevel(problem), LowerLevel(problem)
    lower.adjoint = 1e6 * torch.ones_like(problem.x0)
    found, expected = (Implicit()(level, params, 1e-9, 1e-9) for level in (lower, fresh))
    assert torch.equal(found.gradient, expected.gradient)


@pytest.mark.parametrize("name", ["denoising", "sampling", "denoising, autograd"])
@pytest.mark.parametrize("mode", [Implicit(), Piggyback(60)], ids=["implicit", "piggyback"])
def test_a_sample_alone_is_the_sample_in_the_batch(mode, name, rng):
    problem, params = PROBLEMS[name](rng)
    batch = mode(LowerLevel(problem), params, 1e-6, 1e-6)
    for i in range(len(problem.x0)):
        alone = mode(LowerLevel(problem.take([i])), params, 1e-6, 1e-6)
        torch.testing.assert_close(alone.x[0], batch.x[i], rtol=0, atol=1e-14)
        torch.testing.assert_close(alone.adjoint[0], batch.adjoint[i], rtol=0, atol=1e-12)


def test_parts_of_the_adjoint_operator_are_its_parts(rng):
    problem, params = sampling(rng)
    data = problem.data.repeat(3, 1, 1) * torch.arange(1, 7)[:, None, None]
    x = pictures((4, 5), 6, rng, torch.complex128)
    v = pictures((4, 5), 6, rng, torch.complex128)
    f = FixedEnergy(problem.energy, params, data)
    operator = AdjointOperator(f, x)
    whole, pre = operator(v), operator.precondition(v)
    index = np.arange(6)
    for take in ([0, 2, 3, 4, 5], [1, 2, 3], [0, 2]):
        operator, index = operator.take(np.array(take)), index[take]
        torch.testing.assert_close(operator(v[index]), whole[index], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(operator.precondition(v[index]), pre[index], rtol=1e-13,
                                   atol=1e-13)  # fmt: skip


def test_work_is_counted(rng):
    problem, params = denoising(rng)
    lower = LowerLevel(problem)
    total = [Implicit()(lower, params + t, 1e-6, 1e-6).work for t in (0.0, 0.1)]
    for name in ("solves", "values", "gradients", "hessian_products"):
        assert sum(getattr(work, name) for work in total) == getattr(lower.work, name)
    assert lower.work.solves == 2 and lower.work.hessian_products > 0


def test_single_precision(rng):
    problem, params = denoising(rng)
    exact = Implicit()(LowerLevel(problem), params, 1e-11, 1e-11)
    single = dataclasses.replace(problem, data=problem.data.float(), x0=problem.x0.float(),
                                 loss=SquaredError(problem.loss.truth.float(), 0.5))
    found = Implicit()(LowerLevel(single), params, 1e-9, 1e-9)
    assert found.x.dtype == torch.float32 and found.gradient.dtype == torch.float64
    error = float((found.gradient - exact.gradient).norm())
    # Data and truth are rounded to 2^-24, and so is every step; the condition is below 1e2.
    assert error <= 1e-4 * float(exact.gradient.norm())
    assert found.gradient_bound >= error


@pytest.mark.parametrize("build, match", [
    (lambda: Implicit(0), "maxiter"), (lambda: Unrolled(0), "niter"),
    (lambda: Unrolled(3, 0), "every"), (lambda: JacobianFree(-1.0), "step"),
    (lambda: Piggyback(0), "maxiter"), (lambda: Direct(0), "largest"),
])  # fmt: skip
def test_bad_settings_are_named(build, match):
    with pytest.raises(ValueError, match=match):
        build()


def test_direct_refuses_large_problems(rng):
    problem, params = sampling(rng)
    with pytest.raises(ValueError, match="one sample has 40 real unknowns"):
        Direct(39)(LowerLevel(problem), params, 1e-3, 1e-3)
