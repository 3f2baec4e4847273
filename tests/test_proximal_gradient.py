"""Proximal gradient descent and FISTA against exact solutions, ODL, and themselves in batches."""

import math

import numpy as np
import odl
import pytest
import torch
from lasso_problems import L1, SOLVERS, F, LeastSquares, lasso, problem

from odl_learned.bridge import as_batch
from odl_learned.functionals import BoxConstraint, WaveletL1, l2_fidelity
from odl_learned.operators import SampledFourier, operator_norm, random_element
from odl_learned.solvers import Backtracking, fista, gradient_restart, no_restart, proximal_gradient


def exact(A, y, alpha, x):
    """The minimizer of |A x - y|^2 / 2 + alpha |x|_1 with the signs of ``x``, by its KKT system."""
    on = x != 0
    z = np.zeros_like(x)
    z[on] = np.linalg.solve(A[:, on].T @ A[:, on], A[:, on].T @ y - alpha * np.sign(x[on]))
    slope = A.T @ (A @ z - y)
    assert np.array_equal(np.sign(z), np.sign(x))
    assert np.abs(slope[~on]).max(initial=0) <= alpha
    assert np.abs(slope[on] + alpha * np.sign(z[on])).max(initial=0) < 1e-10
    return z


@pytest.mark.parametrize("solver", SOLVERS)
def test_certificates_bound_the_error_of_a_thousand_problems(solver, rng):
    f, g = lasso(rng, 1000)
    zero = np.zeros((1000, 6))
    sharp = fista(f, g, zero, 1e-9, 10**5)
    hat = np.stack([exact(A, y, g.alpha, x) for A, y, x in zip(f.A, f.y, sharp.x, strict=True)])
    assert np.all(np.linalg.norm(sharp.x - hat, axis=1) <= 1e-9)
    for accuracy in (1e-1, 1e-4):
        solution = solver(f, g, zero, accuracy, 10**5)
        error = np.linalg.norm(solution.x - hat, axis=1)
        assert set(solution.reason) == {"accuracy"}
        assert np.all(solution.error_bound <= accuracy)
        assert np.all(error <= solution.error_bound * (1 + 1e-9))
    for maxiter in (1, 7):
        solution = solver(f, g, zero, 1e-12, maxiter)
        error = np.linalg.norm(solution.x - hat, axis=1)
        assert set(solution.reason) == {"maxiter"} and np.all(solution.niter == maxiter)
        assert np.all(error <= solution.error_bound * (1 + 1e-9))
    assert np.median(solution.error_bound / np.maximum(error, 1e-300)) <= 5


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("lipschitz", [None, Backtracking()], ids=["known", "searched"])
def test_a_sample_is_the_same_alone_and_among_others(solver, lipschitz, rng):
    """Bits: numpy adds up rows, or term by term, whatever the number of samples."""
    f, g = lasso(rng, 16)
    x0 = rng.standard_normal((16, 6))
    before = x0.copy()
    together = solver(f, g, x0, 1e-6, 10**4, lipschitz=lipschitz)
    assert np.array_equal(x0, before)
    assert len(set(together.niter)) > 4
    for b in (0, 7, 15):
        alone = solver(f.take([b]), g, x0[[b]], 1e-6, 10**4, lipschitz=lipschitz)
        assert np.array_equal(alone.x[0], together.x[b])
        assert alone.niter[0] == together.niter[b]
        assert alone.error_bound[0] == together.error_bound[b]
    order = rng.permutation(16)
    shuffled = solver(f.take(order), g, x0[order], 1e-6, 10**4, lipschitz=lipschitz)
    assert np.array_equal(shuffled.x, together.x[order])


def test_samples_that_have_stopped_cost_nothing(rng):
    f, g = lasso(rng, 16)
    f.products[0] = 0
    niter = fista(f, g, np.zeros((16, 6)), 1e-8, 10**4).niter
    # One gradient at the start, one per iteration, one for the certificate of the end.
    assert niter.sum() < 0.8 * 16 * niter.max()
    assert f.products[0] == 16 + niter.sum() + 16


@pytest.mark.parametrize("solver", SOLVERS)
def test_elements_and_batches_of_one_agree(solver, rng):
    f, g, L, mu = problem(rng)
    x0 = random_element(f.domain, rng)
    one = solver(f, g, x0, 1e-5, 10**4, L, mu)
    batch = solver(as_batch(f), as_batch(g), torch.tensor(x0.data[None]), 1e-5, 10**4, L, mu)
    assert isinstance(one.niter, int) and isinstance(one.error_bound, float)
    assert one.reason == "accuracy" and batch.reason.tolist() == ["accuracy"]
    assert one.niter == batch.niter[0] > 5
    np.testing.assert_allclose(batch.x[0].numpy(), one.x.data, rtol=0, atol=1e-12)
    assert batch.error_bound[0] == pytest.approx(one.error_bound, rel=1e-3)


