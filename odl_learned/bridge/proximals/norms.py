"""Proximals of norms and of the indicators of their balls.

The functional and the norm of the domain carry the same weights ``w``, which therefore cancel where
the functional is an integral, and only there: the thresholds of the maximum norm and of the L1 ball
depend on them, and so does every functional that leaves out the weights of a product space.

Projections leave a point alone that is inside up to the rounding of `odl_fixes.sums`, half of what
the indicators allow.
"""

import functools
import math

import numpy as np
import odl
import torch
from torch import nn

from odl_learned import compiled
from odl_learned.bridge.graphs import without_transforms
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.layouts.tuple_layout import TupleLayout
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.proximals.expressions import HalfSquare, ScaledValue, Separable
from odl_learned.bridge.proximals.lowering import column, lower_proximal, opaque, rows
from odl_learned.bridge.rules.functionals.indicators import DoubleNorm
from odl_learned.bridge.rules.functionals.norms import double, modulus
from odl_learned.bridge.rules.pointwise import safe_norm
from odl_learned.functionals import MagnitudeBound, MagnitudeSupport
from odl_learned.odl_fixes.sums import pointwise_rounding, rounding
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


class PointwiseBall(nn.Module):
    """``v_j`` on the ball ``|v_j| <= radius`` in every point; ``axis`` counts from the end.

    Fields of the plane on the CPU take one compiled pass where no derivative is asked for.
    """

    def __init__(self, radius, slack, axis):
        super().__init__()
        self.radius, self.slack, self.axis = radius, slack, axis

    def forward(self, v, sigma):
        if self._is_plain(v):
            return self._compiled(v.contiguous(), 1.0)
        norm = safe_norm(v, self.axis).unsqueeze(self.axis)
        return ball_factor(norm, sigma, self.radius, self.slack) * v

    def of_scaled(self, v, scalar):
        """``P(s v) / s``, the projection onto a ball of the radius over ``|s|``, or None."""
        if isinstance(scalar, float) and scalar and self._is_plain(v):
            return self._compiled(v.contiguous(), abs(scalar))
        return None

    def _is_plain(self, v):
        return (v.device.type == "cpu" and v.dtype in (torch.float32, torch.float64)
                and v.shape[self.axis] == 2 and v.numel() > 0
                and without_transforms() and compiled.is_available())  # fmt: skip

    def _compiled(self, v, scalar):
        from odl_learned.compiled.projections import project_pairs

        out = torch.empty_like(v)
        a, b = (t.numpy(force=True).reshape(-1, 2, math.prod(t.shape[self.axis + 1 :]))
                if self.axis < -1 else t.numpy(force=True).reshape(-1, 2, 1) for t in (v, out))
        number, radius = a.dtype.type, self.radius / scalar
        project_pairs(a, b, number(radius), number(radius * (1 + self.slack)))
        return out


class NormShrinkage(nn.Module):
    """``x -> (1 - sigma / ((1 + eps) |x|_X))_+ x``, with ODL's margin ``eps``."""

    def __init__(self, norm, margin):
        super().__init__()
        self.norm, self.margin = norm, margin

    def forward(self, x, sigma):
        norm = (1 + self.margin) * self.norm(x)
        return each(lambda part: shrinkage(column(norm, part), column(sigma, part)) * part, x)


class NormBall(nn.Module):
    """``x -> x / |x|_X`` where ``|x|_X > 1``, up to the rounding that is allowed, else ``x``."""

    def __init__(self, norm, slack):
        super().__init__()
        self.norm, self.slack = norm, slack

    def forward(self, x, sigma):
        norm = self.norm(x)
        divisor = torch.where(norm <= 1 + self.slack, 1.0, norm)
        return each(lambda part: part / column(divisor, part), x)


