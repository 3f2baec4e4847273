"""The sampled Fourier transform against its dense twin, adjoints, errors."""

import math

import numpy as np
import odl
import pytest
from operator_checks import (
    adjoint_error,
    assert_out_and_linear,
    complex_space,
    dense,
    dft_matrix,
    tolerance,
)

from odl_learned import operators as ops


@pytest.mark.parametrize("shape", [(6, 6), (5, 7), (4, 5)])
def test_fourier_dense_twin(shape, rng):
    weights = rng.standard_normal(shape)
    A = ops.SampledFourier(complex_space(shape, "complex128"), weights)
    expected = weights.ravel()[:, None] * np.kron(dft_matrix(shape[0]), dft_matrix(shape[1]))
    np.testing.assert_allclose(dense(A), expected, atol=1e-14)
    np.testing.assert_allclose(dense(A.adjoint), expected.conj().T, atol=1e-14)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("shape", [(7,), (5, 7), (3, 4, 5)])
@pytest.mark.parametrize("weighting", [None, 0.7])
def test_fourier_adjoint(shape, dtype, weighting, rng):
    X = complex_space(shape, dtype)
    Y = None if weighting is None else odl.cn(shape, dtype=dtype, weighting=weighting)
    A = ops.SampledFourier(X, rng.random(shape) < 0.6, Y)
    assert adjoint_error(A, rng) < tolerance(dtype)
    assert_out_and_linear(A, rng)
    assert_out_and_linear(A.adjoint, rng)
    assert A.adjoint.adjoint is A
    assert A(X.one()).dtype == X.dtype and A.adjoint(A.range.one()).dtype == X.dtype


def test_fourier_is_unitary_and_centered(rng):
    X = complex_space((6, 5), "complex128")
    F = ops.SampledFourier(X, np.ones((6, 5), bool))
    x = ops.random_element(X, rng)
    assert (F.adjoint(F(x)) - x).norm() < 1e-13
    assert F(x).norm() == pytest.approx(x.norm(), rel=1e-13)
    constant = F(X.one()).data
    assert abs(constant[3, 2]) == pytest.approx(math.sqrt(30))
    assert np.count_nonzero(np.abs(constant) > 1e-12) == 1


def test_fourier_on_cn_and_weights_attribute():
    weights = np.ones((4, 4), bool)
    A = ops.SampledFourier(odl.cn((4, 4), dtype="complex64", weighting=3.0), weights)
    weights[:] = False
    assert A.weights.all() and A.weights.dtype == np.float32
    assert A.range.weighting.const == 3.0


def test_fourier_errors():
    X = complex_space((4, 5), "complex64")
    with pytest.raises(TypeError, match="dtype='complex64'"):
        ops.SampledFourier(odl.uniform_discr(0, 1, 4), np.ones(4))
    with pytest.raises(TypeError, match="product space"):
        ops.SampledFourier(X**2, np.ones((4, 5)))
    with pytest.raises(TypeError, match="constant"):
        ops.SampledFourier(odl.cn(4, weighting=[1.0, 2.0, 3.0, 4.0]), np.ones(4))
    with pytest.raises(ValueError, match=r"\(5, 4\).*\(4, 5\)"):
        ops.SampledFourier(X, np.ones((5, 4)))
    with pytest.raises(TypeError, match="complex"):
        ops.SampledFourier(X, np.ones((4, 5), complex))
    with pytest.raises(ValueError, match="NaN"):
        ops.SampledFourier(X, np.full((4, 5), np.nan))
    with pytest.raises(ValueError, match="dtype"):
        ops.SampledFourier(X, np.ones((4, 5)), odl.cn((4, 5), dtype="complex128"))
    with pytest.raises(ValueError, match="shape"):
        ops.SampledFourier(X, np.ones((4, 5)), odl.cn((5, 4), dtype="complex64"))
