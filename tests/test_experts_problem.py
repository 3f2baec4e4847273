"""Nonsmooth fields of experts against a linear program, anisotropic variation and weak duality."""

import math

import numpy as np
import odl
import pytest
import scipy.ndimage
import scipy.optimize

from odl_learned import solvers
from odl_learned.functionals import BoxConstraint, MagnitudeBound, l2_fidelity
from odl_learned.operators import SampledFourier, mask_operator, random_element
from odl_learned.variational import experts_problem

DIFFERENCES = np.zeros((2, 3, 3))
DIFFERENCES[:, 1, 1] = -1
DIFFERENCES[0, 2, 1] = DIFFERENCES[1, 1, 2] = 1


def image_space(dtype="float64", side=1.0):
    return odl.uniform_discr([0, 0], [6 * side, 5 * side], (6, 5), dtype=dtype)


def responses(filters, shape):
    """Dense matrices of the filters, with the mirrored boundary of scipy."""
    units = np.eye(math.prod(shape)).reshape(-1, *shape)
    return [np.stack([scipy.ndimage.correlate(unit, f, mode="reflect").ravel() for unit in units],
                     axis=1) for f in filters]  # fmt: skip


def test_the_minimum_is_that_of_a_linear_program(rng):
    """``min |A x - y|_1 + sum alpha_k |f_k * x|_1`` with ``0 <= x <= 1``, as one by HiGHS."""
    X, h = image_space(side=0.5), 0.25
    mask, y = rng.random(X.shape) < 0.7, rng.random(X.shape)
    filters, alphas = rng.standard_normal((3, 3, 3)), np.array([0.2, 0.0, 0.05])
    A = mask_operator(X, mask)
    D = odl.functionals.L1Norm(X).translated(A(X.element(y)))
    problem = experts_problem(A, D, filters, alphas, BoxConstraint(X, 0, 1))
    solution = solvers.primal_dual(problem, accuracy=1e-4, maxiter=20000)
    assert solution.reason == "accuracy"

    rows = [np.diag(mask.ravel().astype(float)), *responses(filters, X.shape)]
    weights = h * np.repeat([1.0, *alphas], X.size)
    M, right = np.concatenate(rows), np.concatenate([(mask * y).ravel(), np.zeros(3 * X.size)])
    identity = np.eye(len(M))
    program = scipy.optimize.linprog(
        np.concatenate([np.zeros(X.size), weights]),
        np.block([[M, -identity], [-M, -identity]]), np.concatenate([right, -right]),
        bounds=[(0, 1)] * X.size + [(0, None)] * len(M))  # fmt: skip
    excess = problem.value(solution.x) - program.fun
    assert -1e-10 <= excess <= solution.gap <= 1e-4 * problem.value(solution.x)
    assert problem.dual_value(solution.dual) <= program.fun + 1e-10


@pytest.mark.parametrize("constrained", [False, True])
def test_differences_give_anisotropic_variation(constrained, rng):
    X = image_space()
    data = random_element(X, rng)
    constraint = BoxConstraint(X, -9, 9) if constrained else None
    problem = experts_problem(odl.IdentityOperator(X), l2_fidelity(data), DIFFERENCES, [0.3, 0.3],
                              constraint)  # fmt: skip
    assert problem.strong_convexity == 1.0
    solution = solvers.primal_dual(problem, accuracy=1e-8, maxiter=20000)
    reference = solvers.rof(data, 0.3, accuracy=1e-10, exponent=1)
    # |x - xhat|^2 / 2 <= gap for both, with strong convexity one
    bound = solution.error_bound + math.sqrt(2 * 1e-10 * problem.value(reference.x))
    assert solution.reason == "accuracy"
    assert (solution.x - reference.x).norm() <= bound + 1e-12


@pytest.mark.parametrize("kind", ["float32", "float64", "complex128"])
@pytest.mark.parametrize("constrained", [False, True])
def test_value_and_weak_duality(kind, constrained, rng):
    X = image_space(kind, side=0.1)
    if kind == "complex128":
        A, C = SampledFourier(X, rng.random(X.shape) < 0.7), MagnitudeBound(X, 5.0)
    else:
        A, C = 2.0 * odl.IdentityOperator(X), BoxConstraint(X, -5, 5)
    data = A(random_element(X, rng))
    filters, alphas = rng.standard_normal((3, 2, 3)), [0.3, 0.0, 0.02]
    problem = experts_problem(A, l2_fidelity(data), filters, alphas, C if constrained else None)
    x = 0.5 * random_element(X, rng)
    expected = 0.5 * (A(x) - data).norm() ** 2
    for alpha, matrix in zip(alphas, responses(filters, X.shape)):
        expected += alpha * 0.01 * np.abs(matrix @ np.asarray(x.data).ravel()).sum()
    assert problem.value(x) == pytest.approx(expected, rel=1e-5 if kind == "float32" else 1e-12)
    if constrained or kind != "complex128":
        for scale in (1e-3, 1.0, 1e3):
            y = scale * random_element(problem.L.range, rng)
            assert -math.inf < problem.dual_value(y) <= expected * (1 + 1e-5)


def test_pdhg_of_odl_solves_it(rng):
    X = image_space("float32")
    A = mask_operator(X, rng.random(X.shape) < 0.7)
    problem = experts_problem(A, l2_fidelity(A(random_element(X, rng))), DIFFERENCES, [0.1, 0.2],
                              BoxConstraint(X, -5, 5))  # fmt: skip
    tau, sigma = problem.step_sizes()
    x, y = problem.L.domain.zero(), problem.L.range.zero()
    odl.solvers.pdhg(x, *problem, niter=400, tau=tau, sigma=sigma, y=y)
    assert 0 <= problem.gap(x, y) <= 1e-3 * problem.value(x)
    solution = solvers.primal_dual(problem, accuracy=1e-5, maxiter=5000)
    assert abs(problem.value(x) - problem.value(solution.x)) <= problem.gap(x, y) + solution.gap
