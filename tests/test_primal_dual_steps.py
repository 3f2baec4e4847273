"""Step rules of the primal-dual solver, and what it says of wrong steps and arguments."""

import numpy as np
import odl
import pytest
import torch
from primal_dual_problems import (
    IDENTITY,
    SHAPE,
    X,
    denoising,
    inpainting,
    magnetic_resonance,
    noisy,
)

from odl_learned import solvers, variational
from odl_learned.bridge import as_batch
from odl_learned.functionals import l2_fidelity
from odl_learned.operators import random_element
from odl_learned.solvers import Accelerated, AdaptiveSteps, FixedSteps, LinearRate, primal_dual

# Step rules


def test_linear_rate_of_smooth_and_strongly_convex_problems(rng):
    """Squared distances shrink by theta = 1 / (1 + m) at least."""
    problem = variational.h1_problem(IDENTITY, l2_fidelity(noisy(rng)), 2.0)
    # f = |x - d|^2 / 2 and g = c |z|^2 / 2, g* = |p|^2 / (2 c)
    c, norm = 2 * problem.g.scalar, problem.operator_norm
    rule = LinearRate(1.0, 1 / c)
    theta = 1 / (1 + 2 * np.sqrt(1 / c) / norm)
    P = as_batch([problem])
    best = primal_dual(P, accuracy=1e-15, maxiter=400, steps=rule).x
    distances = []
    primal_dual(P, accuracy=1e-15, maxiter=60, steps=rule,
                callback=lambda x: distances.append(float(P.L.domain.norm(x - best)[0]) ** 2))
    k = np.arange(10, 50)
    rate = np.exp(np.polyfit(k, np.log(np.array(distances)[k]), 1)[0])
    assert rate <= theta
    fixed = primal_dual(P, accuracy=1e-10, steps=FixedSteps()).niter
    assert primal_dual(P, accuracy=1e-10, steps=rule).niter <= fixed


def test_acceleration_pays_on_denoising(rng):
    space = odl.uniform_discr([0, 0], [64, 64], [64, 64], dtype="float32")
    truth = odl.phantom.shepp_logan(space, modified=True)
    data = [truth + 0.1 * random_element(space, rng) for _ in range(2)]
    P = as_batch([variational.tv_problem(odl.IdentityOperator(space), l2_fidelity(d), 0.1)
                  for d in data])
    plain = primal_dual(P, accuracy=1e-4, steps=FixedSteps()).niter
    fast = primal_dual(P, accuracy=1e-4, steps=Accelerated(P.strong_convexity)).niter
    assert np.all(fast < 0.9 * plain)


@pytest.mark.parametrize("make", [denoising, inpainting, magnetic_resonance])
@pytest.mark.parametrize("ratio", [1 / 50, 50])
def test_adaptive_steps_repair_a_bad_balance(make, ratio):
    P = as_batch([make(np.random.default_rng(i)) for i in range(4)])
    fixed = primal_dual(P, accuracy=1e-2, maxiter=600, steps=FixedSteps(ratio)).niter
    adaptive = primal_dual(P, accuracy=1e-2, maxiter=600, steps=AdaptiveSteps(ratio)).niter
    assert np.mean(adaptive) < 0.7 * np.mean(fixed)


# Errors


@pytest.mark.parametrize("batched", [False, True])
def test_steps_that_are_too_large_are_named(batched, rng):
    problem = as_batch([inpainting(rng)]) if batched else inpainting(rng)
    norm = float(problem.operator_norm)
    primal_dual(problem, maxiter=10, steps=FixedSteps(tau=0.5 / norm, sigma=2 / norm))
    with pytest.raises(solvers.DivergenceError, match=r"tau sigma \|L\|\^2 is 4, expected at most"):
        primal_dual(problem, steps=FixedSteps(tau=2 / norm, sigma=2 / norm))


def test_a_wrong_norm_is_found_out_within_ten_iterations(rng):
    problem = inpainting(rng)
    wrong = variational.Problem(problem.f, problem.g, problem.L, norm=0.2, balance=problem.balance)
    calls = []
    with pytest.raises(solvers.DivergenceError, match=r"tau sigma \|L\|\^2 is at least"):
        primal_dual(wrong, callback=calls.append)
    assert len(calls) < 10


def test_values_that_are_not_finite_are_named(rng):
    class Broken(odl.functionals.Functional):
        @property
        def proximal(self):
            return lambda sigma: odl.ConstantOperator(X.element(np.nan * np.ones(SHAPE)))

    problem = denoising(rng)
    wrong = variational.Problem(Broken(X), problem.g, problem.L, f_conj=problem.f_conj)
    with pytest.raises(solvers.DivergenceError, match="not finite at iteration 1"):
        primal_dual(wrong)


WRONG = [
    ("x0 elsewhere", lambda p: dict(x0=odl.rn(3).one()), TypeError, "x0 is not an element"),
    ("dual elsewhere", lambda p: dict(dual0=X.one()), TypeError, "dual0 is not an element"),
    ("x0 NaN", lambda p: dict(x0=np.nan * X.one()), ValueError, "x0 contains NaN"),
    ("accuracy", lambda p: dict(accuracy=0), ValueError, "accuracy is 0; expected"),
    ("maxiter", lambda p: dict(maxiter=-1), ValueError, "maxiter is -1; expected"),
]


@pytest.mark.parametrize("name, arguments, error, message", WRONG, ids=[w[0] for w in WRONG])
def test_wrong_arguments(name, arguments, error, message, rng):
    problem = inpainting(rng)
    with pytest.raises(error, match=message):
        primal_dual(problem, **arguments(problem))


def test_wrong_arguments_of_batches(rng):
    P = as_batch([inpainting(rng), inpainting(rng)])
    with pytest.raises(ValueError, match=r"accuracy has shape \(3,\)"):
        primal_dual(P, accuracy=np.ones(3))
    with pytest.raises(TypeError, match="x0 is not an element"):
        primal_dual(P, torch.zeros(3, *SHAPE, dtype=torch.float64))
    with pytest.raises(TypeError, match="x0 is not an element"):
        primal_dual(P, torch.zeros(2, *SHAPE))


@pytest.mark.parametrize("make, message", [
    (lambda: FixedSteps(0), "ratio is 0"),
    (lambda: FixedSteps(tau=1.0), "expected both or none"),
    (lambda: FixedSteps(tau=1.0, sigma=-1.0), "sigma is -1"),
    (lambda: AdaptiveSteps(change=1.0), "change is 1.0; expected a number between 0 and 1"),
    (lambda: AdaptiveSteps(decay=0), "decay is 0"),
    (lambda: Accelerated(0), "strong_convexity is 0"),
    (lambda: LinearRate(1.0, np.inf), "dual is inf"),
])
def test_wrong_rules(make, message):
    with pytest.raises(ValueError, match=message):
        make()
