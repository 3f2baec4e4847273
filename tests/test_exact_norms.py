"""Norms in closed form against the singular values of dense twins, and what has none."""

import math

import numpy as np
import odl
import pytest

from odl_learned import operators as ops
from odl_learned.conformance.sampling import dense_matrix, dense_weights, is_real_linear
from odl_learned.operators.norms.factors import Unitary, parts_of
from odl_learned.operators.norms.least_stretch import least_stretch
from odl_learned.operators.norms.product_bounds import product_bound

X = odl.uniform_discr([0, 0], [1, 2], (4, 6))
C = odl.uniform_discr([0, 0], [2, 2], (4, 4), dtype="complex128")
S = odl.uniform_discr([0, 0], [1, 1], (4, 4))
RNG = np.random.default_rng(0)


def numbers(space):
    """Multiplication by random numbers."""
    return odl.MultiplyOperator(ops.random_element(space, RNG))


def matrix(space, rows=3):
    """An operator without structure: a matrix along the first axis."""
    return odl.MatrixOperator(RNG.standard_normal((rows, space.shape[0])), domain=space)


def known_cases():
    W, WS = ops.OrthogonalWavelet(X, "haar", 1), ops.OrthogonalWavelet(S, "db2", 1)
    FC = ops.SampledFourier(C, RNG.random((4, 4)), odl.cn((4, 4), weighting=3.0))
    blur = ops.PeriodicConvolution(S, RNG.standard_normal((3, 3)))
    other = ops.PeriodicConvolution(S, RNG.standard_normal((1, 3)))
    extend = odl.ResizingOperator(X, ran_shp=(6, 7))
    P = odl.ProductSpace(odl.rn(3), odl.rn(2), weighting=[0.5, 4.0])
    coils = ops.MultiCoilFourier(C, np.full((4, 4), 2.0), RNG.standard_normal((2, 4, 4)))
    even = np.array([[1.0, -2, 1], [0.5, 3, 0.5], [1.0, -2, 1]])
    # products
    yield "W* D W", W.adjoint @ numbers(W.range) @ W
    yield "multiple of its adjoint", -2.5 * (W.adjoint @ numbers(W.range) @ W).adjoint
    yield "rotated mask", ops.mask_operator(S, RNG.random((4, 4)) < 0.5) @ ops.Rotation(S, 0.3)
    yield "D D", numbers(X) @ (2.0 * numbers(X))
    yield "D F", numbers(FC.range) @ FC
    yield "F* D F", FC.adjoint @ numbers(FC.range) @ FC
    yield "F F*", FC @ FC.adjoint
    yield "two blurs", blur @ other.adjoint
    yield "blurred wavelets", blur @ WS.adjoint
    yield "W* W D", W.adjoint @ W @ numbers(X)
    yield "vector times unitary", ops.random_element(S, RNG) @ ops.QuarterTurn(S, 1)
    yield "unitary times vector", ops.Reflection(S, 1) @ ops.random_element(S, RNG)
    yield "phase", odl.MultiplyOperator(C.element(np.exp(1j * RNG.random((4, 4))))) @ coils.adjoint
    yield "extended", extend @ numbers(X)
    yield "cropped", numbers(X) @ extend.adjoint
    yield "matrix between unitary ones", matrix(S, 4) @ ops.QuarterTurn(S, 1)
    yield "A* A", coils.adjoint @ coils
    yield "product of spaces", odl.MultiplyOperator(P.element([[1, -2, 3], [4, -5]]))
    # blocks
    yield "one row", odl.BroadcastOperator(matrix(X), 1)
    yield "Tikhonov", odl.BroadcastOperator(matrix(X), 0.3 * odl.IdentityOperator(X), W)
    yield "diagonal rows", odl.BroadcastOperator(numbers(X), numbers(X), W)
    yield "rows in one basis", odl.BroadcastOperator(
        numbers(W.range) @ W, W.adjoint @ numbers(W.range) @ W)
    yield "blurs", odl.BroadcastOperator(blur, 2 * other)
    yield "column", odl.ReductionOperator(matrix(X).adjoint, odl.IdentityOperator(X))
    yield "diagonal of blocks", odl.DiagonalOperator(matrix(X), 0.1 * ops.gradient(X))
    yield "exchange", odl.ProductSpaceOperator([[0, matrix(X)], [numbers(S), 0]])
    yield "projection", odl.ComponentProjection(P, 1)
    yield "embedding", odl.ComponentProjection(P, 1).adjoint
    yield "insertion", ops.BlockInsertion(P, 0, P[0].zero()).derivative(P[1].zero())
    yield "insertion's adjoint", ops.BlockInsertion(
        P, 0, P[0].zero()).derivative(P[1].zero()).adjoint
    # leaves
    yield "matrix", odl.MatrixOperator(RNG.standard_normal((5, 3)), domain=odl.rn(3, weighting=2.0))
    yield "matrix adjoint", odl.MatrixOperator(
        RNG.standard_normal((5, 3)) + 1j, domain=odl.cn(3), range=odl.cn(5, weighting=7.0)).adjoint
    yield "sampling", odl.SamplingOperator(X, [[0, 1, 0, 0], [2, 3, 2, 2]], variant="integrate")
    yield "sampling adjoint", odl.SamplingOperator(X, [[0, 1, 0], [2, 3, 2]]).adjoint
    yield "reflected", ops.ReflectedExtension(X, (2, 6))
    yield "reflected adjoint", ops.ReflectedExtension(X, (3, 1)).adjoint
    yield "reflecting", ops.ReflectingConvolution(X, even)
    yield "reflecting complex", ops.ReflectingConvolution(C, even * (1 - 2j))
    yield "reflecting blur", ops.ReflectingConvolution(X, ops.gaussian_kernel(X, 0.2))
    yield "periodic", odl.Gradient(X, method="forward", pad_mode="periodic")
    yield "zeros outside", odl.Gradient(X, method="backward", pad_mode="constant")
    yield "cut cells", ops.gradient(odl.uniform_discr([0, 0], [1, 2], (4, 3), nodes_on_bdry=True))
    yield "cut cells, backward", odl.Gradient(
        odl.uniform_discr(0, 1, 5, nodes_on_bdry=[(False, True)]),
        method="backward", pad_mode="symmetric")
    yield "cut cell, two points", ops.gradient(
        odl.uniform_discr([0, 0], [1, 2], (1, 2), nodes_on_bdry=[False, (True, False)]))
    yield "divergence", ops.gradient(X).adjoint
    yield "derivative", odl.PartialDerivative(X, 1, method="backward", pad_mode="periodic")


