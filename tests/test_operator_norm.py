"""Norms of operators, in closed form and bounded from a random start, against singular values."""

import gc
import math
import weakref

import numpy as np
import odl
import pytest
from operator_checks import complex_space, ct_space, dense

from odl_learned import functionals as F
from odl_learned import operators as ops
from odl_learned import variational
from odl_learned.conformance.sampling import dense_matrix, dense_weights, is_real_linear
from odl_learned.operators.norms.random_elements import uniform_direction


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


BOUNDED = ("central", "symmetrized", "sum", "complex", "weights", "product", "single", "wide",
           "real part")  # fmt: skip


def bounded_cases():
    """Operators without a closed form: weighted, complex, of products, in single precision."""
    rng = np.random.default_rng(2)
    W, V = odl.rn(5, weighting=[1e-6, 1.0, 0.1, 3.0, 1e4]), odl.rn(4, weighting=[2.0, 1e3, 0.1, 1])
    C = complex_space((3, 4), "complex128")
    P = odl.ProductSpace(W, W, weighting=[1e4, 1e-3])
    yield from ((name, op) for name, op in norm_cases() if name in BOUNDED)
    values = rng.standard_normal((2, 3, 4))
    shift = ops.Translation(C, [0.1, 0.3]) + 1j * odl.IdentityOperator(C)
    yield "complex", odl.MultiplyOperator(C.element(values[0] + 1j * values[1])) @ shift
    yield "weights", WeightedMatrix(rng.standard_normal((4, 5)), W, V)
    yield "product", WeightedMatrix(rng.standard_normal((10, 10)), P, P)
    yield "single", ops.parallel_ray_transform(ct_space(), 6)
    yield "wide", WeightedMatrix(rng.standard_normal((4, 40)), odl.rn(40), V)
    yield "real part", odl.RealPart(C) @ shift


class WeightedMatrix(odl.Operator):
    """A matrix between spaces or products of any weights, its adjoint ``W_X^-1 M^T W_Y``."""

    def __init__(self, matrix, domain, range):
        super().__init__(domain, range, linear=True)
        self.matrix = matrix

    def _call(self, x):
        parts = x if isinstance(self.domain, odl.ProductSpace) else [x]
        values = self.matrix @ np.concatenate([part.data for part in parts])
        if isinstance(self.range, odl.ProductSpace):
            values = np.split(values, len(self.range))
        return self.range.element(values)

    @property
    def adjoint(self):
        above, below = (dense_weights(space, False) for space in (self.range, self.domain))
        return WeightedMatrix(self.matrix.T * above / below[:, None], self.range, self.domain)


@pytest.mark.parametrize("name,op", list(bounded_cases()), ids=lambda value: str(value)[:16])
def test_bounds_are_neither_below_nor_far_above(name, op):
    assert ops.exact_norm(op) is None
    truth = real_norm(op)
    rounding = 1e-6 if name == "single" else 1e-12
    for seed in range(5):
        for rtol in (1e-3, 1e-2):
            norm = ops.operator_norm(op, np.random.default_rng(seed), rtol)
            assert truth * (1 - rounding) <= norm <= truth * (1 + rtol + rounding)


def test_norm_of_a_linear_functional():
    W = odl.rn(5, weighting=[1e-6, 1.0, 0.1, 3.0, 1e4])
    v = ops.random_element(W, np.random.default_rng(0))
    # What rounding leaves after the only step may be bounded by another one: up to rtol, no more.
    for op in (odl.InnerProductOperator(v), odl.InnerProductOperator(v).adjoint):
        assert v.norm() * (1 - 1e-14) <= ops.operator_norm(op) <= v.norm() * (1 + 1e-3)


def real_norm(op):
    """The largest singular value of the dense twin, over the real numbers, weights included."""
    real = is_real_linear(op)
    matrix = dense_matrix(op, real)
    scaled = matrix * np.sqrt(dense_weights(op.range, real))[:, None]
    return np.linalg.norm(scaled / np.sqrt(dense_weights(op.domain, real)), 2)


