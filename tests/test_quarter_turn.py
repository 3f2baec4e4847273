"""Quarter turns move points and functions, exactly."""

import numpy as np
import odl
import pytest
from operator_checks import adjoint_error, assert_out_and_linear

from odl_learned import operators as ops


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_quarter_turn_moves_points(dtype, rng):
    X = odl.uniform_discr([-1, -1], [1, 1], (5, 5), dtype=dtype)
    u = X.zero()
    u.data[4, 2] = 1  # on the positive x axis: a quarter turn takes it to the positive y axis
    turned = ops.QuarterTurn(X, 1)(u).data
    assert turned[2, 4] == 1 and np.abs(turned).sum() == 1
    x = ops.random_element(X, rng)
    for k in range(-2, 6):
        g = ops.QuarterTurn(X, k)
        assert adjoint_error(g, rng) < 1e-6
        assert_out_and_linear(g, rng)
        assert (g.inverse(g(x)) - x).norm() == 0
        for other in range(4):
            composed = g(ops.QuarterTurn(X, other)(x))
            assert (composed - ops.QuarterTurn(X, k + other)(x)).norm() == 0
    in_place = x.copy()
    ops.QuarterTurn(X, 1)(in_place, out=in_place)
    assert (in_place - ops.QuarterTurn(X, 1)(x)).norm() == 0


def test_quarter_turn_agrees_with_coordinates():
    X = odl.uniform_discr([-1, -1], [1, 1], (6, 6))
    u = X.element(lambda x: x[0] + 3 * x[1] ** 2 * x[0])
    # R^-1 (x, y) = (y, -x)
    expected = X.element(lambda x: x[1] + 3 * x[0] ** 2 * x[1])
    assert (ops.QuarterTurn(X, 1)(u) - expected).norm() < 1e-14


def test_quarter_turn_errors():
    with pytest.raises(ValueError, match=r"\(4, 5\)"):
        ops.QuarterTurn(odl.uniform_discr([0, 0], [4, 5], (4, 5)), 1)
    with pytest.raises(ValueError, match="cell sides"):
        ops.QuarterTurn(odl.uniform_discr([0, 0], [1, 2], (4, 4)), 1)
    with pytest.raises(TypeError, match="integer"):
        ops.QuarterTurn(odl.uniform_discr([0, 0], [1, 1], (4, 4)), 0.5)
    with pytest.raises(TypeError, match="uniform_discr"):
        ops.QuarterTurn(odl.rn((4, 4)), 1)
