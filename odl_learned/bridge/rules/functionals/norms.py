"""Native rules for functionals: norms, Huber functions, support functions, quadratic forms.

A value is an integral over the domain, weighted as its inner product is:
``f(x) = sum_j w_j phi(x_j)`` of shape ``(*batch,)``.
"""

import functools
import math

import odl
import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.layouts.tuple_layout import TupleLayout
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import Composition, LinearForm, Scale, Shift
from odl_learned.bridge.rules.pointwise import Constant, safe_norm
from odl_learned.functionals import BoxSupport, MagnitudeSupport, OnRealParts, SmoothedGroupL1

F = odl.functionals


class Integral(nn.Module):
    """``x -> sum_j w_j phi(x_j)`` with a pointwise module or function ``phi``."""

    def __init__(self, integrand, layout):
        super().__init__()
        self.integrand, self.layout = integrand, layout

    def forward(self, x):
        return self.layout.integrate(each(self.integrand, x))


class GroupIntegral(nn.Module):
    """``v -> sum_j w_j phi(v_j)`` with ``phi`` a function of the vector ``v_j``."""

    def __init__(self, group, layout):
        super().__init__()
        self.group, self.layout = group, layout

    def forward(self, v):
        return self.layout.integrate(self.group(v))


class LpNorm(nn.Module):
    """``x -> (sum_j w_j |x_j|^p)^(1/p)`` for ``1 <= p < inf``."""

    def __init__(self, exponent, layout):
        super().__init__()
        self.exponent, self.layout = exponent, layout

    def forward(self, x):
        power = self.layout.integrate(each(lambda part: modulus(part) ** self.exponent, x))
        positive = power > 0
        root = torch.where(positive, power, 1.0) ** (1 / self.exponent)
        return torch.where(positive, root, 0.0)


class MaxNorm(nn.Module):
    """``x -> max_j |x_j|``."""

    def __init__(self, layout):
        super().__init__()
        self.layout = layout

    def forward(self, x):
        return over_entries(torch.amax, each(modulus, x), self.layout)


class NuclearNorm(nn.Module):
    """``x -> outer(|s(x_j)|_q)``, ``s`` the singular values of the matrix in every point."""

    def __init__(self, outer, exponent, ndim):
        super().__init__()
        self.outer, self.exponent, self.ndim = outer, exponent, ndim

    def forward(self, x):
        matrices = x.movedim((-self.ndim - 2, -self.ndim - 1), (-2, -1))
        values = torch.linalg.svdvals(matrices)
        return self.outer(torch.linalg.vector_norm(values, ord=self.exponent, dim=-1))


class HuberVector(nn.Module):
    """``v -> |v|^2 / (2 gamma)`` where ``|v| <= gamma``, else ``|v| - gamma / 2``."""

    def __init__(self, gamma, axis):
        super().__init__()
        self.gamma, self.axis = gamma, axis

    def forward(self, v):
        norm = modulus(v) if self.axis is None else safe_norm(v, self.axis)
        if self.gamma == 0:
            return norm
        return torch.where(norm < self.gamma, norm.square() / (2 * self.gamma),
                           norm - self.gamma / 2)


class SmoothedVector(nn.Module):
    """``v -> sqrt(|v|^2 + nu^2)`` in every point; ``axis`` counts from the end."""

    def __init__(self, nu, axis):
        super().__init__()
        self.nu, self.axis = nu, axis

    def forward(self, v):
        return (square_modulus(v).sum(self.axis) + self.nu**2).sqrt()


class QuadraticForm(nn.Module):
    """``x -> Re <x, A x + b>_X + c``, or ``<b, x>_X`` if there is nothing else, as of ODL."""

    def __init__(self, operator, vector, constant, layout):
        super().__init__()
        self.operator, self.constant, self.layout = operator, constant, layout
        self.linear_form = None if vector is None else LinearForm(vector, layout)

    def forward(self, x):
        if self.operator is None and self.constant == 0:
            return self.linear_form(x).conj()
        value = self.constant
        if self.operator is not None:
            value = value + self.layout.integrate(
                each(lambda a, b: a * b.conj(), x, self.operator(x)))
        if self.linear_form is not None:
            value = value + self.linear_form(x)
        return value.real if value.is_complex() else value


