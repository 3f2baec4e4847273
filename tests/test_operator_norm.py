"""Norms of operators, in closed form and by power iteration, against singular values."""

import gc
import math
import weakref

import numpy as np
import odl
import pytest
from operator_checks import complex_space, ct_space, dense

from odl_learned import operators as ops


def weighted_norm(op):
    """Largest singular value of the dense twin in the weighted inner products."""

    def weight(space):
        return (space[0] if isinstance(space, odl.ProductSpace) else space).weighting.const

    return np.linalg.norm(dense(op), 2) * math.sqrt(weight(op.range) / weight(op.domain))


def norm_cases():
    rng = np.random.default_rng(1)
    X = odl.uniform_discr([0, 0], [1, 3], (5, 7))
    C = complex_space((5, 4), "complex128")
    weights = rng.standard_normal((5, 4))
    yield "gradient", ops.gradient(X)
    yield "backward", odl.Gradient(X, method="backward", pad_mode="symmetric")
    yield "gradient 3d", ops.gradient(odl.uniform_discr([0] * 3, [1] * 3, (3, 4, 2)))
    yield "fourier", ops.SampledFourier(C, weights, odl.cn((5, 4), weighting=5.0))
    yield "fourier adjoint", ops.SampledFourier(C, weights, odl.cn((5, 4), weighting=5.0)).adjoint
    yield "multiply", odl.MultiplyOperator(X.element(rng.standard_normal((5, 7))))
    yield "turn", ops.QuarterTurn(odl.uniform_discr([0, 0], [1, 1], (3, 3)), 1)
    yield "identity", odl.IdentityOperator(X)
    yield "scaling", odl.ScalingOperator(C, -2j)
    yield "multiple", -3.0 * ops.gradient(X)
    yield "right multiple", odl.OperatorRightScalarMult(ops.gradient(X), -2.0)
    yield "central", odl.Gradient(X, method="central", pad_mode="symmetric")
    yield "periodic", odl.Gradient(X, pad_mode="periodic")
    yield "symmetrized", ops.SymmetrizedGradient(X**2)
    yield "matrix", odl.MatrixOperator(rng.standard_normal((6, 4)))
    yield "sum", ops.SampledFourier(C, weights, C) + 0.3 * odl.IdentityOperator(C)


@pytest.mark.parametrize("name,op", list(norm_cases()), ids=lambda value: str(value)[:16])
def test_operator_norm_against_svd(name, op):
    norm, truth = ops.operator_norm(op), weighted_norm(op)
    assert type(norm) is float
    assert truth * (1 - 1e-12) <= norm <= truth * (1 + 1e-3 + 1e-12)
    if ops.exact_norm(op) is not None:
        assert norm == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("name", ["central", "periodic", "symmetrized", "matrix", "sum"])
def test_power_iteration_is_not_below_rayleigh(name):
    op = dict(norm_cases())[name]
    assert ops.exact_norm(op) is None
    for seed in range(5):
        norm = ops.operator_norm(op, np.random.default_rng(seed))
        assert weighted_norm(op) * (1 - 1e-12) <= norm <= weighted_norm(op) * (1 + 1e-3)


def test_zero_operator_has_norm_zero():
    X = ct_space(4, 4)
    assert ops.operator_norm(odl.ZeroOperator(X)) == 0
    assert ops.operator_norm(ops.gradient(X) @ odl.ZeroOperator(X)) == 0
    with pytest.raises(ValueError, match="zero operator"):
        ops.normalized(odl.ZeroOperator(X))


class Counting(odl.Operator):
    """Twice the identity, counting its calls."""

    def __init__(self, space):
        super().__init__(space, space, linear=True)
        self.calls = 0

    def _call(self, x):
        self.calls += 1
        return 2 * x

    @property
    def adjoint(self):
        return self


def test_norm_is_remembered_per_object():
    op = Counting(odl.rn(3))
    assert ops.operator_norm(op) == pytest.approx(2)
    calls = op.calls
    assert ops.operator_norm(op) == pytest.approx(2) and op.calls == calls
    ops.operator_norm(op, rtol=1e-6)
    assert op.calls > calls
    calls = op.calls
    ops.operator_norm(op, np.random.default_rng(3))
    assert op.calls > calls
    reference = weakref.ref(op)
    del op
    gc.collect()
    assert reference() is None


def test_norm_in_single_precision():
    A = ops.parallel_ray_transform(ct_space(), 6)
    assert ops.operator_norm(A) == pytest.approx(weighted_norm(A), rel=2e-3)
    assert ops.operator_norm(ops.normalized(A)) == pytest.approx(1, rel=1e-9)


def test_norm_errors_and_warning():
    X = odl.rn(3)
    with pytest.raises(TypeError, match="linear"):
        ops.operator_norm(odl.functionals.L2NormSquared(X))
    with pytest.raises(ValueError, match="rtol"):
        ops.operator_norm(odl.MatrixOperator(np.eye(3)), rtol=0)
    with pytest.raises(ValueError, match="not finite"):
        ops.operator_norm(odl.MatrixOperator(np.full((3, 3), np.nan)))
    with pytest.warns(RuntimeWarning, match="maxiter"):
        ops.operator_norm(odl.MatrixOperator(np.diag([1.0, 0.9, 0.8])), maxiter=2)
