"""Masks: values, adjoints, errors."""

import numpy as np
import odl
import pytest
from operator_checks import adjoint_error, ct_space, tolerance

from odl_learned import operators as ops


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64"])
def test_mask(dtype, rng):
    X = odl.uniform_discr([0, 0], [1, 1], (5, 7), dtype=dtype)
    mask = rng.random((5, 7)) < 0.5
    A = ops.mask_operator(X, mask)
    x = ops.random_element(X, rng)
    np.testing.assert_array_equal(A(x).data, np.where(mask, x.data, 0))
    assert adjoint_error(A, rng) < tolerance(dtype)
    assert ops.operator_norm(A) == 1.0


def test_mask_errors():
    X = ct_space(3, 4)
    with pytest.raises(ValueError, match=r"\(4, 3\), expected \(3, 4\)"):
        ops.mask_operator(X, np.ones((4, 3)))
    with pytest.raises(ValueError, match="12 values that are neither"):
        ops.mask_operator(X, np.full((3, 4), 0.5))
    with pytest.raises(ValueError, match="NaN"):
        ops.mask_operator(X, np.full((3, 4), np.nan))
    with pytest.raises(TypeError, match="complex"):
        ops.mask_operator(X, np.ones((3, 4), complex))
