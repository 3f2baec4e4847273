"""Native rules for functionals: norms, divergences, indicators, quadratic forms.

A value is an integral over the domain, weighted as its inner product is:
``f(x) = sum_j w_j phi(x_j)`` of shape ``(*batch,)``.
"""

import odl
import torch
from odl.core.util import conj_exponent
from torch import nn

from odl_learned.bridge.expressions import Composition, LinearForm, Scale, Shift
from odl_learned.bridge.layout import Held, each, layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.pointwise import Constant, safe_norm
from odl_learned.functionals import (
    BoxConstraint,
    BoxSupport,
    MagnitudeBound,
    MagnitudeSupport,
    SmoothedGroupL1,
)

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
        return _over_entries(torch.amax, modulus(x), self.layout)


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


class Divergence(nn.Module):
    """A Kullback-Leibler type integrand; infinite where it is not finite."""

    def __init__(self, integrand, prior, layout):
        super().__init__()
        self.integrand, self.layout = integrand, layout
        self.prior = None if prior is None else Held(prior)

    def forward(self, x):
        prior = torch.ones((), dtype=x.dtype, device=x.device) if self.prior is None \
            else self.prior()
        value = self.layout.integrate(self.integrand(x, prior))
        return torch.where(value.isfinite(), value, torch.inf)


class QuadraticForm(nn.Module):
    """``x -> <x, A x + b>_X + c``."""

    def __init__(self, operator, vector, constant, layout):
        super().__init__()
        self.operator, self.constant, self.layout = operator, constant, layout
        self.linear_form = None if vector is None else LinearForm(vector, layout)

    def forward(self, x):
        value = self.constant
        if self.operator is not None:
            value = value + self.layout.integrate(
                each(lambda a, b: a * b.conj(), x, self.operator(x)))
        if self.linear_form is not None:
            value = value + self.linear_form(x)
        return value


