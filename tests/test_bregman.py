"""Linearized Bregman iteration against Landweber, linear programming and its own definition."""

import math

import numpy as np
import odl
import pytest
import scipy.optimize
import torch

from odl_learned.bridge import as_batch
from odl_learned.functionals import TotalVariation, WaveletL1
from odl_learned.operators import SampledFourier, operator_norm, random_element
from odl_learned.solvers import DivergenceError, landweber, linearized_bregman

F = odl.functionals


class Matrices:
    """Batches ``x -> A_b x_b`` of arrays of shape (B, n); counts products of samples."""

    def __init__(self, A, products=None):
        self.A, self.products = A, [0] if products is None else products

    def __call__(self, x):
        self.products[0] += len(x)
        return (self.A * x[:, None, :]).sum(-1)

    @property
    def adjoint(self):
        return Matrices(np.swapaxes(self.A, 1, 2), self.products)

    def take(self, index):
        return Matrices(self.A[index], self.products)


class L1:
    """``|x_b|_1`` of arrays of shape (B, n)."""

    def proximal(self, tau):
        level = np.reshape(np.asarray(tau), (-1, 1))
        return lambda x: np.sign(x) * np.maximum(np.abs(x) - level, 0)


def sensing(rng, size=1, noise=0.02):
    """Compressed sensing: twelve random measurements of twenty entries, two of them not zero."""
    A = rng.standard_normal((size, 12, 20)) / math.sqrt(12)
    x = np.zeros((size, 20))
    for row in x:
        row[rng.choice(20, 2, replace=False)] = rng.choice([-1, 1], 2) * (1 + rng.random(2))
    e = rng.standard_normal((size, 12))
    return Matrices(A), x, Matrices(A)(x) + noise * e, noise * np.linalg.norm(e, axis=1)


def weighted_case(rng):
    X = odl.rn(6, weighting=0.5)
    A = odl.MatrixOperator(rng.standard_normal((8, 6)), domain=X)
    data = A(random_element(X, rng)) + 0.05 * random_element(A.range, rng)
    return A, data


def test_without_regularizer_it_is_landweber(rng):
    A, data = weighted_case(rng)
    start, omega = random_element(A.domain, rng), 1 / operator_norm(A) ** 2
    zero = F.ZeroFunctional(A.domain)
    for noise_norm, maxiter in ((0.3 * data.norm(), 1000), (1e-9, 25)):
        expected = landweber(A, data, start, noise_norm, 1.2, omega, maxiter)
        solution = linearized_bregman(A, data, start, zero, 1.0, noise_norm, 1.2, omega, maxiter)
        assert (solution.x - expected.x).norm() <= 1e-12 * expected.x.norm()
        assert solution.niter == expected.niter and solution.reason == expected.reason
        assert solution.error_bound is None
    default = linearized_bregman(A, data, start, zero, 1.0, 0.3 * data.norm())
    assert default.reason == "discrepancy" and default.niter > 1


def test_large_parameters_give_basis_pursuit(rng):
    A, truth, data, _ = sensing(rng, noise=0.0)
    matrix = A.A[0]
    program = scipy.optimize.linprog(
        np.ones(40), A_eq=np.hstack([matrix, -matrix]), b_eq=data[0], bounds=(0, None))
    expected = program.x[:20] - program.x[20:]
    errors = []
    for alpha in (0.1, 10.0):
        solution = linearized_bregman(
            A, data, np.zeros((1, 20)), L1(), alpha, 1e-8, tau=1.0, maxiter=10**5)
        assert solution.reason[0] == "discrepancy"
        assert np.linalg.norm(A(solution.x) - data) <= 1e-8
        errors.append(np.linalg.norm(solution.x[0] - expected))
    assert errors[1] <= 1e-6 and errors[0] > 1e-2
    np.testing.assert_allclose(expected, truth[0], atol=1e-9)


def test_iterates_solve_their_definition(rng):
    """``omega <u, A*(A u_k - y)> + J(u) - J(u_k) - <v_k, u - u_k>`` is least at ``u_(k+1)``."""
    A, data = weighted_case(rng)
    R, alpha, omega = F.L1Norm(A.domain), 0.7, 0.9 / operator_norm(A) ** 2
    iterates = [R.proximal(alpha)(A.domain.zero())]
    linearized_bregman(A, data, A.domain.zero(), R, alpha, 1e-9, omega=omega, maxiter=6,
                       callback=iterates.append)

    def J(u):
        return u.inner(u) / 2 + alpha * R(u)

    v = A.domain.zero()
    for u, u_next in zip(iterates, iterates[1:]):
        slope = A.adjoint(A(u) - data)

        def objective(z, u=u, v=v, slope=slope):
            return omega * z.inner(slope) + J(z) - J(u) - v.inner(z - u)

        best = objective(u_next)
        for size in (1e-6, 1e-3, 1e-1):
            for _ in range(20):
                assert objective(u_next + size * random_element(A.domain, rng)) >= best
        v = v - omega * slope


