"""Wrong adjoints and gradients: no solver certifies with them."""

import warnings

import numpy as np
import odl
import pytest
from quadratics import Linearization

from odl_learned import variational
from odl_learned.bridge import as_batch
from odl_learned.functionals import BoxConstraint, l2_fidelity
from odl_learned.solvers import (
    DivergenceError,
    accelerated_gradient,
    fista,
    gradient_descent,
    lsqr,
    newton_krylov,
    primal_dual,
    proximal_gradient,
    restarted_gradient,
)

X = odl.uniform_discr(0, 1, 8)
Y = odl.rn(5)
FACTORS = [1 / 8, 0.95, 1.05, 8.0]


class Scaled(odl.Operator):
    """A dense matrix whose adjoint is right up to a factor, as if weights were forgotten."""

    def __init__(self, matrix, factor, domain=X, range=Y):
        super().__init__(domain, range, linear=True)
        self.matrix, self.factor = matrix, factor

    def _call(self, x):
        return self.range.element(self.matrix @ x.data)

    @property
    def adjoint(self):
        weights = [1.0 if space is Y else space.weighting.const
                   for space in (self.domain, self.range)]
        transpose = self.factor * weights[1] / weights[0] * self.matrix.T
        return Scaled(transpose, 1 / self.factor, self.range, self.domain)


class Quadratic:
    """``|A x - y|^2 / 2 + |x|^2 / 2`` for arrays (B, n), its gradient with a scaled adjoint."""

    def __init__(self, A, y, factor):
        self.A, self.y, self.factor = A, y, factor
        spectrum = np.linalg.eigvalsh(factor * A.swapaxes(1, 2) @ A)
        self.grad_lipschitz, self.strong_convexity = spectrum[:, -1] + 1, np.ones(len(A))

    def __call__(self, x):
        residual = (self.A @ x[..., None])[..., 0] - self.y
        return (residual**2).sum(-1) / 2 + (x**2).sum(-1) / 2

    def gradient(self, x):
        residual = self.A @ x[..., None] - self.y[..., None]
        return self.factor * (self.A.swapaxes(1, 2) @ residual)[..., 0] + x

    def linearize(self, x):
        return Linearization(self.gradient(x), lambda v: self.gradient(v) - self.gradient(0 * v))

    def take(self, index):
        return Quadratic(self.A[index], self.y[index], self.factor)


class Nothing:
    """``g = 0``."""

    strong_convexity = 0.0

    def proximal(self, tau):
        return lambda x: x


def parts(rng, factor):
    matrix = rng.standard_normal((5, 8))
    A = Scaled(matrix, factor)
    return A, matrix, Y.element(rng.standard_normal(5))


def least_squares(matrix, data, alpha):
    """The minimizer of ``|A x - y|^2 / 2 + alpha/2 |x|_X^2``, where |x|_X^2 has weights 1/8."""
    return np.linalg.solve(matrix.T @ matrix + alpha / 8 * np.eye(8), matrix.T @ data.data)


SMOOTH = [accelerated_gradient, gradient_descent, restarted_gradient]


def descend(solver, f, x0, lipschitz):
    return solver(f, x0, 1e-8, 10**5, lipschitz, 1.0)


@pytest.mark.parametrize("solver", SMOOTH)
def test_gradient_methods_refuse_a_gradient_of_another_functional(solver, rng):
    A, matrix, data = parts(rng, 1.0)
    lipschitz = 8 * np.linalg.norm(matrix, 2) ** 2 + 1
    f = l2_fidelity(data) * A + l2_fidelity(X.zero())
    exact = descend(solver, f, X.zero(), lipschitz)
    assert exact.reason == "accuracy"
    error = (exact.x - X.element(least_squares(matrix, data, 1.0))).norm()
    assert error <= exact.error_bound + 1e-13
    for factor in FACTORS:
        f = l2_fidelity(data) * Scaled(matrix, factor) + l2_fidelity(X.zero())
        with pytest.raises(DivergenceError, match="no certificate: along a short step f changes"):
            descend(solver, f, X.zero(), 10 * lipschitz)


