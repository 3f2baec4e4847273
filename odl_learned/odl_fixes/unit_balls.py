"""Repairs of the unit balls of Lp, group and nuclear norms: indicators and projections agree."""

import numpy as np
from array_api_compat import array_namespace
from odl.functionals.default_functionals import (
    IndicatorGroupL1UnitBall,
    IndicatorLpUnitBall,
)

from odl_learned.odl_fixes.projections import Projection
from odl_learned.odl_fixes.registry import cures
from odl_learned.odl_fixes.sums import (
    arrays,
    assign,
    in_double,
    is_sum,
    magnitudes,
    pointwise_rounding,
    rounding,
    total,
    weights_of,
)


@cures("IndicatorLpUnitBall is infinite at its own projections, and zero at NaN.")
def lp_balls():
    value, proximal = IndicatorLpUnitBall._call, IndicatorLpUnitBall.proximal.fget

    def _call(self, x):
        if self.exponent == np.inf:
            largest = np.max([float(size.max()) for size in magnitudes(x)])
            return _indicator(largest, pointwise_rounding(self.domain))
        if self.exponent == 2 or (self.exponent == 1 and is_sum(self.domain)):
            return _indicator(_norm(x, self.exponent), rounding(self.domain))
        return value(self, x)

    def onto_l2_ball(x, out):
        norm = _norm(x, 2)
        if norm <= 1 + rounding(x.space):
            out.assign(x)
        else:
            assign(out, [in_double(a) / norm for a in arrays(x)])

    def onto_discs(x, out):
        slack = pointwise_rounding(x.space)
        assign(out, [_onto_sphere(in_double(a), size, slack)
                     for a, size in zip(arrays(x), magnitudes(x), strict=True)])

    projections = {2: onto_l2_ball, np.inf: onto_discs}

    def with_projections(self):
        if self.exponent not in projections:
            return proximal(self)
        return lambda sigma=1.0: Projection(self.domain, projections[self.exponent])

    yield IndicatorLpUnitBall, "_call", _call
    yield IndicatorLpUnitBall, "proximal", property(with_projections)


@cures("IndicatorGroupL1UnitBall is infinite at its own projections, and zero at NaN.")
def group_balls():
    def norms(x, p):
        """The norms of the vectors in all points."""
        parts = magnitudes(x)
        xp = array_namespace(*parts)
        stacked = xp.stack(parts)
        return xp.max(stacked, axis=0) if p == np.inf else xp.sum(stacked**p, axis=0) ** (1 / p)

    def _call(self, x):
        largest = float(norms(x, self.pointwise_norm.exponent).max())
        return _indicator(largest, pointwise_rounding(self.domain))

    def proximal(self):
        p, slack = self.pointwise_norm.exponent, pointwise_rounding(self.domain)
        if p not in (2, np.inf):
            raise NotImplementedError(
                f"the projection onto the ball of exponent {p} is not implemented, expected 2 or "
                "infinity for the norm of the vectors."
            )

        def project(x, out):
            sizes = magnitudes(x) if p == np.inf else [norms(x, p)] * len(arrays(x))
            assign(out, [_onto_sphere(in_double(a), size, slack)
                         for a, size in zip(arrays(x), sizes, strict=True)])

        return lambda sigma=1.0: Projection(self.domain, project)

    yield IndicatorGroupL1UnitBall, "_call", _call
    yield IndicatorGroupL1UnitBall, "proximal", property(proximal)


def _norm(x, p):
    if not is_sum(x.space):
        return float(x.norm())
    powers = [size**p for size in magnitudes(x)]
    return total(powers, weights_of(x)) ** (1 / p)


def _indicator(norm, slack):
    """Zero for norms of at most one, up to twice the rounding; infinite for NaN."""
    return 0 if norm <= 1 + 2 * slack else np.inf


def _onto_sphere(array, size, slack):
    """``x / |x|`` where the size is larger than one by more than the rounding, else ``x``."""
    xp = array_namespace(size)
    return array / xp.where(size <= 1 + slack, 1.0, size)