@pytest.mark.parametrize("name,op", list(known_cases()), ids=lambda value: str(value)[:24])
def test_exact_norms(name, op):
    norm, real = ops.exact_norm(op), is_real_linear(op)
    scaled = dense_matrix(op, real) * np.sqrt(dense_weights(op.range, real))[:, None]
    truth = np.linalg.norm(scaled / np.sqrt(dense_weights(op.domain, real)), 2)
    assert norm == pytest.approx(truth, rel=1e-13)
    assert ops.operator_norm(op) == norm


STRETCHED = ["W* D W", "multiple of its adjoint", "D D", "D F", "F* D F", "F F*", "two blurs",
             "blurred wavelets", "W* W D", "vector times unitary", "unitary times vector",
             "extended", "product of spaces", "embedding"]  # fmt: skip


@pytest.mark.parametrize("name,op", list(known_cases()), ids=lambda value: str(value)[:24])
def test_least_stretch_is_below_the_smallest_singular_value(name, op):
    real = is_real_linear(op)
    scaled = dense_matrix(op, real) * np.sqrt(dense_weights(op.range, real))[:, None]
    scaled = scaled / np.sqrt(dense_weights(op.domain, real))
    values, found = np.linalg.svd(scaled, compute_uv=False), least_stretch(op)
    truth = values[-1] if scaled.shape[0] >= scaled.shape[1] else 0.0
    assert 0 <= found <= truth * (1 + 1e-13)
    if name in STRETCHED:
        assert found >= truth - 2e-8 * values[0]


