"""Conjugate gradients and LSQR against dense solutions and scipy; certificates; bad operators."""

import math

import numpy as np
import odl
import pytest
import scipy.sparse.linalg
import torch
from quadratics import Matrices, random_hessians

from odl_learned.operators import SampledFourier, parallel_ray_transform, random_element
from odl_learned.solvers import DivergenceError, conjugate_gradient, landweber, lsqr

# Conjugate gradients


@pytest.mark.parametrize("world", [np.asarray, torch.from_numpy])
def test_a_thousand_systems_are_solved_within_their_bounds(world, rng):
    H = random_hessians(rng, 1000, 6, rng.uniform(1, 10, 1000))
    b, x0 = rng.standard_normal((2, 1000, 6))
    exact = np.linalg.solve(H, b[..., None])[..., 0]
    accuracy = 10 ** rng.uniform(-8, 0, 1000)
    solution = conjugate_gradient(
        Matrices(world(H)), world(b), world(x0), accuracy, 100, lower_bound=0.3 - 1e-12)
    error = np.linalg.norm(np.asarray(solution.x) - exact, axis=1)
    assert np.all(solution.reason == "accuracy") and np.all(solution.error_bound <= accuracy)
    assert np.all(error <= solution.error_bound * (1 + 1e-6) + 1e-14)
    early = error > 1e-12
    ratio = solution.error_bound[early] / error[early]
    assert np.median(ratio) <= 5 and np.max(ratio) <= 10 * (1 + 1e-2)
    assert np.all(solution.niter <= 7)


def matrix_system(rng, n=30, condition=1e3, space=None):
    H = random_hessians(rng, 1, n, condition)[0]
    space = odl.rn(n) if space is None else space
    return odl.MatrixOperator(H, space, space), random_element(space, rng)


def test_iterates_are_those_of_scipy(rng):
    A, b = matrix_system(rng)
    M = np.diag(np.diag(A.matrix))
    expected, found = [], []
    scipy.sparse.linalg.cg(A.matrix, b.data, maxiter=8, rtol=0, M=np.linalg.inv(M),
                           callback=lambda x: expected.append(x.copy()))  # fmt: skip
    inverse = odl.MatrixOperator(np.linalg.inv(M), A.domain, A.domain)
    conjugate_gradient(A, b, A.domain.zero(), 1e-12, 8, precondition=inverse,
                       callback=lambda x: found.append(x.data.copy()))  # fmt: skip
    assert np.allclose(found, expected, rtol=1e-9, atol=1e-12) and len(found) == 8


def test_true_residual_counts_and_rounding_is_told(rng):
    A, b = matrix_system(rng, condition=1e6)
    for accuracy in (1e-3, 1e-6, 1e-8):
        solution = conjugate_gradient(A, b, A.domain.zero(), accuracy, 10**4)
        assert solution.reason == "accuracy" and solution.error_bound is None
        assert (b - A(solution.x)).norm() <= accuracy
    last = conjugate_gradient(A, b, A.domain.zero(), 1e-30, 10**4, lower_bound=0.29)
    assert last.reason == "rounding" and last.niter < 10**4 and last.error_bound < 1e-7
    start = conjugate_gradient(A, b, A.domain.zero(), 1e-3, 3)
    assert start.reason == "maxiter" and start.niter == 3
    assert conjugate_gradient(A, 0 * b, A.domain.zero(), 1e-3, 3).niter == 0


def test_normal_operators_in_weighted_and_complex_spaces(rng):
    X = odl.uniform_discr([0, 0], [1, 1], (16, 16), dtype="complex128")
    C = SampledFourier(X, rng.random((16, 16)) < 0.6, odl.cn((16, 16)))
    R = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")
    for A in (C, parallel_ray_transform(R, 12)):
        identity = odl.IdentityOperator(A.domain)
        H = A.adjoint * A + 0.1 * identity
        truth = random_element(A.domain, rng)
        b = H(truth)
        solution = conjugate_gradient(H, b, A.domain.zero(), 1e-3, 500, lower_bound=0.1)
        assert solution.reason == "accuracy"
        assert (solution.x - truth).norm() <= solution.error_bound <= 1e-3


