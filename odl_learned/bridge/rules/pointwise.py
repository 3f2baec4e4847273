"""Native rules for pointwise maps and linear forms."""

import numpy as np
import odl
import torch
from odl.core.operator.default_ops import (
    ComplexEmbedding,
    ComplexModulus,
    ComplexModulusSquared,
    ConstantOperator,
    ImagPart,
    InnerProductOperator,
    LinCombOperator,
    MultiplyOperator,
    PowerOperator,
    RealPart,
    ZeroOperator,
)
from odl.core.operator.tensor_ops import (
    PointwiseInner,
    PointwiseInnerAdjoint,
    PointwiseNorm,
    _ImplChangeOperator,
)
from torch import nn

from odl_learned.bridge.graphs import without_transforms
from odl_learned.bridge.layouts.arrays import tensor_of
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held, each
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import LinearForm, Multiply, Outer, Scale
from odl_learned.operators import RootSumOfSquares
from odl_learned.weights import component_weights


class Constant(nn.Module):
    """``x -> c`` for every sample."""

    def __init__(self, constant, source):
        super().__init__()
        self.constant, self.source = Held(constant), source

    def forward(self, x):
        lead = self.source.batch_shape(x)
        return each(lambda c: c.expand((*lead, *c.shape)), self.constant())


class LinearCombination(nn.Module):
    """``(x_1, x_2) -> a x_1 + b x_2``."""

    def __init__(self, a, b, source):
        super().__init__()
        self.a, self.b, self.source = a, b, source

    def forward(self, x):
        return each(lambda u, v: self.a * u + self.b * v, *self.source.split(x))