def test_steps_are_those_of_odl(rng):
    f, g, L, _ = problem(rng)
    for ours, theirs in ((proximal_gradient, odl.solvers.proximal_gradient),
                         (fista, odl.solvers.accelerated_proximal_gradient)):
        extra = {"restart": no_restart} if ours is fista else {}
        expected = f.domain.one()
        theirs(expected, g, f, gamma=1 / L, niter=40)
        solution = ours(f, g, f.domain.one(), None, 40, lipschitz=L, **extra)
        assert solution.reason == "maxiter" and solution.niter == 40
        assert solution.error_bound is None and solution.gap is None
        assert (solution.x - expected).norm() <= 1e-12


def test_acceleration_and_restarts(rng):
    f = LeastSquares(np.diag(np.geomspace(0.03, 1, 40))[None], rng.standard_normal((1, 40)))
    g, zero, mu = L1(1e-3), np.zeros((1, 40)), 0.03**2

    def niter(solver):
        solution = solver(f, g, zero, 1e-6, 10**6, lipschitz=1.0, strong_convexity=mu)
        assert solution.reason[0] == "accuracy"
        return solution.niter[0]

    # The objective falls at least like (1 - sqrt(mu / L))^k; in between lie |x_hat|^2 mu and 1e-12.
    accelerated = niter(fista)
    assert accelerated <= math.log(40 / mu**2 / 1e-12) / 0.03
    assert accelerated < niter(proximal_gradient) / 5

    def excess(restart):
        values = []
        fista(f, g, zero, None, 800, 1.0, strong_convexity=0.0, restart=restart,
              callback=lambda x: values.append(f(x)[0] + g.alpha * np.abs(x).sum()))
        return values[400] - best

    hat = fista(f, g, zero, 1e-12, 10**6, 1.0, mu).x
    best = f(hat)[0] + g.alpha * np.abs(hat).sum()
    assert excess(gradient_restart) < 1e-2 * excess(no_restart)


def test_momentum_knows_the_strong_convexity_of_g(rng):
    f, _, L, _ = problem(rng)
    g = F.FunctionalQuadraticPerturb(0.1 * F.L1Norm(f.domain), 0.5)
    mu = 1.0
    hat = fista(f, g, f.domain.zero(), 1e-12, 10**4, L, 0.0, g_strong_convexity=mu).x
    solution = fista(f, g, f.domain.zero(), 1e-5, 10**4, L, 0.0, g_strong_convexity=mu)
    assert (solution.x - hat).norm() <= solution.error_bound <= 1e-5
    equal = fista(F.L2NormSquared(f.domain), g, f.domain.one(), 1e-9, 5, 2.0, 2.0,
                  g_strong_convexity=mu)  # fmt: skip
    assert equal.niter == 1 and equal.x.norm() == 0


def test_complex_images_in_a_batch_of_problems(rng):
    X = odl.uniform_discr([0, 0], [1, 2], (8, 12), dtype="complex128")
    A = SampledFourier(X, rng.random((8, 12)) < 0.5)
    g = 0.05 * WaveletL1(X, "db2", 2)
    fs = [l2_fidelity(A(random_element(X, rng))) @ A + 0.05 * F.L2NormSquared(X) for _ in range(3)]
    L, mu = operator_norm(A) ** 2 + 0.1, 0.1
    zero = torch.zeros(3, 8, 12, dtype=torch.complex128)
    batch = fista(as_batch(fs), as_batch(g), zero, 1e-8, 10**4, L, mu)
    assert batch.reason.tolist() == ["accuracy"] * 3
    for b, f in enumerate(fs):
        one = fista(f, g, X.zero(), 1e-8, 10**4, L, mu)
        assert one.niter == batch.niter[b]
        assert (X.element(batch.x[b].numpy()) - one.x).norm() <= 1e-12
        # The optimality condition, by Moreau's decomposition.
        u = one.x
        again = g.proximal(0.7)(u - 0.7 * f.gradient(u))
        assert (again - u).norm() <= 1e-8


def test_boxes_against_least_squares_of_scipy(rng):
    from scipy.optimize import lsq_linear

    f, _, L, mu = problem(rng, weighting=1.0)
    matrix, data = f.right.matrix, -f.left.gradient(f.left.domain.zero()).data
    expected = lsq_linear(matrix, data, (-0.1, 0.2), method="bvls", tol=1e-14).x
    solution = fista(f, BoxConstraint(f.domain, -0.1, 0.2), f.domain.zero(), 1e-9, 10**5, L, mu)
    assert np.linalg.norm(solution.x.data - expected) <= 1e-8
    assert np.sum(np.abs(expected) > 0.09) > 1