BAD = {
    "indefinite": (np.diag([3.0, 2, 1, -1]), "<p, H p> is -.*positive definite"),
    "singular": (np.zeros((4, 4)), "<p, H p> is 0"),
    "not symmetric": (np.triu(np.ones((4, 4))) + np.eye(4), "differ by .*is symmetric in the"),
    "not finite": (np.full((4, 4), math.nan), "the residual is not finite.* at iteration 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_operators_it_is_not_made_for_are_named(name):
    matrix, words = BAD[name]
    A = odl.MatrixOperator(matrix)
    b = A.domain.element([1, 2, 3, 9.0])
    calls = []
    with pytest.raises(DivergenceError, match=words):
        conjugate_gradient(A, b, A.domain.zero(), 1e-9, 100, callback=calls.append)
    assert len(calls) <= 4
    batch = np.stack([np.diag([1.0, 2, 3, 4]), matrix, np.eye(4)])
    with pytest.raises(DivergenceError, match="of sample 1"):
        conjugate_gradient(Matrices(batch), np.stack([b.data] * 3), np.zeros((3, 4)), 1e-9, 100)


def test_random_bad_operators_are_found_within_ten_iterations(rng):
    for _ in range(100):
        H = random_hessians(rng, 1, 12, 30.0)[0]
        basis = np.linalg.eigh(H)[1]
        indefinite = H - 20 * np.outer(basis[:, 3], basis[:, 3])
        skew = rng.standard_normal((12, 12))
        for matrix in (indefinite, H + (skew - skew.T)):
            A = odl.MatrixOperator(matrix)
            calls = []
            with pytest.raises(DivergenceError):
                conjugate_gradient(A, random_element(A.domain, rng), A.domain.zero(), 1e-12, 500,
                                   callback=calls.append)  # fmt: skip
            assert len(calls) <= 12


def test_bad_preconditioners_and_bounds_are_named(rng):
    A, b = matrix_system(rng, condition=30.0)
    zero = A.domain.zero()
    with pytest.raises(DivergenceError, match="<r, M.-1 r> is -.*Check that precondition"):
        conjugate_gradient(A, b, zero, 1e-9, 100, precondition=lambda v: -1 * v)
    with pytest.raises(DivergenceError, match="lower_bound is too large: .* is [0-4]"):
        conjugate_gradient(A, b, zero, 1e-9, 100, lower_bound=5.0)
    with pytest.raises(TypeError, match="b is not an element of the domain of operator"):
        conjugate_gradient(A, odl.rn(3).zero(), zero, 1e-9, 100)
    with pytest.raises(ValueError, match="b contains NaN"):
        conjugate_gradient(A, math.nan * b, zero, 1e-9, 100)
    for wrong in (0, -1, math.nan, None):
        with pytest.raises(ValueError, match="accuracy is"):
            conjugate_gradient(A, b, zero, wrong, 100)
    with pytest.raises(ValueError, match="lower_bound is 0"):
        conjugate_gradient(A, b, zero, 1, 100, lower_bound=0)


# LSQR


@pytest.mark.parametrize("damp", [0.0, 0.4])
def test_lsqr_iterates_are_those_of_scipy(damp, rng):
    A = odl.MatrixOperator(rng.standard_normal((12, 9)))
    y = random_element(A.range, rng)
    found = []
    lsqr(A, y, A.domain.zero(), 1e-14, 7, damp=damp, callback=lambda x: found.append(x.data.copy()))
    for k, x in enumerate(found):
        expected = scipy.sparse.linalg.lsqr(
            A.matrix, y.data, damp=damp, atol=0, btol=0, conlim=0, iter_lim=k + 1)[0]
        assert np.allclose(x, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("world", [np.asarray, torch.from_numpy])
def test_lsqr_certifies_a_thousand_tikhonov_problems(world, rng):
    A = rng.standard_normal((1000, 8, 6))
    y, x0 = rng.standard_normal((1000, 8)), rng.standard_normal((1000, 6))
    damp, accuracy = rng.uniform(1, 3, 1000), 10 ** rng.uniform(-8, 0, 1000)
    normal = A.swapaxes(1, 2) @ A + damp[:, None, None] ** 2 * np.eye(6)
    exact = np.linalg.solve(normal, (A.swapaxes(1, 2) @ y[..., None]))[..., 0]
    solution = lsqr(Matrices(world(A)), world(y), world(x0), accuracy, 100, damp=damp)
    error = np.linalg.norm(np.asarray(solution.x) - exact, axis=1)
    assert np.all(solution.reason == "accuracy") and np.all(solution.error_bound <= accuracy)
    assert np.all(error <= solution.error_bound * (1 + 1e-6) + 1e-14)
    early = error > 1e-12
    assert np.median(solution.error_bound[early] / error[early]) <= 5


def test_lsqr_without_damping_solves_least_squares_from_any_start(rng):
    for shape in ((12, 6), (6, 6), (5, 9)):
        A = odl.MatrixOperator(rng.standard_normal(shape))
        y, x0 = random_element(A.range, rng), random_element(A.domain, rng)
        solution = lsqr(A, y, x0, 1e-12, 200)
        step = np.linalg.lstsq(A.matrix, y.data - A.matrix @ x0.data)[0]
        assert solution.reason == "accuracy" and solution.error_bound is None
        assert np.allclose(solution.x.data, x0.data + step, rtol=1e-8, atol=1e-9)
        assert lsqr(A, A(x0), x0, 1e-12, 200).niter == 0
    zero = lsqr(A, 0 * y, A.domain.zero(), 1e-3, 10, damp=1.0)
    assert zero.niter == 0 and zero.x.norm() == 0


def test_lsqr_in_weighted_and_complex_spaces_is_faster_than_landweber(rng):
    X = odl.uniform_discr([0, 0], [1, 1], (16, 16), dtype="complex64")
    C = 2 * SampledFourier(X, rng.random((16, 16)) < 0.6, odl.cn((16, 16), "complex64"))
    R = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")
    for A in (C, parallel_ray_transform(R, 12)):
        truth, noise = random_element(A.domain, rng), random_element(A.range, rng)
        noise *= float(0.1 * A(truth).norm() / noise.norm())
        y, level = A(truth) + noise, noise.norm()
        solution = lsqr(A, y, A.domain.zero(), 1e-6, 500, noise_norm=level)
        assert solution.reason == "discrepancy"
        assert (A(solution.x) - y).norm() <= 1.1 * level * (1 + 1e-4)
        slow = landweber(A, y, A.domain.zero(), level)
        assert solution.niter <= slow.niter and (solution.niter < slow.niter / 2 or A is C)
        damped = lsqr(A, y, A.domain.zero(), 1e-2, 500, damp=0.3)
        gradient = A.adjoint(A(damped.x) - y) + 0.09 * damped.x
        assert damped.reason == "accuracy"
        assert damped.error_bound == pytest.approx(gradient.norm() / 0.09, rel=1e-3, abs=1e-6)
        with_level = lsqr(A, y, A.domain.zero(), 1e-9, 500, damp=0.01, noise_norm=level)
        assert with_level.reason == "discrepancy" and with_level.error_bound > 1e-9


def test_lsqr_stops_every_sample_at_its_noise(rng):
    A, y = rng.standard_normal((6, 20, 15)), rng.standard_normal((6, 20))
    level = np.linalg.norm(y, axis=1) * np.linspace(0.8, 0.95, 6)
    solution = lsqr(Matrices(A), y, np.zeros((6, 15)), 1e-9, 100, damp=0.1, noise_norm=level, tau=1)
    residual = np.linalg.norm((A @ solution.x[..., None])[..., 0] - y, axis=1)
    assert np.all(solution.reason == "discrepancy") and np.all(residual <= level * (1 + 1e-9))
    assert len(set(solution.niter)) > 1


class Scaled(odl.MatrixOperator):
    factor = -1.0

    @property
    def adjoint(self):
        return self.factor * super().adjoint


@pytest.mark.parametrize("factor", [-1.0, 0.5, 2.0, 1.05, math.nan])
def test_lsqr_names_a_wrong_adjoint_at_once(factor, rng):
    A = Scaled(rng.standard_normal((12, 9)))
    A.factor = factor
    words = "not finite" if math.isnan(factor) else "Check that forward_op.adjoint is the adjoint"
    with pytest.raises(DivergenceError, match=f"{words}|not finite.*iteration 0") as caught:
        lsqr(A, random_element(A.range, rng), A.domain.zero(), 1e-9, 100)
    assert "iteration 0" in str(caught.value)


def test_lsqr_checks_its_arguments(rng):
    A = odl.MatrixOperator(rng.standard_normal((8, 6)))
    y, zero = random_element(A.range, rng), A.domain.zero()
    with pytest.raises(ValueError, match="damp is -1"):
        lsqr(A, y, zero, 1, 10, damp=-1)
    with pytest.raises(ValueError, match="noise_norm is 0; expected .*: leave it out"):
        lsqr(A, y, zero, 1, 10, noise_norm=0)
    with pytest.raises(ValueError, match="tau is 0.5"):
        lsqr(A, y, zero, 1, 10, tau=0.5)
    with pytest.raises(ValueError, match="accuracy is 0"):
        lsqr(A, y, zero, 0, 10)
    with pytest.raises(ValueError, match="data contains NaN"):
        lsqr(A, math.nan * y, zero, 1, 10)
    with pytest.raises(TypeError, match="data is not an element of the range of forward_op"):
        lsqr(A, zero, zero, 1, 10)
    with pytest.raises(TypeError, match="expected an operator with an adjoint: .*as_batch"):
        lsqr(lambda x: A(x), y, zero, 1, 10)
    with pytest.raises(TypeError, match="linear operator. Linearize"):
        lsqr(odl.PowerOperator(A.domain, 2), y, zero, 1, 10)
