"""Proximals of norms and of the indicators of their balls.

The functional and the norm of the domain carry the same weights ``w``, which therefore cancel where
the functional is an integral, and only there: the thresholds of the maximum norm and of the L1 ball
depend on them, and so does every functional that leaves out the weights of a product space.
"""

import functools

import numpy as np
import odl
import torch
from torch import nn

from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.nested import each
from odl_learned.bridge.proximals.expressions import ScaledValue, Separable
from odl_learned.bridge.proximals.lowering import column, lower_proximal, opaque
from odl_learned.bridge.rules.functionals import modulus
from odl_learned.bridge.rules.pointwise import safe_norm
from odl_learned.bridge.tuple_layout import TupleLayout
from odl_learned.functionals import MagnitudeBound, MagnitudeSupport
from odl_learned.weights import component_weights

F = odl.functionals


class Entrywise(nn.Module):
    """``(x, sigma) -> phi(x_j, sigma)`` in every entry."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, sigma):
        return each(lambda part: self.function(part, column(sigma, part)), x)


class Grouped(nn.Module):
    """``(v, sigma) -> factor(|v_j|, sigma) v_j`` in every point; ``axis`` counts from the end."""

    def __init__(self, factor, axis):
        super().__init__()
        self.factor, self.axis = factor, axis

    def forward(self, v, sigma):
        norm = safe_norm(v, self.axis).unsqueeze(self.axis)
        return self.factor(norm, column(sigma, v)) * v


class NormShrinkage(nn.Module):
    """``x -> (1 - sigma / ((1 + eps) |x|_X))_+ x``, with ODL's margin ``eps``."""

    def __init__(self, norm, margin):
        super().__init__()
        self.norm, self.margin = norm, margin

    def forward(self, x, sigma):
        norm = (1 + self.margin) * self.norm(x)
        return each(lambda part: shrinkage(column(norm, part), column(sigma, part)) * part, x)


class NormBall(nn.Module):
    """``x -> x / max((1 + eps) |x|_X, 1)``, with ODL's margin ``eps``."""

    def __init__(self, norm, margin):
        super().__init__()
        self.norm, self.margin = norm, margin

    def forward(self, x, sigma):
        norm = ((1 + self.margin) * self.norm(x)).clamp(min=1)
        return each(lambda part: part / column(norm, part), x)


class L1Ball(nn.Module):
    """Projection onto ``sum_j w_j |x_j| <= 1``: soft thresholding at one level."""

    def __init__(self, layout):
        super().__init__()
        self.layout = layout

    def forward(self, x, sigma):
        return self.project(x, torch.ones((), dtype=x.real.dtype, device=x.device))

    def project(self, x, radius):
        """The projection onto the ball of one radius, or one radius per sample."""
        magnitude = modulus(x)
        level = threshold(magnitude, self.layout, self.layout.weigh, radius).clamp(min=0)
        return shrinkage(magnitude, column(level, x)) * x


class MaxNormShrinkage(L1Ball):
    """``x -> x - P(x)`` with ``P`` the projection onto the L1 ball of radius ``sigma``."""

    def forward(self, x, sigma):
        return x - self.project(x, sigma)


def shrinkage(magnitude, step):
    """``(1 - step / magnitude)_+``, zero with all its derivatives where the magnitude is small."""
    large = magnitude > step
    return torch.where(large, 1 - step / torch.where(large, magnitude, 1.0), 0.0)


def soft_threshold(x, step):
    """``(1 - step / |x|)_+ x``."""
    return shrinkage(modulus(x), step) * x


def ball_factor(magnitude, step, radius):
    """``radius / max(magnitude, radius)``."""
    return radius / magnitude.clamp(min=radius)


def project_disc(x, step, radius):
    """``x`` on the disc ``|x| <= radius``."""
    return ball_factor(modulus(x), step, radius) * x


def huber_factor(magnitude, step, gamma):
    """``1 - step / max(magnitude, gamma + step)``."""
    return 1 - step / torch.maximum(magnitude, gamma + step)


def huber_shrinkage(x, step, gamma):
    """The proximal of the Huber function of one number."""
    return huber_factor(modulus(x), step, gamma) * x