@pytest.mark.parametrize("omega", [None, "long", "alternating"])
def test_residuals_never_grow(omega, rng):
    A, _, data, _ = sensing(rng, 5)
    norms = np.linalg.norm(A.A, 2, axis=(1, 2)) ** 2
    steps = {"long": 1.99 / norms, "alternating": lambda k: (1.9 if k % 2 else 0.3) / norms}
    sizes = [np.linalg.norm(data, axis=1)]
    linearized_bregman(
        A, data, np.zeros((5, 20)), L1(), 1.0, 1e-12, omega=steps.get(omega), maxiter=200,
        callback=lambda u: sizes.append(np.linalg.norm(A(u) - data, axis=1)))
    sizes = np.array(sizes)
    assert np.all(sizes[1:] <= sizes[:-1] * (1 + 1e-12))
    assert np.all(sizes[-1] < 0.2 * sizes[0])


def test_stops_at_the_first_iterate_at_the_noise(rng):
    A, truth, data, noise_norm = sensing(rng, 12)
    zero, us = np.zeros((12, 20)), []
    solution = linearized_bregman(A, data, zero, L1(), 5.0, noise_norm, tau=1.2, maxiter=10**4)
    assert set(solution.reason) == {"discrepancy"}
    assert np.all(np.linalg.norm(A(solution.x) - data, axis=1) <= 1.2 * noise_norm)
    for b in range(12):
        us.clear()
        linearized_bregman(A.take([b]), data[[b]], zero[[b]], L1(), 5.0, noise_norm[[b]], tau=1.2,
                           maxiter=10**4, callback=us.append)
        sizes = [np.linalg.norm(A.take([b])(u) - data[b]) for u in us]
        assert len(us) == solution.niter[b]
        assert min(sizes[:-1]) > 1.2 * noise_norm[b] >= sizes[-1]
    least_squares = np.stack([np.linalg.pinv(m) @ y for m, y in zip(A.A, data, strict=True)])
    error = np.linalg.norm(solution.x - truth, axis=1)
    assert np.mean(error < 0.5 * np.linalg.norm(least_squares - truth, axis=1)) > 0.8


def test_a_sample_is_the_same_alone_and_among_others(rng):
    """Bits: numpy adds up rows, or term by term, whatever the number of samples."""
    A, _, data, noise_norm = sensing(rng, 16)
    v0, alpha = rng.standard_normal((16, 20)), np.geomspace(0.1, 5, 16)
    before = v0.copy()
    omega = 1 / np.linalg.norm(A.A, 2, axis=(1, 2)) ** 2

    def solve(index):
        return linearized_bregman(
            A.take(index), data[index], v0[index], PerSample(alpha[index]), alpha[index],
            noise_norm[index], omega=omega[index], maxiter=10**4)

    A.products[0] = 0
    together = solve(np.arange(16))
    assert A.products[0] < 0.8 * 2 * 16 * (together.niter.max() + 1)
    assert np.array_equal(v0, before) and len(set(together.niter)) > 6
    for b in (0, 9, 15):
        alone = solve(np.array([b]))
        assert np.array_equal(alone.x[0], together.x[b]) and alone.niter[0] == together.niter[b]
    order = rng.permutation(16)
    assert np.array_equal(solve(order).x, together.x[order])


class PerSample(L1):
    """An L1 norm that insists on getting the steps of the samples it was restricted to."""

    def __init__(self, alpha):
        self.alpha = alpha

    def proximal(self, tau):
        assert np.array_equal(tau, self.alpha)
        return super().proximal(tau)

    def take(self, index):
        return PerSample(self.alpha[index])


def test_wavelets_and_complex_images_in_a_batch(rng):
    X = odl.uniform_discr([0, 0], [1, 2], (8, 12), dtype="complex128")
    A = SampledFourier(X, rng.random((8, 12)) < 0.6)
    R = WaveletL1(X, "db2", 2)
    truth = [R.proximal(1.5)(2 * random_element(X, rng)) for _ in range(3)]
    noise = [0.1 * random_element(A.range, rng) for _ in range(3)]
    data = [A(x) + e for x, e in zip(truth, noise, strict=True)]
    stacked = torch.from_numpy(np.stack([y.data for y in data]))
    noise_norm = np.array([e.norm() for e in noise])
    batch = linearized_bregman(
        as_batch(A), stacked, torch.zeros_like(stacked), as_batch(R), 2.0, noise_norm, omega=1.0)
    assert batch.reason.tolist() == ["discrepancy"] * 3 and batch.niter.min() > 3
    for b, y in enumerate(data):
        one = linearized_bregman(A, y, X.zero(), R, 2.0, noise_norm[b], omega=1.0)
        assert one.niter == batch.niter[b]
        assert (X.element(batch.x[b].numpy()) - one.x).norm() <= 1e-12


