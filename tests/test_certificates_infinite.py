"""Primal-dual certificates that are infinite, or would be: none certifies, and few need be so."""

import dataclasses
import math

import numpy as np
import odl
import pytest

from odl_learned import variational
from odl_learned.bridge import as_batch
from odl_learned.functionals import BoxConstraint, KullbackLeiblerFidelity, l2_fidelity
from odl_learned.operators import (
    OrthogonalWavelet,
    PeriodicConvolution,
    SampledFourier,
    mask_operator,
    random_element,
)
from odl_learned.solvers import Accelerated, AdaptiveSteps, FixedSteps, LinearRate, primal_dual
from odl_learned.variational.feasibility import farthest_finite

X = odl.uniform_discr(0, 8, 8)
IDENTITY = odl.IdentityOperator(X)
COUNTS = X.element([0, 0, 3, 0, 5, 0, 0, 1])
COUNTED = KullbackLeiblerFidelity(COUNTS)
RULES = [FixedSteps(), AdaptiveSteps(), Accelerated(0.01), LinearRate(0.1, 0.1)]
# A peak of b counts between zeros costs min_s (s - b + b log(b / s) + 2 alpha s), s = b / (1 + 2
# alpha), that is b log(1 + 2 alpha); at the boundary there is one neighbor less.
ALPHA = 0.3
LEAST = 8 * math.log(1 + 2 * ALPHA) + math.log(1 + ALPHA)


def impossible():
    """Between 1/2 and 2 are no images whose negatives lie between 1 and 2."""
    return variational.Problem(BoxConstraint(X, 0.5, 2), BoxConstraint(X, 1, 2), -1.0 * IDENTITY,
                               strong_convexity=1.0)  # fmt: skip


def both(problem):
    return [problem, as_batch([problem, problem])]


@pytest.mark.parametrize("rule", RULES)
def test_total_variation_of_counts_without_a_constraint(rule):
    assert pytest.approx(4.022393, abs=1e-6) == LEAST
    for problem in both(variational.tv_problem(IDENTITY, COUNTED, ALPHA)):
        for x0 in (None, -3 * X.one()) if problem.L.domain == X else (None,):
            s = primal_dual(problem, x0, accuracy=1e-4, steps=rule, maxiter=2000)
            excess = np.asarray(problem.value(s.x)) - LEAST
            assert np.all(s.reason == "accuracy") if problem.L.domain != X else (
                s.reason == "accuracy")
            assert np.all(excess >= -1e-13) and np.all(s.gap >= excess)
            assert np.all(np.asarray(s.gap) <= 1e-4 * LEAST * (1 + 1e-4))


@pytest.mark.parametrize("build", [
    lambda A, D: variational.h1_problem(A, D, ALPHA),
    lambda A, D: variational.tgv_problem(A, D, ALPHA, 1.0),
    lambda A, D: variational.tikhonov_problem(A, D, ALPHA),
    lambda A, D: variational.experts_problem(A, D, [[-1, 1]], [ALPHA]),
    lambda A, D: variational.tv_problem(3.0 * A, D, ALPHA),
    lambda A, D: variational.tv_problem(A, odl.functionals.L1Norm(X).translated(COUNTS), ALPHA),
])
def test_other_problems_without_a_constraint_are_certified(build):
    for problem in both(build(IDENTITY, COUNTED)):
        s = primal_dual(problem, accuracy=1e-2, maxiter=1000)
        assert np.all(np.asarray(s.reason) == "accuracy") and np.all(np.isfinite(s.gap))
        assert np.all(problem.gap(s.x, s.dual) == s.gap)


def test_tikhonov_of_counts_with_an_operator_that_leaves_the_domain(rng):
    """Images of iterates are negative where nothing was counted."""
    A = odl.MatrixOperator(rng.uniform(0, 1, (8, 8)), X, X)
    problem = variational.tikhonov_problem(A, COUNTED, ALPHA)
    s = primal_dual(problem, accuracy=1e-4)
    best = primal_dual(problem, accuracy=1e-8)
    assert (s.reason, best.reason) == ("accuracy", "accuracy")
    assert problem.value(s.x) - problem.value(best.x) <= s.gap
    assert (s.x - best.x).norm() <= s.error_bound + best.error_bound
    assert np.all(A(s.x).data >= 0)


@pytest.mark.parametrize("rule", RULES)
def test_a_box_in_g_is_met_by_a_point_near_the_iterate(rule):
    box = BoxConstraint(X, 0.5, 2)
    problem = variational.Problem(l2_fidelity(COUNTS), box, IDENTITY, strong_convexity=1.0)
    for start in (None, 7 * X.one()):
        s = primal_dual(problem, start, accuracy=1e-6, steps=rule, maxiter=3000)
        assert s.reason == "accuracy" and box(s.x) == 0
        assert (s.x - X.element(np.clip(COUNTS.data, 0.5, 2))).norm() <= s.error_bound <= 2e-2


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("maxiter", [0, 1, 60])
def test_an_infinite_gap_certifies_nothing(rule, maxiter):
    for problem in both(impossible()):
        s = primal_dual(problem, steps=rule, maxiter=maxiter)
        assert np.all(np.asarray(s.reason) == "maxiter") and np.all(np.asarray(s.niter) == maxiter)
        assert np.all(np.asarray(s.gap) == math.inf)
        assert np.all(np.asarray(s.error_bound) == math.inf)