class IntervalSupport(nn.Module):
    """``z -> max(l z, u z)`` entry by entry."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high = low, high

    def forward(self, z):
        return torch.maximum(self.low * z, self.high * z)


class Indicator(nn.Module):
    """``x -> 0`` where a condition holds for the sample, else infinity."""

    def __init__(self, excess, bound):
        super().__init__()
        self.excess, self.bound = excess, bound

    def forward(self, x):
        value = self.excess(x)
        return torch.where(value <= self.bound, 0.0, torch.inf).to(value.dtype)


class ConstantAtZero(nn.Module):
    """``x -> c`` where ``x = 0`` for the sample, else infinity."""

    def __init__(self, constant, layout):
        super().__init__()
        self.constant, self.norm = constant, LpNorm(2.0, layout)

    def forward(self, x):
        value = self.norm(x)
        return torch.where(value == 0, self.constant, torch.inf).to(value.dtype)


class SumExcess(nn.Module):
    """``x -> |sum_j x_j / c - 1|``."""

    def __init__(self, total, layout):
        super().__init__()
        self.total, self.layout = total, layout

    def forward(self, x):
        return modulus(_over_entries(torch.sum, x, self.layout) / self.total - 1)


class SimplexExcess(nn.Module):
    """``x -> max(|sum_j x_j / c - 1|, infinity where some x_j < 0)``."""

    def __init__(self, total, layout):
        super().__init__()
        self.sum_excess, self.layout = SumExcess(total, layout), layout

    def forward(self, x):
        lowest = _over_entries(torch.amin, x, self.layout)
        return torch.where(lowest < 0, torch.inf, self.sum_excess(x))


class BoxExcess(nn.Module):
    """``x -> max_j max(lower - x_j, x_j - upper, 0)``."""

    def __init__(self, lower_bound, upper_bound, layout):
        super().__init__()
        self.layout = layout
        self.bounds = nn.ModuleList(
            Held(torch.as_tensor(getattr(b, "data", b), dtype=layout.dtype))
            for b in (-torch.inf if lower_bound is None else lower_bound,
                      torch.inf if upper_bound is None else upper_bound)
        )

    def forward(self, x):
        low, high = (bound() for bound in self.bounds)
        excess = torch.maximum((low - x).clamp(min=0), (x - high).clamp(min=0))
        return _over_entries(torch.amax, excess, self.layout)


def _over_entries(reduce, x, layout):
    """A reduction over the entries of each sample."""
    axes = tuple(range(-layout.ndim, 0))
    return reduce(x, axes) if axes else x


def modulus(x):
    """``|x|``, with derivative zero at zero also to second order where ``x`` is complex."""
    return safe_norm(x.unsqueeze(-1), -1) if x.is_complex() else x.abs()


def square_modulus(x):
    """``|x|^2``, real."""
    return x.real.square() + x.imag.square() if x.is_complex() else x.square()


def kullback_leibler(x, prior):
    """``x - y + y log(y / x)``."""
    return x - prior + torch.xlogy(prior, prior / x)


def kullback_leibler_conjugate(p, prior):
    """``-y log(1 - p)``."""
    return -prior * torch.log(1 - p)


def cross_entropy(x, prior):
    """``y - x + x log(x / y)``."""
    return prior - x + torch.xlogy(x, x / prior)


def cross_entropy_conjugate(p, prior):
    """``y (exp(p) - 1)``."""
    return prior * (torch.exp(p) - 1)


def _is_not_zero(x):
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
        return Integral(_is_not_zero, layout)
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
def _(op: F.IndicatorNuclearNormUnitBall):
    dual = op.convex_conj
    norm = F.NuclearNorm(op.domain, conj_exponent(dual.outernorm.exponent),
                         conj_exponent(dual.pwisenorm.exponent))
    return Indicator(lower(norm), 1.0)


@lower.register
def _(op: F.IndicatorZero):
    return ConstantAtZero(float(op.constant), layout_of(op.domain))


@lower.register
def _(op: F.IndicatorSimplex):
    return Indicator(SimplexExcess(op.diameter, layout_of(op.domain)), op.sum_rtol)


@lower.register
def _(op: F.IndicatorSumConstraint):
    return Indicator(SumExcess(op.sum_value, layout_of(op.domain)), op.sum_rtol)


@lower.register
def _(op: F.GroupL1Norm):
    return GroupIntegral(lower(op.pointwise_norm), layout_of(op.domain[0]))


@lower.register
def _(op: F.IndicatorGroupL1UnitBall):
    return Indicator(nn.Sequential(lower(op.pointwise_norm), MaxNorm(layout_of(op.domain[0]))), 1.0)


@lower.register
def _(op: F.IndicatorLpUnitBall):
    return Indicator(_norm(op), 1.0)


@lower.register
def _(op: F.IndicatorBox):
    return Indicator(BoxExcess(op.lower, op.upper, layout_of(op.domain)), 0.0)


@lower.register
def _(op: BoxConstraint):
    return Indicator(BoxExcess(op.lower, op.upper, layout_of(op.domain)), op.slack)


@lower.register
def _(op: BoxSupport):
    return Integral(IntervalSupport(op.lower, op.upper), layout_of(op.domain))


@lower.register
def _(op: MagnitudeBound):
    return Indicator(MaxNorm(layout_of(op.domain)), op.bound + op.slack)


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
    return Constant(torch.tensor(float(op.constant), dtype=dtype), layout_of(op.domain))


@lower.register
def _(op: F.KullbackLeibler):
    return _divergence(op, kullback_leibler)


@lower.register
def _(op: F.default_functionals.KullbackLeiblerConvexConj):
    return _divergence(op, kullback_leibler_conjugate)


@lower.register
def _(op: F.KullbackLeiblerCrossEntropy):
    return _divergence(op, cross_entropy)


@lower.register
def _(op: F.default_functionals.KullbackLeiblerCrossEntropyConvexConj):
    return _divergence(op, cross_entropy_conjugate)


def _divergence(op, integrand):
    layout = layout_of(op.domain)
    prior = None if op.prior is None else layout.to_tensor(op.prior)
    return Divergence(integrand, prior, layout)


@lower.register
def _(op: F.QuadraticForm):
    layout = layout_of(op.domain)
    return QuadraticForm(None if op.operator is None else lower(op.operator),
                         None if op.vector is None else layout.to_tensor(op.vector),
                         op.constant, layout)


@lower.register
def _(op: SmoothedGroupL1):
    layout = layout_of(op.domain[0])
    return GroupIntegral(SmoothedVector(op.nu, -layout.ndim - 1), layout)
