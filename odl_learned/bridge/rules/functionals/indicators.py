"""Native rules for indicators: zero where a condition holds for the sample, infinity elsewhere.

The conditions allow for the rounding of sums, as those of the repaired ODL do, by the same bounds
(`odl_fixes.sums`), so that projections of either side are inside for both. Sums are taken in double
precision.
"""

import odl
import torch
from odl.core.util import conj_exponent
from torch import nn

from odl_learned.bridge.layouts.arrays import tensor_of
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held, each
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.functionals.norms import (
    Integral,
    LpNorm,
    MaxNorm,
    double,
    is_not_zero,
    modulus,
    over_entries,
)
from odl_learned.functionals import BoxConstraint, MagnitudeBound
from odl_learned.odl_fixes.nuclear_norms import nuclear_rounding
from odl_learned.odl_fixes.sums import pointwise_rounding, rounding

F = odl.functionals


class Indicator(nn.Module):
    """``x -> 0`` where a condition holds for the sample, else infinity."""

    def __init__(self, excess, bound, layout):
        super().__init__()
        self.excess, self.bound, self.dtype = excess, bound, layout.dtype.to_real()

    def forward(self, x):
        return torch.where(self.excess(x) <= self.bound, 0.0, torch.inf).to(self.dtype)


class ConstantAtZero(nn.Module):
    """``x -> c`` where ``x = 0`` for the sample, else infinity."""

    def __init__(self, constant, layout):
        super().__init__()
        self.constant, self.count = constant, Integral(is_not_zero, layout)

    def forward(self, x):
        count = self.count(x)
        return torch.where(count == 0, torch.full_like(count, self.constant), torch.inf)


class DoubleNorm(nn.Module):
    """``x -> (sum_j w_j |x_j|^p)^(1/p)``, summed in double precision, for p = 1 or 2."""

    def __init__(self, exponent, layout):
        super().__init__()
        self.norm = Integral(modulus, layout) if exponent == 1 else LpNorm(exponent, layout)

    def forward(self, x):
        return self.norm(each(double, x))


class SumExcess(nn.Module):
    """``x -> |sum_j x_j - c| - r sum_j |x_j|`` with the relative rounding ``r`` of a sum."""

    def __init__(self, total, rounding, layout):
        super().__init__()
        self.total, self.rounding, self.layout = total, rounding, layout

    def forward(self, x):
        x = each(double, x)
        excess = modulus(over_entries(torch.sum, x, self.layout) - self.total)
        return excess - self.rounding * over_entries(torch.sum, each(modulus, x), self.layout)


class SimplexExcess(nn.Module):
    """``x -> max(|sum_j x_j / c - 1|, infinity where some x_j < 0)``."""

    def __init__(self, total, layout):
        super().__init__()
        self.total, self.layout = total, layout

    def forward(self, x):
        excess = (over_entries(torch.sum, each(double, x), self.layout) / self.total - 1).abs()
        return torch.where(over_entries(torch.amin, x, self.layout) < 0, torch.inf, excess)


class BoxExcess(nn.Module):
    """``x -> max_j max(lower - x_j, x_j - upper, 0)``."""

    def __init__(self, lower_bound, upper_bound, layout):
        super().__init__()
        self.layout = layout
        self.bounds = nn.ModuleList(
            Held(tensor_of(getattr(b, "data", b)).to(layout.dtype))
            for b in (-torch.inf if lower_bound is None else lower_bound,
                      torch.inf if upper_bound is None else upper_bound)
        )

    def forward(self, x):
        low, high = (bound() for bound in self.bounds)
        excess = torch.maximum((low - x).clamp(min=0), (x - high).clamp(min=0))
        return over_entries(torch.amax, excess, self.layout)


@lower.register
def _(op: F.IndicatorNuclearNormUnitBall):
    dual = op.convex_conj
    norm = F.NuclearNorm(op.domain, conj_exponent(dual.outernorm.exponent),
                         conj_exponent(dual.pwisenorm.exponent))
    return Indicator(lower(norm), 1 + 2 * nuclear_rounding(op.domain), layout_of(op.domain))


@lower.register
def _(op: F.IndicatorZero):
    return ConstantAtZero(float(op.constant), layout_of(op.domain))


@lower.register
def _(op: F.IndicatorSimplex):
    layout = layout_of(op.domain)
    return Indicator(SimplexExcess(op.diameter, layout), op.sum_rtol + 2 * rounding(op.domain),
                     layout)


@lower.register
def _(op: F.IndicatorSumConstraint):
    layout = layout_of(op.domain)
    return Indicator(SumExcess(op.sum_value, 2 * rounding(op.domain), layout),
                     op.sum_rtol * abs(op.sum_value), layout)


@lower.register
def _(op: F.IndicatorGroupL1UnitBall):
    layout = layout_of(op.domain)
    norm = nn.Sequential(lower(op.pointwise_norm), MaxNorm(layout_of(op.domain[0])))
    return Indicator(norm, 1 + 2 * pointwise_rounding(op.domain), layout)


@lower.register
def _(op: F.IndicatorLpUnitBall):
    layout = layout_of(op.domain)
    if op.exponent == float("inf"):
        return Indicator(MaxNorm(layout), 1 + 2 * pointwise_rounding(op.domain), layout)
    if op.exponent in (1, 2):
        return Indicator(DoubleNorm(op.exponent, layout), 1 + 2 * rounding(op.domain), layout)
    return Indicator(lower(F.LpNorm(op.domain, op.exponent)), 1.0, layout)


@lower.register
def _(op: F.IndicatorBox):
    layout = layout_of(op.domain)
    return Indicator(BoxExcess(op.lower, op.upper, layout), 0.0, layout)


@lower.register
def _(op: BoxConstraint):
    layout = layout_of(op.domain)
    return Indicator(BoxExcess(op.lower, op.upper, layout), op.slack, layout)


@lower.register
def _(op: MagnitudeBound):
    layout = layout_of(op.domain)
    return Indicator(MaxNorm(layout), op.bound + op.slack, layout)