def test_real_images_and_blocks_side_by_side():
    real = ops.SampledFourier(C, np.ones((4, 4))) @ odl.ComplexEmbedding(C.real_space, 1 - 2j)
    assert least_stretch(real) == pytest.approx(ops.operator_norm(real), rel=1e-7)
    op = odl.BroadcastOperator(matrix(X), 0.3 * odl.IdentityOperator(X), ops.OrthogonalWavelet(
        X, "haar", 1))  # fmt: skip
    assert least_stretch(op) == pytest.approx(math.hypot(0.3, 1), rel=1e-7)
    assert least_stretch(-2j * odl.IdentityOperator(C)) == 2


def test_what_has_no_closed_form():
    W, blur = ops.OrthogonalWavelet(S, "haar", 1), ops.PeriodicConvolution(S, np.ones((1, 3)))
    grad, extend = ops.gradient(X), odl.ResizingOperator(X, ran_shp=(6, 7))
    for op in (
        numbers(S) @ blur,
        numbers(W.range) @ W @ numbers(S),
        odl.BroadcastOperator(matrix(X), grad),
        odl.BroadcastOperator(numbers(S) @ ops.QuarterTurn(S, 1), numbers(S)),
        odl.BroadcastOperator(numbers(W.range) @ W, numbers(S)),
        odl.ProductSpaceOperator([[grad, odl.IdentityOperator(X**2)]]),
        ops.ZeroConvolution(X, np.ones((3, 3))),
        ops.ReflectingConvolution(X, np.arange(9.0).reshape(3, 3)),
        extend.adjoint @ ops.gradient(extend.range).adjoint,
        odl.Gradient(X, method="central", pad_mode="symmetric"),
        odl.MatrixOperator(np.zeros((2000, 2000), dtype="float32")),
    ):
        assert ops.exact_norm(op) is None


def test_bounds_of_products_are_proven_and_not_always_attained():
    W, blur = ops.OrthogonalWavelet(S, "haar", 1), ops.PeriodicConvolution(S, np.ones((1, 3)))
    D, E, grad = numbers(S), numbers(W.range), ops.gradient(S)
    for op, factors in ((D @ blur, (D, blur)), (-2 * (E @ W @ D), (-2 * E, D)),
                        (grad @ D, (grad, D))):  # fmt: skip
        scaled = dense_matrix(op, False) * np.sqrt(dense_weights(op.range, False))[:, None]
        truth = np.linalg.norm(scaled / np.sqrt(dense_weights(op.domain, False)), 2)
        assert ops.exact_norm(op) is None and truth < product_bound(op)
        product = np.prod([ops.exact_norm(factor) for factor in factors])
        assert product_bound(op) == pytest.approx(product, rel=1e-13)
    unknown = odl.Gradient(S, method="central", pad_mode="symmetric")
    assert product_bound(unknown @ D) is None
    assert product_bound(W) == 1


def test_rules_for_classes_of_your_own():
    class Sine(odl.Operator):
        """The unitary sine transform of three numbers."""

        def __init__(self):
            super().__init__(odl.rn(3), odl.rn(3), linear=True)

        def _call(self, x):
            k = np.arange(1, 4)
            return self.range.element(np.sin(np.outer(k, k) * math.pi / 4) @ x.data / 2**0.5)

    class Doubled(Sine):
        adjoint = property(lambda self: self)

    diagonal = odl.MultiplyOperator(odl.rn(3).element([1, -5, 2]))
    with pytest.raises(NotImplementedError, match="exact_norm.register"):
        ops.operator_norm(Sine())
    parts_of.register(Sine, lambda op: [Unitary()])
    assert ops.operator_norm(Sine()) == 1
    assert ops.operator_norm(diagonal @ Sine()) == 5
    ops.exact_norm.register(Doubled, lambda op: 7.0)
    assert ops.operator_norm(Doubled()) == 7
