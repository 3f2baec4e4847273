"""Repairs of projections onto the L1 ball, the simplex and planes, and of their indicators."""

import math

import numpy as np
from array_api_compat import array_namespace
from odl.core.operator import Operator
from odl.functionals.default_functionals import IndicatorSimplex, IndicatorSumConstraint
from odl.solvers.nonsmooth import proximal_operators

from odl_learned.odl_fixes.registry import cures, everywhere
from odl_learned.odl_fixes.sums import (
    arrays,
    assign,
    in_double,
    magnitudes,
    rounding,
    total,
    weights_of,
)


class Projection(Operator):
    """The proximal of an indicator, whatever the step: ``project(x, out)`` writes to ``out``."""

    def __init__(self, space, project):
        super().__init__(space, space)
        self.project = project

    def _call(self, x, out=None):
        out = self.range.element() if out is None else out
        self.project(x, out)
        return out


@cures("Proximals of LpNorm(inf), IndicatorLpUnitBall(1) and IndicatorSimplex raise.")
def l1_projections():
    def proj_l1(x, radius=1, out=None):
        out = x.space.element() if out is None else out
        sizes, weights = magnitudes(x), weights_of(x)
        if total(sizes, weights) <= radius * (1 + rounding(x.space)):
            out.assign(x)
            return out
        shrunk = _shrink(sizes, weights, radius)
        xp = array_namespace(*sizes)
        return assign(out, [in_double(a) * (p / xp.where(size > 0, size, 1.0))
                            for a, p, size in zip(arrays(x), shrunk, sizes, strict=True)])

    def proj_simplex(x, diameter=1, out=None):
        out = x.space.element() if out is None else out
        if _simplex_excess(x, diameter) <= rounding(x.space):
            out.assign(x)
            return out
        # In the norm with weights w the projection is (w x - t)_+ / w.
        weights = weights_of(x)
        scaled = [w * in_double(a) for a, w in zip(arrays(x), weights, strict=True)]
        shrunk = _shrink(scaled, [1 / w for w in weights], diameter)
        return assign(out, [p / w for p, w in zip(shrunk, weights, strict=True)])

    yield from everywhere(proximal_operators.proj_l1, proj_l1)
    yield from everywhere(proximal_operators.proj_simplex, proj_simplex)


@cures("IndicatorSimplex raises beyond one dimension, and its tolerance ignores the rounding.")
def simplex_value():
    def _call(self, x):
        allowed = self.sum_rtol + 2 * rounding(self.domain)
        return 0 if _simplex_excess(x, self.diameter) <= allowed else np.inf

    yield IndicatorSimplex, "_call", _call


@cures("The proximal of IndicatorSumConstraint raises, and its value ignores the rounding.")
def sum_constraint():
    # The sum of rounded entries is known up to their rounding, relative to the sum of magnitudes.
    def _call(self, x):
        allowed = self.sum_rtol * abs(self.sum_value) + 2 * rounding(self.domain) * _size(x)
        return 0 if abs(self.sum_value - _sum(x)) <= allowed else np.inf

    # x + (c - sum x) d / sum d with d = 1 / w. Far from the plane the step is rounded by more than
    # the result would be; a second step takes that back.
    def proximal(self):
        def project(x, out):
            direction = [(1 + 0 * in_double(a)) / w
                         for a, w in zip(arrays(x), weights_of(x), strict=True)]
            out.assign(x)
            for _ in range(2):
                missing = self.sum_value - _sum(out)
                if abs(missing) <= rounding(self.domain) * _size(out):
                    return
                step = missing / total(direction, [1.0] * len(direction))
                assign(out, [in_double(a) + step * d
                             for a, d in zip(arrays(out), direction, strict=True)])

        return lambda sigma=1.0: Projection(self.domain, project)

    yield IndicatorSumConstraint, "_call", _call
    yield IndicatorSumConstraint, "proximal", property(proximal)


def _sum(x):
    return sum(in_double(a).sum().item() for a in arrays(x))


def _size(x):
    return sum(float(size.sum()) for size in magnitudes(x))


def _simplex_excess(x, diameter):
    """``|sum_j x_j / c - 1|``, infinite where some entry is negative."""
    is_inside = all(float(a.min()) >= 0 for a in arrays(x))
    return abs(_sum(x) / diameter - 1) if is_inside else np.inf


def _shrink(values, weights, level):
    """``p = (v - t)_+`` with ``sum_j w_j p_j = level``, arrays in double precision.

    The sum is convex, decreasing and piecewise linear in t, so that Newton's method from the left
    never overshoots and ends exactly, as soon as the support stays the same. Numbers are taken
    relative to the largest one, ``v = m - d``, ``t = m - s``: where ``d < s`` the differences are
    of the size of the result, however large ``m`` is, and exact (Sterbenz). The entry ``m`` alone,
    with weight w, gives ``w s <= level``: the start is on the left.
    """
    xp = array_namespace(*values)
    tops = [float(v.max()) for v in values]
    if not math.isfinite(sum(tops)):
        return [math.nan * v for v in values]
    top = max(tops)
    at = tops.index(top)
    heaviest = float((weights[at] * (values[at] == top)).max())
    depths = [top - v for v in values]
    depth, support = level / heaviest, np.inf
    while True:
        shrunk = [xp.clip(depth - d, 0, None) for d in depths]
        size = total([in_double(p > 0) for p in shrunk], weights)
        reached = total(shrunk, weights)
        if not 0 < size < support:
            return [p * (level / reached) for p in shrunk]
        support = size
        depth += (level - reached) / size
