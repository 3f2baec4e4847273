"""Native rules for indicators: zero where a condition holds for the sample, infinity elsewhere."""

import odl
import torch
from odl.core.util import conj_exponent
from torch import nn

from odl_learned.bridge.arrays import tensor_of
from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.nested import Held
from odl_learned.bridge.rules.functionals import LpNorm, MaxNorm, modulus, over_entries
from odl_learned.functionals import BoxConstraint, MagnitudeBound

F = odl.functionals


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
        return modulus(over_entries(torch.sum, x, self.layout) / self.total - 1)


class SimplexExcess(nn.Module):
    """``x -> max(|sum_j x_j / c - 1|, infinity where some x_j < 0)``."""

    def __init__(self, total, layout):
        super().__init__()
        self.sum_excess, self.layout = SumExcess(total, layout), layout

    def forward(self, x):
        lowest = over_entries(torch.amin, x, self.layout)
        return torch.where(lowest < 0, torch.inf, self.sum_excess(x))


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
def _(op: F.IndicatorGroupL1UnitBall):
    return Indicator(nn.Sequential(lower(op.pointwise_norm), MaxNorm(layout_of(op.domain[0]))), 1.0)


@lower.register
def _(op: F.IndicatorLpUnitBall):
    return Indicator(lower(F.LpNorm(op.domain, op.exponent)), 1.0)


@lower.register
def _(op: F.IndicatorBox):
    return Indicator(BoxExcess(op.lower, op.upper, layout_of(op.domain)), 0.0)


@lower.register
def _(op: BoxConstraint):
    return Indicator(BoxExcess(op.lower, op.upper, layout_of(op.domain)), op.slack)


@lower.register
def _(op: MagnitudeBound):
    return Indicator(MaxNorm(layout_of(op.domain)), op.bound + op.slack)