@pytest.mark.parametrize("solve", [
    lambda f, x0: newton_krylov(f, x0, 1e-8, 50),
    lambda f, x0: accelerated_gradient(f, x0, 1e-8, 10**4),
    lambda f, x0: proximal_gradient(f, Nothing(), x0, 1e-8, 10**4),
    lambda f, x0: fista(f, Nothing(), x0, 1e-8, 10**4),
])
def test_a_batch_with_wrong_gradients_is_refused(solve, rng):
    A, y = rng.standard_normal((3, 5, 8)), rng.standard_normal((3, 5))
    exact = solve(Quadratic(A, y, 1.0), np.zeros((3, 8)))
    normal = A.swapaxes(1, 2) @ A + np.eye(8)
    want = np.linalg.solve(normal, A.swapaxes(1, 2) @ y[..., None])[..., 0]
    assert np.all(np.linalg.norm(exact.x - want, axis=1) <= exact.error_bound + 1e-13)
    for factor in FACTORS:
        with pytest.raises(DivergenceError, match="no certificate: along .* of sample 0 changes"):
            solve(Quadratic(A, y, factor), np.zeros((3, 8)))


def test_least_squares_refuse_a_wrong_adjoint(rng):
    A, matrix, data = parts(rng, 1.0)
    exact = lsqr(A, data, X.zero(), 1e-8, 100, damp=1.0)
    error = (exact.x - X.element(least_squares(matrix, data, 1.0))).norm()
    assert exact.reason == "accuracy" and error <= exact.error_bound + 1e-13
    for factor in (*FACTORS, 0.995):
        with pytest.raises(DivergenceError, match="forward_op.adjoint is the adjoint"):
            lsqr(Scaled(matrix, factor), data, X.zero(), 1e-8, 100, damp=1.0)


@pytest.mark.parametrize("build", [
    lambda A, D: variational.tikhonov_problem(A, D, 1.0),
    lambda A, D: variational.tv_problem(A, D, 0.1, BoxConstraint(X, -3, 3)),
])
def test_primal_dual_refuses_a_wrong_adjoint(build, rng):
    A, matrix, data = parts(rng, 1.0)
    good = build(A, l2_fidelity(data))
    assert primal_dual(good, accuracy=1e-4).reason == "accuracy"
    for factor in FACTORS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # operator_norm has doubts, too
            wrong = build(Scaled(matrix, factor), l2_fidelity(data))
        for problem in (wrong, as_batch([wrong, wrong])):
            with pytest.raises(DivergenceError, match="L.adjoint is the adjoint"):
                primal_dual(problem, accuracy=1e-4)


def test_gaps_of_wrong_adjoints_do_not_vanish(rng):
    """The gap for pdhg of ODL counts what <L x, y> and <x, L* y> differ by."""
    A, matrix, data = parts(rng, 8.0)
    with pytest.warns(RuntimeWarning, match="is not the adjoint"):
        problem = variational.tikhonov_problem(A, l2_fidelity(data), 1.0)
        tau, sigma = problem.step_sizes()
    x, y = X.zero(), problem.L.range.zero()
    odl.solvers.pdhg(x, *problem, niter=500, tau=tau, sigma=sigma, y=y)
    least = problem.value(X.element(least_squares(matrix, data, 1.0)))
    assert problem.gap(x, y) >= problem.value(x) - least
    assert problem.gap(x, y) >= 0.5 * abs(problem.L(x).inner(y) - x.inner(problem.L.adjoint(y)))


def test_advice_is_not_what_was_done(rng):
    """Steps are too large because the norm that was given is too small."""
    problem = variational.tv_problem(odl.IdentityOperator(X), l2_fidelity(X.one()), 0.1)
    small = variational.Problem(problem.f, problem.g, problem.L, norm=0.1)
    with pytest.raises(DivergenceError) as caught:
        primal_dual(small, X.element(rng.standard_normal(8)))
    assert "step_sizes()" not in str(caught.value)
    assert "norm=" in str(caught.value) and "check that L is linear" in str(caught.value)
