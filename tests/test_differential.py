"""Gradients against dense twins, their adjoints, null space and Frobenius norm."""

import math

import numpy as np
import odl
import pytest
from operator_checks import adjoint_error, assert_out_and_linear, dense, tolerance

from odl_learned import operators as ops


def forward_difference(n, h):
    matrix = (np.eye(n, k=1) - np.eye(n)) / h
    matrix[-1] = 0
    return matrix


def symmetrized_gradient_matrix(shape, sides):
    """Dense twin for d = 2 from Kronecker products, rows without real neighbors deleted."""
    (n, m), (h, k) = shape, sides
    second = [np.zeros((size, size)) for size in shape]
    for size, side, matrix in zip(shape, sides, second, strict=True):
        for i in range(1, size - 1):
            matrix[i, i], matrix[i, i - 1] = 1 / side, -1 / side
    keep_x, keep_y = np.diag(np.arange(n) < n - 1), np.diag(np.arange(m) < m - 1)
    zero = np.zeros((n * m, n * m))
    return np.block(
        [
            [np.kron(second[0], np.eye(m)), zero],
            [zero, np.kron(np.eye(n), second[1])],
            [
                np.kron(keep_x, forward_difference(m, k)) / math.sqrt(2),
                np.kron(forward_difference(n, h), keep_y) / math.sqrt(2),
            ],
        ]
    )


@pytest.mark.parametrize("shape", [(5, 7), (6, 6), (2, 3)])
def test_differential_dense_twins(shape):
    X = odl.uniform_discr([0, 0], [1, 3], shape)
    sides = X.cell_sides
    D = ops.gradient(X)
    expected = np.vstack(
        [
            np.kron(forward_difference(shape[0], sides[0]), np.eye(shape[1])),
            np.kron(np.eye(shape[0]), forward_difference(shape[1], sides[1])),
        ]
    )
    np.testing.assert_allclose(dense(D), expected, atol=1e-12)
    E = ops.SymmetrizedGradient(D.range)
    twin = symmetrized_gradient_matrix(shape, sides)
    np.testing.assert_allclose(dense(E), twin, atol=1e-12)
    np.testing.assert_allclose(dense(E.adjoint), twin.T, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(6,), (5, 7), (4, 5, 3)])
def test_differential_adjoints(shape, dtype, rng):
    X = odl.uniform_discr([0] * len(shape), [1] * len(shape), shape, dtype=dtype)
    D = ops.gradient(X)
    E = ops.SymmetrizedGradient(D.range)
    assert len(E.range) == len(shape) * (len(shape) + 1) // 2
    for op in (D, E):
        assert adjoint_error(op, rng) < tolerance(dtype)
        assert op(op.domain.one())[0].dtype == X.dtype
    for op in (E, E.adjoint):
        assert_out_and_linear(op, rng)
    assert E.adjoint.adjoint is E


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_kernel_is_affine(ndim):
    """The null space of E grad has the dimension of the affine functions, and contains them."""
    shape = (4, 5, 6)[:ndim]
    X = odl.uniform_discr([0] * ndim, list(shape), shape)
    D = ops.gradient(X)
    E = ops.SymmetrizedGradient(D.range)
    for coefficients in np.eye(ndim + 1):
        affine = coefficients[0] + sum(
            c * grid for c, grid in zip(coefficients[1:], np.indices(shape), strict=True)
        )
        assert E(D(X.element(affine))).norm() == 0
    composed = dense(E @ D)
    assert np.linalg.matrix_rank(composed) == X.size - (ndim + 1)


def test_rigid_rotation_has_no_strain():
    X = odl.uniform_discr([0, 0], [6, 8], (6, 8))
    i, j = np.indices(X.shape).astype(float)
    assert ops.SymmetrizedGradient(X**2)((X**2).element([-j, i])).norm() == 0


def test_frobenius_norm(rng):
    """Interior entries of a quadratic potential: the Hessian, with its Frobenius norm."""
    X = odl.uniform_discr([0, 0], [6, 8], (6, 8))
    i, j = np.indices(X.shape).astype(float)
    a, b, c = 2.0, -1.0, 0.5
    D = ops.gradient(X)
    u = X.element(a / 2 * i**2 + b * i * j + c / 2 * j**2)
    hessian = ops.SymmetrizedGradient(D.range)(D(u))
    norm = np.sqrt(sum(np.abs(part.data) ** 2 for part in hessian))[1:-1, 1:-1]
    np.testing.assert_allclose(norm, np.linalg.norm([[a, b], [b, c]]), rtol=1e-12)


def test_differential_errors():
    with pytest.raises(TypeError, match="cell sides"):
        ops.gradient(odl.rn((4, 4)))
    X = odl.uniform_discr([0, 0], [1, 1], (4, 4))
    for wrong in (X, X**3, odl.rn(4) ** 2):
        with pytest.raises(TypeError, match="gradient"):
            ops.SymmetrizedGradient(wrong)