class Pointwise(nn.Module):
    """``x -> f(x)`` entry by entry."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return each(self.function, x)


class Power(nn.Module):
    """``x -> x^p`` entry by entry."""

    def __init__(self, exponent):
        super().__init__()
        self.exponent = exponent

    def forward(self, x):
        return x**self.exponent


class Modulus(nn.Module):
    """``x -> |x|`` entry by entry, with derivative zero where ``x = 0``."""

    def forward(self, x):
        return each(lambda part: safe_norm(part.unsqueeze(-1), -1), x)


class GroupNorm(nn.Module):
    """``v -> (sum_i w_i |v_i|^p)^(1/p)`` in every point; ``axis`` counts from the end."""

    def __init__(self, exponent, weights, axis):
        super().__init__()
        self.exponent, self.axis = exponent, axis
        self.weights = None if weights is None else Held(weights)

    def forward(self, v):
        if self.weights is None and self.exponent == 2:
            return safe_norm(v, self.axis)
        if self.weights is None:
            return torch.linalg.vector_norm(v, ord=self.exponent, dim=self.axis)
        if np.isinf(self.exponent):
            return (self.weights() * v.abs()).amax(self.axis)
        return (self.weights() ** (1 / self.exponent) * v.abs()).norm(self.exponent, self.axis)


class GroupInner(nn.Module):
    """``v -> sum_i w_i v_i conj(g_i)`` in every point; ``axis`` counts from the end."""

    def __init__(self, field, axis):
        super().__init__()
        self.field, self.axis = Held(field.conj().resolve_conj()), axis

    def forward(self, v):
        return (v * self.field()).sum(self.axis)


class Spread(nn.Module):
    """``x -> (x g_1, ..., x g_n)`` with a fixed field; ``axis`` counts from the end."""

    def __init__(self, field, axis):
        super().__init__()
        self.field, self.axis = Held(field), axis

    def forward(self, x):
        return x.unsqueeze(self.axis) * self.field()


def safe_norm(v, axis):
    """Euclidean norm along an axis with derivatives of every order zero where the norm is zero.

    ``sqrt`` has no derivative at 0, and torch's own norm returns NaN for its second one there.
    """
    square = v.square() if not v.is_complex() else v.real.square() + v.imag.square()
    square = square.sum(axis)
    if without_transforms():
        return square.sqrt()
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)


class RootOfSquares(nn.Module):
    """``u -> (sum_c |u_c|^2 + nu^2)^(1/2)`` in every point; ``axis`` counts from the end."""

    def __init__(self, smoothing, axis):
        super().__init__()
        self.smoothing, self.axis = smoothing, axis

    def forward(self, u):
        if not self.smoothing:
            return safe_norm(u, self.axis)
        square = u.real.square() + u.imag.square() if u.is_complex() else u.square()
        return (square.sum(self.axis) + self.smoothing**2).sqrt()


@lower.register
def _(op: RootSumOfSquares):
    return RootOfSquares(op.smoothing, -1 - len(op.range.shape))


@lower.register
def _(op: MultiplyOperator):
    if not hasattr(op.multiplicand, "space"):
        return Scale(op.multiplicand)
    if isinstance(op.domain, odl.Field):
        layout = layout_of(op.range)
        return Outer(nn.Identity(), layout.to_tensor(op.multiplicand))
    return Multiply(layout_of(op.multiplicand.space).to_tensor(op.multiplicand))


@lower.register
def _(op: ConstantOperator):
    return Constant(layout_of(op.range).to_tensor(op.constant), layout_of(op.domain))


@lower.register
def _(op: ZeroOperator):
    return Constant(layout_of(op.range).to_tensor(op.range.zero()), layout_of(op.domain))


@lower.register
def _(op: InnerProductOperator):
    layout = layout_of(op.domain)
    return LinearForm(layout.to_tensor(op.vector), layout)


@lower.register
def _(op: LinCombOperator):
    return LinearCombination(op.a, op.b, layout_of(op.domain))


@lower.register
def _(op: _ImplChangeOperator):
    return Scale(1)


@lower.register
def _(op: PowerOperator):
    return Power(op.exponent)


@lower.register
def _(op: RealPart):
    return Pointwise(_real)


@lower.register
def _(op: ImagPart):
    return Pointwise(_imag)


@lower.register
def _(op: ComplexEmbedding):
    return Pointwise(_Embed(op.scalar))


@lower.register
def _(op: ComplexModulus):
    return Modulus()


@lower.register
def _(op: ComplexModulusSquared):
    return Pointwise(_square_modulus)


@lower.register
def _(op: PointwiseNorm):
    axis = -layout_of(op.domain).ndim
    return GroupNorm(op.exponent, _weights(op), axis)


@lower.register
def _(op: PointwiseInner):
    layout = layout_of(op.domain)
    field = layout.to_tensor(op.vecfield)
    weights = _weights(op)
    return GroupInner(field if weights is None else weights * field, -layout.ndim)


@lower.register
def _(op: PointwiseInnerAdjoint):
    layout = layout_of(op.range)
    factors = [_plain(w) / c * torch.ones(op.domain.shape)
               for w, c in zip(op.weights, component_weights(op.range))]
    return Spread(torch.stack(factors).to(layout.dtype) * layout.to_tensor(op.vecfield),
                  -layout.ndim)


def _weights(op):
    """Weights of a pointwise norm or inner product as a tensor ``(n, 1, ...)``, or None."""
    if not op.is_weighted:
        return None
    return torch.stack([_plain(w) * torch.ones(op.domain[0].shape) for w in op.weights])


def _plain(weight):
    """One weight, a number or an element, as a tensor."""
    return tensor_of(weight.data) if hasattr(weight, "space") else torch.tensor(float(weight))


def _real(x):
    return x.real if x.is_complex() else x


def _imag(x):
    return x.imag if x.is_complex() else torch.zeros_like(x)


def _square_modulus(x):
    return x.real.square() + x.imag.square() if x.is_complex() else x.square()


class _Embed:
    """``x -> s x`` as a complex number."""

    def __init__(self, scalar):
        self.scalar = complex(scalar)

    def __call__(self, x):
        return self.scalar * x.to(torch.promote_types(x.dtype, torch.complex64))
