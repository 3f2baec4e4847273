"""Proximal gradient descent and FISTA: search for the step, stopping rules, what is wrong."""

import math
import re

import numpy as np
import odl
import pytest
from lasso_problems import L1, SOLVERS, LeastSquares, lasso, problem

from odl_learned.operators import random_element
from odl_learned.solvers import Backtracking, Discrepancy, DivergenceError, fista


@pytest.mark.parametrize("solver", SOLVERS)
def test_search_for_the_step(solver, rng):
    f, g = lasso(rng, 8)
    L, mu = f.grad_lipschitz, f.strong_convexity
    hat = solver(f, g, np.zeros((8, 6)), 1e-10, 10**5).x
    del f.grad_lipschitz
    for start in (None, 1e-3):
        solution = solver(f, g, np.zeros((8, 6)), 1e-6, 10**5, lipschitz=Backtracking(start))
        assert set(solution.reason) == {"accuracy"}
        assert np.all(np.linalg.norm(solution.x - hat, axis=1) <= solution.error_bound)
    without = solver(f, g, np.zeros((8, 6)), 1e-6, 10**5, strong_convexity=mu)
    assert np.all(without.error_bound <= 1e-6)
    assert np.all(L > 0)


def test_a_search_that_cannot_end_says_so():
    class Uphill(LeastSquares):
        def gradient(self, x):
            return -super().gradient(x)

    f = Uphill(np.ones((2, 3, 3)) + np.eye(3), np.ones((2, 3)))
    with pytest.raises(DivergenceError, match="of sample 0 of f rise for every step"):
        fista(f, L1(0.1), np.ones((2, 3)), None, 10, lipschitz=Backtracking(0.1))


def test_a_duality_gap_stops_and_bounds(rng):
    f, g = lasso(rng, 12, shape=(4, 6))
    f.strong_convexity[:] = 0

    class Gap:
        """Objective minus dual value at the residual, scaled into the dual ball."""

        def __init__(self, f):
            self.f, self.asked = f, []

        def __call__(self, x):
            r = self.f.residual(x)
            slope = np.abs((self.f.A * r[:, :, None]).sum(1)).max(1)
            p = r * np.minimum(1, g.alpha / np.maximum(slope, 1e-300))[:, None]
            dual = -(p**2).sum(1) / 2 - (p * self.f.y).sum(1)
            self.asked.append(len(x))
            return self.f(x) + g.alpha * np.abs(x).sum(1) - dual

        def take(self, index):
            part = Gap(self.f.take(index))
            part.asked = self.asked
            return part

    def value(x):
        return f(x) + g.alpha * np.abs(x).sum(1)

    zero = np.zeros((12, 6))
    best = value(fista(f, g, zero, 1e-13, 10**5, gap=Gap(f)).x)
    gap = Gap(f)
    solution = fista(f, g, zero, 1e-4, 10**5, gap=gap)
    assert set(solution.reason) == {"accuracy"} and solution.error_bound is None
    assert np.all(solution.gap <= 1e-4)
    assert np.all(value(solution.x) - best <= solution.gap + 1e-13)
    assert np.all(solution.niter % 10 == 0) and min(gap.asked) < 12
    f.strong_convexity[:] = np.linalg.eigvalsh(np.swapaxes(f.A, 1, 2) @ f.A)[:, 0].clip(0)
    both = fista(f, g, zero, 1e-4, 3, gap=Gap(f), strong_convexity=1e-9)
    assert np.all(both.error_bound <= np.sqrt(2 * both.gap / 1e-9) * (1 + 1e-9))


@pytest.mark.parametrize("solver", SOLVERS)
def test_discrepancy_principle(solver, rng):
    f, g = lasso(rng, 10)

    class Forward:
        def __init__(self, A):
            self.A = A

        def __call__(self, x):
            return (self.A * x[:, None, :]).sum(-1)

        def take(self, index):
            return Forward(self.A[index])

    hat = np.linalg.norm(f.residual(fista(f, g, np.zeros((10, 6)), 1e-10, 10**5).x), axis=1)
    noise_norm = hat * np.linspace(1.01, 1.5, 10)
    rule = Discrepancy(Forward(f.A), f.y, noise_norm, tau=1.0)
    solution = solver(f, g, np.zeros((10, 6)), None, 10**4, discrepancy=rule)
    assert set(solution.reason) == {"discrepancy"}
    assert np.all(np.linalg.norm(f.residual(solution.x), axis=1) <= noise_norm)
    b = int(solution.niter.argmax())
    before = solver(f.take([b]), g, np.zeros((1, 6)), None, int(solution.niter[b]) - 1)
    assert np.linalg.norm(f.take([b]).residual(before.x)) > noise_norm[b]
    at_once = solver(f, g, solution.x, None, 5, discrepancy=rule)
    assert np.all(at_once.niter == 0) and np.array_equal(at_once.x, solution.x)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", [0.45, 0.1, 1e-3, 1e-200])
def test_a_wrong_lipschitz_constant_is_named_soon(solver, factor, rng):
    f, g = lasso(rng, 5)
    f.grad_lipschitz[3] *= factor
    f.strong_convexity[3] = 0
    count = []
    with pytest.raises(DivergenceError, match="of sample 3"):
        solver(f, g, np.zeros((5, 6)), None, 10**4, callback=count.append)
    assert len(count) <= 10
    one, g, L, mu = problem(rng)
    with pytest.raises(DivergenceError, match="may diverge: lipschitz|may diverge: values are not"):
        solver(one, g, one.domain.zero(), None, 100, lipschitz=factor * L)
    with pytest.raises(DivergenceError, match="strong_convexity is .* changed by only"):
        solver(one, g, random_element(one.domain, rng), 1e-9, 10**4, L, 20 * mu)


@pytest.mark.parametrize("solver", SOLVERS)
def test_arguments(solver, rng):
    f, g, L, mu = problem(rng)
    zero = f.domain.zero()
    for accuracy in (0, -1.0, math.nan, [1e-3, 1e-3]):
        with pytest.raises(ValueError, match="accuracy"):
            solver(f, g, zero, accuracy, 10, L, mu)
    with pytest.raises(ValueError, match="no distance can be certified"):
        solver(f, g, zero, 1e-3, 10, L)
    for wrong in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="lipschitz"):
            solver(f, g, zero, 1e-3, 10, wrong, mu)
    for wrong in (-1.0, math.nan):
        with pytest.raises(ValueError, match="g_strong_convexity"):
            solver(f, g, zero, 1e-3, 10, L, mu, wrong)
    with pytest.raises(ValueError, match="at most lipschitz"):
        solver(f, g, zero, 1e-3, 10, L, 2 * L)
    with pytest.raises(ValueError, match="maxiter"):
        solver(f, g, zero, 1e-3, 0, L, mu)
    with pytest.raises(TypeError, match=re.escape("f.domain.element(array)")):
        solver(f, g, odl.rn(6).zero(), 1e-3, 10, L, mu)
    with pytest.raises(TypeError, match="has no proximal"):
        solver(f, abs, zero, 1e-3, 10, L, mu)
    with pytest.raises(TypeError, match="has no gradient"):
        solver(abs, g, zero, 1e-3, 10, L, mu)
    with pytest.raises(ValueError, match="x0 contains NaN"):
        solver(f, g, math.nan * f.domain.one(), 1e-3, 10, L, mu)
    for wrong in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match="noise_norm"):
            Discrepancy(f.right, f.right.range.zero(), wrong)
    with pytest.raises(ValueError, match="tau"):
        Discrepancy(f.right, f.right.range.zero(), 1.0, tau=0.5)