class IntervalSupport(nn.Module):
    """``z -> max(l z, u z)`` entry by entry."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high = low, high

    def forward(self, z):
        if math.isfinite(self.low) and math.isfinite(self.high):
            return torch.maximum(self.low * z, self.high * z)
        # Zero times an infinite bound is zero, and so is the derivative there.
        above = self._times(self.high, z.clamp(min=0))
        return above + self._times(self.low, z.clamp(max=0))

    def _times(self, bound, part):
        if math.isfinite(bound):
            return bound * part
        return torch.where(part == 0, 0.0, torch.inf).to(part.dtype)


def over_entries(reduce, x, layout):
    """A reduction over the entries of each sample, such as ``torch.amax``."""
    if isinstance(layout, TupleLayout):
        parts = [over_entries(reduce, xi, part) for xi, part in zip(x, layout.parts, strict=True)]
        common = functools.reduce(torch.promote_types, [part.dtype for part in parts])
        return reduce(torch.stack([part.to(common) for part in parts], -1), -1)
    axes = tuple(range(-layout.ndim, 0))
    return reduce(x, axes) if axes else x


def modulus(x):
    """``|x|``, with derivative zero at zero also to second order where ``x`` is complex."""
    return safe_norm(x.unsqueeze(-1), -1) if x.is_complex() else x.abs()


def double(x):
    """``x`` in double precision, real or complex: what balls and simplices are summed in."""
    return x.to(torch.complex128 if x.is_complex() else torch.float64)


def square_modulus(x):
    """``|x|^2``, real."""
    return x.real.square() + x.imag.square() if x.is_complex() else x.square()


def is_not_zero(x):
    return (x != 0).to(x.real.dtype if x.is_complex() else x.dtype)


@lower.register
def _(op: F.L2NormSquared):
    return Integral(square_modulus, layout_of(op.domain))


@lower.register
def _(op: F.LpNorm):
    return _norm(op)


def _norm(op):
    layout = layout_of(op.domain)
    if op.exponent == 1:
        return Integral(modulus, layout)
    if op.exponent == float("inf"):
        return MaxNorm(layout)
    if op.exponent == 0:
        return Integral(is_not_zero, layout)
    if op.exponent > 0:
        return LpNorm(op.exponent, layout)
    return lower.dispatch(odl.Operator)(op)


@lower.register
def _(op: odl.NormOperator):
    return LpNorm(2.0, layout_of(op.domain))


@lower.register
def _(op: odl.DistOperator):
    layout = layout_of(op.domain)
    opposite = each(lambda part: -part, layout.to_tensor(op.vector))
    return Composition(LpNorm(2.0, layout), Shift(opposite))


@lower.register
def _(op: F.NuclearNorm):
    return NuclearNorm(lower(op.outernorm), op.pwisenorm.exponent, layout_of(op.domain).ndim - 2)


@lower.register
def _(op: F.GroupL1Norm):
    return GroupIntegral(lower(op.pointwise_norm), layout_of(op.domain[0]))


@lower.register
def _(op: BoxSupport):
    return Integral(IntervalSupport(op.lower, op.upper), layout_of(op.domain))


@lower.register
def _(op: MagnitudeSupport):
    return Composition(Scale(op.bound), Integral(modulus, layout_of(op.domain)))


@lower.register
def _(op: F.Huber):
    is_vector = isinstance(op.domain, odl.ProductSpace)
    layout = layout_of(op.domain[0] if is_vector else op.domain)
    axis = -layout.ndim - 1 if is_vector else None
    return GroupIntegral(HuberVector(op.gamma, axis), layout)


@lower.register
def _(op: F.ConstantFunctional):
    dtype = torch.empty((), dtype=layout_of(op.domain).dtype).real.dtype
    return Constant(torch.tensor(complex(op.constant).real, dtype=dtype), layout_of(op.domain))


@lower.register
def _(op: F.QuadraticForm):
    layout = layout_of(op.domain)
    return QuadraticForm(None if op.operator is None else lower(op.operator),
                         None if op.vector is None else layout.to_tensor(op.vector),
                         op.constant, layout)


@lower.register
def _(op: OnRealParts):
    return Composition(lower(op.functional), lower(op.parts.adjoint))


@lower.register
def _(op: SmoothedGroupL1):
    layout = layout_of(op.domain[0])
    return GroupIntegral(SmoothedVector(op.nu, -layout.ndim - 1), layout)