def threshold(values, layout, weigh, level):
    """The number ``t`` with ``sum_j w_j (v_j - t)_+ = level``, one per sample.

    The left-hand side is the maximum over all sets of entries of ``sum w_j v_j - t sum w_j``, so
    that ``t = max_k (S_k - level) / W_k`` with ``S_k, W_k`` the sums over the ``k`` largest
    entries. The largest entries are found by sorting, without derivatives; their sums then give
    ``t`` and its derivatives.

    Reference: J. Duchi et al., *Efficient projections onto the L1-ball*, ICML 2008, Figure 1.
    """
    axes = tuple(range(-layout.ndim, 0))
    weights = weigh(torch.ones_like(values))
    flat, flat_weights = (t.detach().flatten(-layout.ndim) for t in (values, weights))
    ordered, index = flat.sort(dim=-1, descending=True)
    ordered_weights = flat_weights.gather(-1, index)
    excess = (ordered_weights * ordered).cumsum(-1) - level.detach().unsqueeze(-1)
    start = (excess / ordered_weights.cumsum(-1)).amax(-1)
    chosen = torch.where(values >= column(start, values), weights, 0.0)
    return ((chosen * values).sum(axes) - level) / chosen.sum(axes)


def margin(space):
    """The relative margin that ODL leaves, for rounding, between a projection and the sphere."""
    return 10 * float(np.finfo(str(getattr(space, "dtype_identifier", "float64"))).resolution)


@lower_proximal.register
def _(f: F.LpNorm):
    if f.exponent == 1:
        return Entrywise(soft_threshold)
    if f.exponent == 2:
        return NormShrinkage(lower(F.L2Norm(f.domain)), margin(f.domain))
    layout = layout_of(f.domain)
    if f.exponent == np.inf and not isinstance(layout, TupleLayout):
        return MaxNormShrinkage(layout)
    return opaque(f)


@lower_proximal.register
def _(f: F.IndicatorLpUnitBall):
    if f.exponent == np.inf:
        return _discs(f)
    if f.exponent == 2:
        return NormBall(lower(F.L2Norm(f.domain)), margin(f.domain))
    layout = layout_of(f.domain)
    if f.exponent == 1 and not isinstance(layout, TupleLayout):
        return L1Ball(layout)
    return opaque(f)


@lower_proximal.register
def _(f: F.GroupL1Norm):
    # The pointwise norm has no weights, the norm of a weighted product space has: they remain.
    weights = component_weights(f.domain)
    if f.pointwise_norm.exponent == 1:
        parts = [ScaledValue(Entrywise(soft_threshold), 1 / w) for w in weights]
        return parts[0] if len(set(weights)) == 1 else Separable(parts, layout_of(f.domain))
    if f.pointwise_norm.exponent == 2:
        return ScaledValue(Grouped(shrinkage, _component_axis(f)), 1 / weights[0])
    return opaque(f)


@lower_proximal.register
def _(f: F.IndicatorGroupL1UnitBall):
    if f.pointwise_norm.exponent == np.inf:
        return _discs(f)
    if f.pointwise_norm.exponent == 2:
        factor = functools.partial(ball_factor, radius=1 - margin(f.domain))
        return Grouped(factor, _component_axis(f))
    return opaque(f)


@lower_proximal.register
def _(f: F.Huber):
    if not isinstance(f.domain, odl.ProductSpace):
        return Entrywise(functools.partial(huber_shrinkage, gamma=f.gamma))
    factor = functools.partial(huber_factor, gamma=f.gamma)
    return ScaledValue(Grouped(factor, _component_axis(f)), 1 / component_weights(f.domain)[0])


@lower_proximal.register
def _(f: F.L2NormSquared):
    return Entrywise(_halfway)


@lower_proximal.register
def _(f: MagnitudeBound):
    return Entrywise(functools.partial(project_disc, radius=f.bound))


@lower_proximal.register
def _(f: MagnitudeSupport):
    return ScaledValue(Entrywise(soft_threshold), f.bound)


def _discs(f):
    return Entrywise(functools.partial(project_disc, radius=1 - margin(f.domain)))


def _halfway(x, step):
    return x / (1 + 2 * step)


def _component_axis(f):
    """The axis of the components, counted from the end, which share one weight."""
    weights = component_weights(f.domain)
    if len(set(weights)) > 1:
        raise NotImplementedError(
            f"the components of the domain have the weights {weights} and the pointwise norm of "
            f"{type(f).__name__} has none, so that the proximal has no closed form (and ODL's is "
            "not it). Use one weight for all components."
        )
    return -layout_of(f.domain).ndim