class L1Ball(nn.Module):
    """Projection onto ``sum_j w_j |x_j| <= 1``: soft thresholding at one level."""

    def __init__(self, layout):
        super().__init__()
        self.layout, self.slack = layout, rounding(layout.space)

    def forward(self, x, sigma):
        return self.project(x, torch.ones((), dtype=x.real.dtype, device=x.device))

    def project(self, x, radius):
        """The projection onto the ball of one radius, or one radius per sample."""
        values, radius = double(x), radius.to(torch.float64)
        size = modulus(values)
        inside = self.layout.integrate(size) <= radius * (1 + self.slack)
        shrunk = above_threshold(size, self.layout, self.layout.weigh, radius)
        factor = shrunk / torch.where(size > 0, size, 1.0)
        return torch.where(rows(inside, x), x, (factor * values).to(x.dtype))


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


def ball_factor(magnitude, step, radius, slack):
    """``radius / magnitude`` where that is less than one, up to the rounding that is allowed."""
    return radius / torch.where(magnitude <= radius * (1 + slack), radius, magnitude)


def project_disc(x, step, radius, slack):
    """``x`` on the disc ``|x| <= radius``."""
    return ball_factor(modulus(x), step, radius, slack) * x


def huber_factor(magnitude, step, gamma):
    """``1 - step / max(magnitude, gamma + step)``."""
    return 1 - step / torch.maximum(magnitude, gamma + step)


def huber_shrinkage(x, step, gamma):
    """The proximal of the Huber function of one number."""
    return huber_factor(modulus(x), step, gamma) * x


def above_threshold(values, layout, weigh, level):
    """``p = (v - t)_+`` with ``sum_j w_j p_j = level``, the number ``t`` one per sample.

    Numbers are taken relative to the largest one, ``v = m - d`` and ``t = m - s``, so that they are
    of the size of the result, however large ``m`` is. The sum is the maximum over all sets of
    entries of ``s sum w_j - sum w_j d_j``, so that ``s = min_k (level + S_k) / W_k`` with
    ``S_k, W_k`` the sums of ``w_j d_j`` and ``w_j`` over the ``k`` largest entries. These are found
    by sorting, without derivatives; their sums then give ``s`` and its derivatives. In the end the
    rounding of the sum is taken back.

    Reference: J. Duchi et al., *Efficient projections onto the L1-ball*, ICML 2008, Figure 1.
    """
    axes = tuple(range(-layout.ndim, 0))
    weights = weigh(torch.ones_like(values))
    depths = values.detach().amax(axes, keepdim=True) - values
    flat, flat_weights = (t.detach().flatten(-layout.ndim) for t in (depths, weights))
    ordered, index = flat.sort(dim=-1)
    ordered_weights = flat_weights.gather(-1, index)
    sums = level.detach().unsqueeze(-1) + (ordered_weights * ordered).cumsum(-1)
    start = (sums / ordered_weights.cumsum(-1)).amin(-1)
    chosen = torch.where(depths <= rows(start, values), weights, 0.0)
    depth = rows((level + (chosen * depths).sum(axes)) / chosen.sum(axes), values)
    shrunk = torch.where(depths < depth, depth - depths, 0.0)
    reached = (weights * shrunk).sum(axes).detach()
    return rows(level.detach() / reached, values) * shrunk


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
        return NormBall(DoubleNorm(2, layout_of(f.domain)), rounding(f.domain))
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
        return PointwiseBall(1, pointwise_rounding(f.domain), _component_axis(f))
    return opaque(f)


@lower_proximal.register
def _(f: F.Huber):
    if not isinstance(f.domain, odl.ProductSpace):
        return Entrywise(functools.partial(huber_shrinkage, gamma=f.gamma))
    factor = functools.partial(huber_factor, gamma=f.gamma)
    return ScaledValue(Grouped(factor, _component_axis(f)), 1 / component_weights(f.domain)[0])


@lower_proximal.register
def _(f: F.L2NormSquared):
    return ScaledValue(HalfSquare(), 2.0)


@lower_proximal.register
def _(f: MagnitudeBound):
    slack = pointwise_rounding(f.domain)
    return Entrywise(functools.partial(project_disc, radius=f.bound, slack=slack))


@lower_proximal.register
def _(f: MagnitudeSupport):
    return ScaledValue(Entrywise(soft_threshold), f.bound)


def _discs(f):
    slack = pointwise_rounding(f.domain)
    return Entrywise(functools.partial(project_disc, radius=1, slack=slack))


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
