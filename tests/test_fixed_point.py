"""Fixed points: linear systems, ISTA, plain iterations, bounds, batches, expansive maps."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import operators
from odl_learned.solvers import DivergenceError, fixed_point


def contraction(n=30, factor=0.95, seed=0):
    """An affine map with a symmetric matrix of this norm, and its fixed point."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    matrix = basis * np.linspace(-factor, factor, n) @ basis.T
    shift = rng.standard_normal(n)
    return matrix, shift, np.linalg.solve(np.eye(n) - matrix, shift)


class Maps:
    """Affine maps, one for each sample."""

    def __init__(self, matrices, shifts):
        self.matrices, self.shifts = matrices, shifts

    def __call__(self, x):
        return (self.matrices @ x[..., None])[..., 0] + self.shifts

    def take(self, index):
        return Maps(self.matrices[index], self.shifts[index])


def batch(factors=(0.5, 0.9, 0.99), xp=np.asarray):
    parts = [contraction(factor=f, seed=k) for k, f in enumerate(factors)]
    return Maps(*(xp(np.stack(v)) for v in list(zip(*parts))[:2])), np.stack([p[2] for p in parts])


@pytest.mark.parametrize("memory", [0, 1, 5])
def test_the_plain_iteration_and_the_accelerated_one_end_at_the_fixed_point(memory):
    matrix, shift, exact = contraction()
    X = odl.rn(30, weighting=2.5)
    op = odl.MatrixOperator(matrix, domain=X, range=X)
    solution = fixed_point(lambda x: op(x) + X.element(shift), X.zero(), 1e-8, 2000, memory, 0.95)
    error = (solution.x - X.element(exact)).norm()
    assert solution.reason == "accuracy"
    assert error <= solution.error_bound * (1 + 1e-9) and solution.error_bound < 1e-5
    if memory == 0:  # the residual shrinks by 0.95 in the end
        assert 300 < solution.niter < 420
        x = X.zero()
        for _ in range(5):
            x = op(x) + X.element(shift)
        five = fixed_point(lambda x: op(x) + X.element(shift), X.zero(), 1e-8, 4, 0)
        assert (five.x - x).norm() == 0 and five.reason == "maxiter" and five.error_bound is None
        assert five.residual > 0


def test_acceleration_needs_half_of_the_iterations():
    for factor in (0.9, 0.99):
        matrix, shift, _ = contraction(100, factor)
        matrix = matrix @ matrix / factor  # a gradient step: eigenvalues from 0 to the factor
        plain, fast = (fixed_point(lambda x: x @ matrix.T + shift, np.zeros((1, 100)), 1e-6, 5000,
                                   memory).niter[0] for memory in (0, 5))  # fmt: skip
        assert fast <= 0.5 * plain


def test_long_memory_is_close_to_gmres():
    """On an affine map of dimension n, n differences span everything, up to their squared rounding.

    The plain iteration has shrunk the residual by ``0.9^11``, three tenths.
    """
    matrix, shift, _ = contraction(8, 0.9)
    plain, short, long = (fixed_point(lambda x: x @ matrix.T + shift, np.zeros((1, 8)), 1e-14, 11,
                                      memory).residual[0] for memory in (0, 3, 12))
    assert short < 0.5 * plain and long < 1e-3 * plain


def test_the_fixed_point_of_ista_minimizes():
    rng = np.random.default_rng(2)
    A = odl.MatrixOperator(rng.standard_normal((10, 20)))
    y = A.range.element(rng.standard_normal(10))
    tau, l1 = 1 / operators.operator_norm(A) ** 2, odl.functionals.L1Norm(A.domain)
    shrink = l1.proximal(0.5 * tau)
    solution = fixed_point(lambda x: shrink(x - tau * A.adjoint(A(x) - y)), A.domain.zero(), 1e-9,
                           5000)  # fmt: skip
    # optimality: the gradient is -1/2 times the sign on the support, and smaller elsewhere
    slope, x = A.adjoint(A(solution.x) - y).asarray(), solution.x.asarray()
    support = np.abs(x) > 1e-6
    assert solution.reason == "accuracy" and 3 < support.sum() < 20
    np.testing.assert_allclose(slope[support], -0.5 * np.sign(x[support]), atol=1e-6)
    assert np.abs(slope).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("xp", [np.asarray, torch.as_tensor])
