"""Projections onto boxes, simplices and hyperplanes, in the weighted norm of the domain."""

import functools
import numbers

import odl
import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held, each
from odl_learned.bridge.layouts.tuple_layout import TupleLayout
from odl_learned.bridge.proximals.lowering import lower_proximal, opaque, rows
from odl_learned.bridge.proximals.norms import Entrywise, above_threshold
from odl_learned.bridge.rules.functionals.indicators import SimplexExcess, SumExcess
from odl_learned.bridge.rules.functionals.norms import double
from odl_learned.functionals import BoxConstraint, BoxSupport
from odl_learned.odl_fixes.sums import rounding

F = odl.functionals


class Simplex(nn.Module):
    """Projection onto ``x >= 0, sum_j x_j = r``: ``(w x - t)_+ / w`` in the weighted norm."""

    def __init__(self, diameter, layout):
        super().__init__()
        self.diameter, self.layout = diameter, layout
        self.excess, self.slack = SimplexExcess(diameter, layout), rounding(layout.space)

    def forward(self, x, sigma):
        values = double(x)
        radius = torch.full((), self.diameter, dtype=values.dtype, device=x.device)
        shrunk = above_threshold(self.layout.weigh(values), self.layout, self.layout.unweigh,
                                 radius)
        inside = self.excess(x) <= self.slack
        return torch.where(rows(inside, x), x, self.layout.unweigh(shrunk).to(x.dtype))


class SumConstraint(nn.Module):
    """``x -> x + w^-1 (r - sum_j x_j) / sum_j w_j^-1``, the projection onto ``sum_j x_j = r``.

    Far from the plane the step is rounded by more than the result would be; a second step, without
    derivatives, takes that back.
    """

    def __init__(self, sum_value, layout):
        super().__init__()
        self.sum_value, self.layout = sum_value, layout
        self.excess = SumExcess(sum_value, rounding(layout.space), layout)

    def forward(self, x, sigma):
        values = double(x)
        y = values + self._step(values)
        y = y + self._step(y).detach()
        return torch.where(rows(self.excess(x) <= 0, x), x, y.to(x.dtype))

    def _step(self, x):
        axes = tuple(range(-self.layout.ndim, 0))
        direction = self.layout.unweigh(torch.ones_like(x))
        return rows((self.sum_value - x.sum(axes)) / direction.sum(axes), x) * direction


class Box(nn.Module):
    """``x -> min(max(x, l), u)``, with bounds that are numbers or elements, or none."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x, sigma):
        if self.low is not None:
            x = each(torch.maximum, x, self.low())
        if self.high is not None:
            x = each(torch.minimum, x, self.high())
        return x


class Zero(nn.Module):
    """``x -> 0``."""

    def forward(self, x, sigma):
        return each(torch.zeros_like, x)


def interval_shrinkage(x, step, low, high):
    """``x - clip(x, step low, step high)``, the proximal of ``max(low x, high x)``."""
    return x - torch.minimum(torch.maximum(x, step * low), step * high)


@lower_proximal.register
def _(f: F.IndicatorZero):
    return Zero()


@lower_proximal.register
def _(f: F.IndicatorBox):
    _require_real(f)
    return Box(_bound(f.lower, f.domain), _bound(f.upper, f.domain))


@lower_proximal.register
def _(f: F.IndicatorSimplex):
    _require_real(f)
    layout = layout_of(f.domain)
    return opaque(f) if isinstance(layout, TupleLayout) else Simplex(f.diameter, layout)


@lower_proximal.register
def _(f: F.IndicatorSumConstraint):
    _require_real(f)
    layout = layout_of(f.domain)
    return opaque(f) if isinstance(layout, TupleLayout) else SumConstraint(f.sum_value, layout)


@lower_proximal.register
def _(f: BoxConstraint):
    return Box(_bound(f.lower, f.domain), _bound(f.upper, f.domain))


@lower_proximal.register
def _(f: BoxSupport):
    return Entrywise(functools.partial(interval_shrinkage, low=f.lower, high=f.upper))


def _bound(bound, space):
    """A bound as a held tensor that broadcasts against the elements of the space, or None."""
    layout = layout_of(space)
    if bound is None:
        return None
    if isinstance(bound, numbers.Real):
        zero = layout.zeros((), "cpu")
        return Held(each(lambda part: torch.full((), float(bound), dtype=part.dtype), zero))
    return Held(layout.to_tensor(space.element(bound)))


def _require_real(f):
    if layout_of(f.domain).dtype.is_complex:
        raise TypeError(
            f"{type(f).__name__} orders the values of complex images, expected a real space. Bound "
            "the magnitude with functionals.MagnitudeBound."
        )