def test_an_isolated_singular_value_is_not_missed():
    """Power iteration never saw these: it stopped when the residual was small."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = rng.uniform(0.0, 1.0, 100)
        values[rng.integers(100)] = truth = rng.uniform(1.001, 1.6)
        op = WeightedMatrix(np.diag(values), odl.rn(100), odl.rn(100))
        norm = ops.operator_norm(op, rng, rtol=0.03)
        assert truth * (1 - 1e-12) <= norm <= truth * 1.03


def test_the_risk_is_not_exceeded():
    """With a risk of one half a seed fails now and then, and less often than in half of all."""
    values = np.linspace(0.0, 0.999, 200)
    values[7] = 1.05
    op = WeightedMatrix(np.diag(values), odl.rn(200), odl.rn(200))
    norms = [ops.operator_norm(op, np.random.default_rng(seed), rtol=0.02, risk=0.5)
             for seed in range(60)]  # fmt: skip
    assert 0 < sum(norm < 1.05 * (1 - 1e-9) for norm in norms) < 30


def test_start_is_uniform_on_the_sphere_of_a_weighted_space():
    """The mean of the squared coordinates is 1/n in every orthonormal direction."""
    W = odl.rn(3, weighting=[1e-4, 1.0, 1e4])
    P = odl.ProductSpace(W, odl.rn(1), weighting=[9.0, 1e-6])
    rng, squares = np.random.default_rng(0), np.zeros(4)
    for _ in range(2000):
        x = uniform_direction(P, rng)
        squares += [*(9.0 * np.array([1e-4, 1.0, 1e4]) * x[0].data**2), 1e-6 * x[1].data[0] ** 2]
    # The variance of a squared coordinate is 2 (n - 1) / (n^2 (n + 2)) = 1/16: five deviations.
    np.testing.assert_allclose(squares / 2000, 0.25, atol=5 * 0.25 / math.sqrt(2000))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_units_do_not_matter_in_single_precision(scale):
    matrix = np.random.default_rng(0).standard_normal((6, 5))
    spaces = odl.rn(5, dtype="float32"), odl.rn(6, dtype="float32")
    op = WeightedMatrix((scale * matrix).astype("float32"), *spaces)
    assert ops.operator_norm(op) == pytest.approx(scale * np.linalg.norm(matrix, 2), rel=2e-3)


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
    with pytest.raises(ValueError, match="not finite"):
        ops.operator_norm(WeightedMatrix(np.full((3, 3), np.nan), X, X))
    with pytest.raises(ValueError, match="risk is 0.0; expected a probability"):
        ops.operator_norm(odl.MatrixOperator(np.eye(3)), risk=0.0)
    diagonal = WeightedMatrix(np.diag([1.0, 0.9, 0.8]), X, X)
    with pytest.warns(RuntimeWarning, match="returns the upper one.*maxiter"):
        assert ops.operator_norm(diagonal, maxiter=2) >= 1
    with pytest.raises(TypeError, match="exponent"):
        ops.operator_norm(WithoutInnerProduct(np.eye(3), X, odl.rn(3, exponent=1)))


class WithoutInnerProduct(WeightedMatrix):
    """Into a space of another exponent, with something that it calls its adjoint."""

    @property
    def adjoint(self):
        return WithoutInnerProduct(self.matrix.T, self.range, self.domain)


def test_a_wrong_adjoint_is_noticed():
    class Wrong(WeightedMatrix):
        @property
        def adjoint(self):
            return 2 * super().adjoint

    with pytest.warns(RuntimeWarning, match=r"is 2 times \|A v\|\^2.*check_adjoint"):
        ops.operator_norm(Wrong(np.diag([1.0, 0.9, 0.8]), odl.rn(3), odl.rn(3)))


def test_pdhg_converges_with_the_steps_of_an_operator_with_an_isolated_value():
    """Three steps above the largest allowed ones let PDHG grow without bounds."""
    X = odl.uniform_discr([0, 0], [1, 1], (16, 16))
    W = ops.OrthogonalWavelet(X, "haar", 2)
    factors = np.ones((16, 16))
    factors[9, 5] = 1.6
    A = W.adjoint @ odl.MultiplyOperator(W.range.element(factors)) @ W
    assert ops.operator_norm(A) == pytest.approx(1.6, rel=1e-14)
    data = A(ops.random_element(X, np.random.default_rng(0)))
    problem = variational.tv_problem(A, F.l2_fidelity(data), 1e-3, F.BoxConstraint(X, -9, 9))
    (tau, sigma), (f, g, L) = problem.step_sizes(), problem
    x, y = L.domain.zero(), L.range.zero()
    odl.solvers.pdhg(x, f, g, L, niter=300, tau=tau, sigma=sigma, y=y)
    assert problem.gap(x, y) <= 1e-3 * problem.value(L.domain.zero())