def test_infeasible_starts_without_iterations():
    for make in (lambda: variational.tv_problem(IDENTITY, COUNTED, ALPHA), impossible):
        problem = make()
        s = primal_dual(problem, -X.one(), maxiter=0)
        assert s.reason == "maxiter"
        assert not s.gap < problem.value(s.x) - LEAST


def test_without_a_constraint_the_lower_bound_is_that_of_zero(rng):
    A = mask_operator(X, rng.random(8) < 0.5)
    problem = variational.tv_problem(A, l2_fidelity(A(COUNTS)), 0.1)
    s = primal_dual(problem, maxiter=30)
    assert (s.niter, s.reason) == (30, "maxiter")
    assert s.gap == pytest.approx(problem.value(s.x), rel=1e-12)


def test_sums_that_vanish_certify_nothing():
    """Squares of 1e-200 are zero, and so are the value and gap of every image of that size."""
    data = 1e-200 * COUNTS
    s = primal_dual(variational.tikhonov_problem(IDENTITY, l2_fidelity(data), 3.0), maxiter=10)
    assert s.reason == "rounding"
    assert s.error_bound >= (s.x - 0.25 * data).norm()
    huge = variational.tv_problem(IDENTITY, l2_fidelity(1e200 * COUNTS), 1.0)
    with np.errstate(over="ignore"):
        assert primal_dual(huge, maxiter=10).reason == "maxiter"


def test_the_farthest_point_of_finite_value():
    ends = np.array([2.0, 1.0, 0.99, 0.5, 0.3, 0.0, -1.0])
    t, values = farthest_finite(lambda t: np.where(t <= ends, t, np.inf), 7, 2.2e-16)
    assert np.array_equal(t, [1, 1, 1 - 2**-6, 0.5, 0, 0, 1])
    assert np.array_equal(values, [1, 1, 1 - 2**-6, 0.5, 0, 0, np.inf])


SQUARE = odl.uniform_discr([0, 0], [1, 1], (4, 6))
COMPLEX = odl.uniform_discr([0, 0], [1, 1], (4, 6), dtype="complex128")
CUT = odl.uniform_discr([0, 0], [1, 1], (4, 6), nodes_on_bdry=True)


def invertible(kind, rng):
    """Operators of full rank, of which the smallest singular value is known."""
    if kind == "multiplication":
        return odl.MultiplyOperator(CUT.element(rng.uniform(0.5, 2, CUT.shape)))
    if kind == "sampling":
        return SampledFourier(COMPLEX, rng.uniform(0.5, 1, COMPLEX.shape))
    if kind == "real image":
        return SampledFourier(COMPLEX, np.ones((4, 6))) @ odl.ComplexEmbedding(SQUARE)
    blur = PeriodicConvolution(SQUARE, np.array([[0.1, 0.8, 0.1]]))
    if kind == "blurs side by side":
        return odl.BroadcastOperator(blur, PeriodicConvolution(SQUARE, np.ones((3, 1)) / 3))
    return {"blur": blur, "wavelets": OrthogonalWavelet(SQUARE, "db2", 1)}[kind]


BUILDERS = {
    "tv": lambda A, D: variational.tv_problem(A, D, 0.02),
    "h1": lambda A, D: variational.h1_problem(A, D, 0.002),
    "tgv": lambda A, D: variational.tgv_problem(A, D, 0.02, 0.2),
    "experts": lambda A, D: variational.experts_problem(A, D, [[[-1, 1]], [[1, -2]]], [0.1, 0.2]),
}


@pytest.mark.parametrize("name,kind", [
    ("tv", "multiplication"), ("tv", "sampling"), ("tv", "real image"), ("tv", "blur"),
    ("tv", "blurs side by side"), ("h1", "wavelets"), ("tgv", "sampling"), ("experts", "blur"),
])  # fmt: skip
def test_full_rank_needs_no_constraint(name, kind, rng):
    A = invertible(kind, rng)
    problem = BUILDERS[name](A, l2_fidelity(random_element(A.range, rng)))
    batch = as_batch([problem, problem])
    s = primal_dual(batch, accuracy=3e-2, maxiter=1500)
    best = primal_dual(batch, accuracy=5e-3, maxiter=1500)
    assert set(s.reason) == set(best.reason) == {"accuracy"}
    value, least = batch.value(s.x), batch.value(best.x)
    assert np.all(s.gap <= 3e-2 * value) and np.all(value - least <= s.gap)
    alone = primal_dual(problem, accuracy=3e-1, maxiter=500)
    assert alone.reason == "accuracy" and problem.value(alone.x) - least[0] <= alone.gap


def test_a_false_strong_convexity_makes_the_gap_too_small():
    """For ``|2 x|^2 / 2`` the minimizer is zero, and ``L* y = 4 x`` at ``y = 2 x``: G vanishes."""
    A = 2.0 * odl.MultiplyOperator(X.element([1, -1] * 4))
    problem = variational.h1_problem(A, l2_fidelity(X.zero()), 1e-12)
    x = X.one()
    y = problem.L(x)
    y[0] = problem.g[0].gradient(y[0])
    assert problem.strong_convexity == pytest.approx(4, rel=1e-6)
    for factor, holds in ((1, True), (100, False)):
        claim = dataclasses.replace(problem, strong_convexity=factor * problem.strong_convexity)
        assert (claim.gap(x, y) >= problem.value(x) * (1 - 1e-12)) == holds