def test_samples_stop_by_themselves_and_do_not_mix(xp):
    maps, exact = batch(xp=xp)
    x0 = xp(np.zeros((3, 30)))
    solution = fixed_point(maps, x0, [1e-8, 1e-6, 1e-4], 500)
    assert list(solution.reason) == ["accuracy"] * 3 and len(set(solution.niter)) > 1
    for k, accuracy in enumerate([1e-8, 1e-6, 1e-4]):
        alone = fixed_point(maps.take([k]), x0[k : k + 1], accuracy, 500)
        assert alone.niter[0] == solution.niter[k]
        # products with matrices alone and in a batch may be summed in another order
        np.testing.assert_allclose(alone.x[0], solution.x[k], rtol=1e-9)
        error = np.linalg.norm(np.asarray(solution.x[k]) - exact[k])
        factor = (0.5, 0.9, 0.99)[k]
        assert error <= factor / (1 - factor) * accuracy * 1.01 * np.linalg.norm(exact[k])
    bounds = fixed_point(maps, x0, 1e-6, 500, contraction=0.99).error_bound
    assert bounds.shape == (3,) and np.all(bounds > 0)


def test_complex_tuples_and_single_precision():
    maps, exact = batch()
    phase = np.exp(0.7j)
    single = Maps(maps.matrices.astype(np.complex64), (phase * maps.shifts).astype(np.complex64))
    solution = fixed_point(single, np.zeros((3, 30), np.complex64), 1e-5, 500)
    assert solution.x.dtype == np.complex64 and list(solution.reason) == ["accuracy"] * 3
    np.testing.assert_allclose(solution.x[:2], phase * exact[:2], rtol=2e-3, atol=2e-3)

    class Pair:
        def __init__(self, maps):
            self.maps = maps

        def __call__(self, x):
            return self.maps(x[0]), 0.5 * x[1] + 1

        def take(self, index):
            return Pair(self.maps.take(index))

    first, second = fixed_point(Pair(maps), (np.zeros((3, 30)), np.zeros((3, 2))), 1e-9, 900).x
    np.testing.assert_allclose(first, exact, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second, 2, rtol=1e-6)


def test_bounds_hold_in_a_hundred_cases_and_a_false_factor_is_refuted():
    rng = np.random.default_rng(3)
    for seed in range(100):
        factor = rng.uniform(0.1, 0.99)
        matrix, shift, exact = contraction(12, factor, seed)
        solution = fixed_point(lambda x: x @ matrix.T + shift, rng.standard_normal((1, 12)), 1e-3,
                               int(rng.integers(1, 30)), int(rng.integers(0, 4)), factor)
        error = np.linalg.norm(solution.x[0] - exact)
        assert error <= solution.error_bound[0] * (1 + 1e-9)
    matrix, shift, _ = contraction(12, 0.9)
    with pytest.raises(DivergenceError, match="contraction is 0.5, but two points.*not true"):
        fixed_point(lambda x: x @ matrix.T + shift, np.ones((1, 12)), 1e-8, 100, 0, 0.5)


def test_an_expansive_map_is_reported():
    matrix, shift, _ = contraction(12, 0.9)
    solution = fixed_point(lambda x: 3 * (x @ matrix.T) + shift, np.ones((1, 12)), 1e-8, 30, 0)
    assert solution.reason[0] == "maxiter" and solution.residual[0] > 1e6
    with pytest.raises(DivergenceError, match="fixed_point diverges: values of sample 0 are not"):
        fixed_point(lambda x: x**3, np.full((1, 2), 3.0), 1e-8, 300, 0)


def test_errors():
    x0 = np.zeros((2, 3))
    for mistake, error, message in (
        (lambda: fixed_point(3, x0, 1e-3, 9), TypeError, "step is 3, expected an object"),
        (lambda: fixed_point(np.cos, x0, 0, 9), ValueError, "accuracy is 0; expected"),
        (lambda: fixed_point(np.cos, x0, 1e-3, 1.5), ValueError, "maxiter is 1.5; expected"),
        (lambda: fixed_point(np.cos, x0, 1e-3, 9, -1), ValueError, "memory is -1; expected"),
        (lambda: fixed_point(np.cos, x0, 1e-3, 9, 5, 1.0), ValueError, "contraction is 1.0; exp"),
        (lambda: fixed_point(np.cos, x0 + np.nan, 1e-3, 9), ValueError, "x0 contains NaN"),
        (lambda: fixed_point(lambda x: x[:, :2], x0, 1e-3, 9), TypeError, r"step\(x0\)"),
    ):
        with pytest.raises(error, match=message):
            mistake()
