"""Problems with a bound on one side of the image: certificates that close."""

import math

import numpy as np
import odl
import pytest
import torch
from scipy.optimize import nnls

from odl_learned import functionals as F
from odl_learned import operators as ops
from odl_learned import solvers, variational
from odl_learned.bridge import as_batch

X = odl.uniform_discr([0, 0], [1, 2], (4, 5))


def data_of(rng, rows=7):
    """A matrix of nonnegative entries, and data that pull the solution below zero."""
    A = odl.MatrixOperator(rng.random((rows, 20)), domain=odl.rn(20), range=odl.rn(rows))
    return A, A.range.element(rng.standard_normal(rows))


def test_tikhonov_against_nonnegative_least_squares(rng):
    (A, y), alpha = data_of(rng), 0.05
    exact, _ = nnls(np.vstack([A.matrix, math.sqrt(alpha) * np.eye(20)]),
                    np.append(y.data, np.zeros(20)))  # fmt: skip
    problem = variational.tikhonov_problem(
        A, F.l2_fidelity(y), alpha, F.BoxConstraint(A.domain, 0, math.inf))
    least = problem.value(A.domain.element(exact))
    solution = solvers.primal_dual(problem, problem.L.domain.zero(), 1e-6)
    assert solution.reason == "accuracy" and np.count_nonzero(exact) < 20
    assert 0 <= problem.value(solution.x) - least <= solution.gap <= 1e-6 * y.norm() ** 2
    assert np.abs(solution.x.data - exact).max() <= math.sqrt(2 * solution.gap / alpha)


def second_order(A, D, alpha, constraint):
    return variational.tgv_problem(A, D, alpha, 0.3, constraint)


@pytest.mark.parametrize("build,bounds", [
    *((build, bounds) for build in (variational.h1_problem, variational.tv_problem)
      for bounds in ((0, math.inf), (-math.inf, 0.1), (0.3, math.inf))),
    (second_order, (0, math.inf))])  # fmt: skip
@pytest.mark.parametrize("kind", ["denoising", "matrix"])
def test_gaps_close(build, kind, bounds, rng):
    """On the old segment from zero they stayed at the value of the minimum."""
    A = odl.IdentityOperator(X)
    if kind == "matrix":
        A = odl.MatrixOperator(rng.random((3, 4)), domain=X)
    y = ops.random_element(A.range, rng)
    problem = build(A, F.l2_fidelity(y), 0.05, F.BoxConstraint(X, *bounds))
    solution = solvers.primal_dual(problem, problem.L.domain.zero(), 0.05, maxiter=4000)
    image = solution.x if solution.x in X else solution.x[0]
    assert solution.reason == "accuracy"
    assert (image.data >= bounds[0]).all() and (image.data <= bounds[1]).all()


def test_counts_behind_a_ray_transform(rng):
    space = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    A = ops.parallel_ray_transform(space, 6)
    truth = space.element(lambda x: np.where(x[0] ** 2 + x[1] ** 2 < 0.4, 5.0, 0.0))
    counts = A.range.element(rng.poisson(A(truth).data).astype("float32"))
    background = A.range.element(0.5 * np.ones(A.range.shape))
    problem = variational.tv_problem(A, F.KullbackLeiblerFidelity(counts, background), 0.05,
                                     F.BoxConstraint(space, 0, math.inf))
    solution = solvers.primal_dual(as_batch(problem), torch.zeros(1, 8, 8), 0.1, maxiter=5000)
    assert list(solution.reason) == ["accuracy"] and (solution.x >= 0).all()


def test_samples_close_their_gaps_by_themselves(rng):
    """One of them is positive anyway, the other one is not."""
    (A, y), box = data_of(rng), F.BoxConstraint(odl.rn(20), 0, math.inf)
    problems = [variational.tikhonov_problem(A, F.l2_fidelity(A.range.element(data)), 0.1, box)
                for data in (A.matrix.sum(1), y.data)]
    start = torch.zeros(2, 20, dtype=torch.float64)
    solution = solvers.primal_dual(as_batch(problems), start, 1e-4)
    assert list(solution.reason) == ["accuracy"] * 2
    for problem, x, gap in zip(problems, solution.x, solution.gap, strict=True):
        alone = solvers.primal_dual(problem, problem.L.domain.zero(), 1e-4)
        assert problem.value(A.domain.element(x.numpy())) <= problem.value(alone.x) + gap


def test_without_room_nothing_is_claimed(rng):
    """With entries of both signs ``L 1`` need not be inside: the bound is that for zero."""
    A = odl.MatrixOperator(np.array([[1.0, -1.0]]), domain=odl.rn(2))
    problem = variational.h1_problem(
        odl.MatrixOperator(np.array([[1.0, -1.0]]), domain=odl.uniform_discr(0, 2, 2)),
        F.l2_fidelity(A.range.element([1.0])), 0.1, F.BoxConstraint(odl.uniform_discr(0, 2, 2),
                                                                  0, math.inf))  # fmt: skip
    y = ops.random_element(problem.L.range, rng)
    x = problem.L.domain.one()
    assert problem.dual_value(y) <= problem.value(x) <= problem.dual_value(y) + problem.gap(x, y)