def test_total_variation_recovers_edges(rng):
    X = odl.uniform_discr(0, 16, 16)
    truth = X.element(np.repeat([0.0, 1.0, 0.3], [5, 6, 5]))
    A = odl.MatrixOperator(rng.standard_normal((10, 16)) / 4, domain=X)
    noise = 0.02 * random_element(A.range, rng)
    data, noise_norm = A(truth) + noise, noise.norm()
    plain = landweber(A, data, X.zero(), noise_norm, maxiter=10**4)
    solution = linearized_bregman(A, data, X.zero(), TotalVariation(X), 3.0, noise_norm)
    assert solution.reason == "discrepancy"
    assert (solution.x - truth).norm() < 0.3 * (plain.x - truth).norm()


@pytest.mark.parametrize("factor", [2.2, 5.0, 1e200])
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_divergence_is_named_soon(factor, rng):
    A, _, data, _ = sensing(rng, 4)
    norms = np.linalg.norm(A.A, 2, axis=(1, 2)) ** 2
    omega = np.array([1.0, 1.0, factor, 1.0]) / norms
    count = []
    with pytest.raises(DivergenceError, match=r"of sample 2 .* omega must be less than 2"):
        linearized_bregman(A, data, np.zeros((4, 20)), L1(), 0.01, 1e-9, omega=omega,
                           callback=count.append)
    assert len(count) <= (10 if factor > 3 else 20)


def test_wrong_adjoint_is_named(rng):
    class Wrong(odl.MatrixOperator):
        @property
        def adjoint(self):
            return -1 * super().adjoint

    A = Wrong(rng.standard_normal((8, 6)))
    with pytest.raises(DivergenceError, match="adjoint"):
        linearized_bregman(A, random_element(A.range, rng), A.domain.zero(), F.L1Norm(A.domain),
                           0.01, 1e-3)


def test_arguments(rng):
    A, data = weighted_case(rng)
    R, zero = F.L1Norm(A.domain), A.domain.zero()
    for wrong in (0, -1.0, math.nan, math.inf):
        for name in ("alpha", "noise_norm", "omega"):
            numbers = {"alpha": 1.0, "noise_norm": 0.1, "omega": 0.1} | {name: wrong}
            with pytest.raises(ValueError, match=name):
                linearized_bregman(A, data, zero, R, **numbers)
    with pytest.raises(ValueError, match="tau"):
        linearized_bregman(A, data, zero, R, 1.0, 0.1, tau=0.9)
    with pytest.raises(ValueError, match="maxiter"):
        linearized_bregman(A, data, zero, R, 1.0, 0.1, maxiter=-1)
    with pytest.raises(TypeError, match="data is not an element of the range"):
        linearized_bregman(A, zero, zero, R, 1.0, 0.1)
    with pytest.raises(TypeError, match="v0 is not an element of the domain"):
        linearized_bregman(A, data, data, R, 1.0, 0.1)
    with pytest.raises(TypeError, match="expected a linear operator"):
        linearized_bregman(odl.PowerOperator(A.domain, 2), zero, zero, R, 1.0, 0.1)
    with pytest.raises(TypeError, match="expected a functional with a proximal"):
        linearized_bregman(A, data, zero, abs, 1.0, 0.1)
    with pytest.raises(ValueError, match="data contains NaN"):
        linearized_bregman(A, math.nan * data, zero, R, 1.0, 0.1)
    with pytest.raises(ValueError, match="pass omega"):
        linearized_bregman(Nilpotent(), np.ones((1, 2)), np.zeros((1, 2)), L1(), 1.0, 0.1)
    stopped = linearized_bregman(A, data, zero, R, 1.0, 1e-9, maxiter=0)
    assert stopped.niter == 0 and stopped.reason == "maxiter" and stopped.x.norm() == 0


class Nilpotent:
    """``A A = 0``, with itself in the place of its adjoint."""

    def __call__(self, x):
        return np.stack([x[:, 1], 0 * x[:, 0]], axis=1)

    adjoint = property(lambda self: self)
