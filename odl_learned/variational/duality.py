r"""The certificate of a problem: feasible points near iterates, and the gap of their values."""

import math

import numpy as np

from odl_learned.functionals import precise_value
from odl_learned.solvers.arithmetic.samples import samples_of
from odl_learned.variational.feasibility import (
    admissible,
    dual_values,
    farthest_finite,
    moved_dual,
    precision,
)

#: Values of numbers beyond the range of floats are infinite, and their gaps, too.
_overflow = np.errstate(over="ignore", invalid="ignore")


@_overflow
def feasible_dual(problem, y):
    """Return the feasible dual variable near ``y``, ``L*`` of it, and the dual value there.

    Parameters
    ----------
    problem : Problem
    y : element of ``L.range`` or batch

    Returns
    -------
    y, back : elements or batches
    values : numpy.ndarray of shape ``(size,)``
        Lower bounds of the minimum; -infinity where none is known.
    """
    y = admissible(problem, y)
    back = problem.L.adjoint(y)
    return moved_dual(problem, y, back, dual_values(problem, y, back))


@_overflow
def certificate(problem, x, y):
    """Return a point with a finite value, its value, gap and rounding; see `Problem`."""
    spaces = problem.L.domain, problem.L.range
    samples, image = samples_of(x, spaces[0]), problem.L(x)
    images = samples_of(image, spaces[1])
    value = _values(problem, x, image)
    for sign in (1.0, 0.0, -1.0):
        outside = np.flatnonzero(value == math.inf)
        if not outside.size:
            break
        moved = _moved(problem, x, image, sign, samples, images)
        x, image = (arithmetic.put(arithmetic.scale(1.0, old), outside,
                                   arithmetic.take(new, outside))
                    for arithmetic, old, new in zip((samples, images), (x, image), moved))
        value[outside] = moved[2][outside]
    return x, value, *gap_at(problem, x, image, value, y)


@_overflow
def gap_at(problem, x, image, value, y):
    """Return the gaps of points whose images under ``L`` and values are known, and their rounding.

    Parameters
    ----------
    problem : Problem
    x, image : elements or batches
    value : numpy.ndarray of shape ``(size,)``
    y : element or batch

    Returns
    -------
    gap, rounding : numpy.ndarray of shape ``(size,)``
        The second is part of the first, an allowance for rounding errors.
    """
    trial = admissible(problem, y)
    trial_back = problem.L.adjoint(trial)
    lower = dual_values(problem, trial, trial_back)
    inexact = ~np.isfinite(lower)
    y, back, lower = moved_dual(problem, trial, trial_back, lower)
    gap, rounding = _gap_between(problem, x, image, value, y, back, lower)
    if np.any(inexact & (_convexity(problem) > 0)):
        other = _inexact_gap(problem, x, image, value, trial, trial_back)
        better = inexact & (other[0] < gap)
        gap, rounding = (np.where(better, *both) for both in zip(other, (gap, rounding)))
    return gap, rounding


def _gap_between(problem, x, image, value, y, back, lower):
    samples, images = samples_of(x, problem.L.domain), samples_of(y, problem.L.range)
    # |fl(L x) - L x| <= eps |L| |x| changes the value by at most |y*| times as much, y* a
    # subgradient near y; likewise for L* y.
    eps = precision(problem.L.domain)
    rounding = eps * problem.operator_norm * samples.norm(x) * images.norm(y)
    rounding = np.maximum(rounding, np.abs(samples.inner(x, back) - images.inner(image, y)))
    # Sums of squares below the smallest number are zero.
    rounding = rounding + eps * (np.abs(value) + np.abs(lower)) + np.finfo(float).tiny
    finite = np.isfinite(value) & np.isfinite(lower)
    return np.where(finite, np.maximum(value - lower, 0.0) + rounding, math.inf), rounding


# Any y with a finite g*(y) bounds the objective P from below: for all x',
#     P(x') >= -f*(0) - g*(y) + <L* y, x'> ,
# by Fenchel's inequality for f at 0 and for g at y. With the minimizer x_hat for x',
#     P(x) - P(x_hat) <= G + <L* y, x - x_hat> <= G + |L* y| |x - x_hat|,
#     G = P(x) + f*(0) + g*(y) - <L* y, x> >= 0,
# and |x - x_hat|^2 <= 2 (P(x) - P(x_hat)) / mu by strong convexity. So the root s of the left side
# is at most that of s^2 = G + c s with c = |L* y| sqrt(2 / mu). Where f = 0, which asks for L* y =
# 0, both G and c tend to zero. If L* y has a part in the images only, mu is that of the images.
def _inexact_gap(problem, x, image, value, y, back):
    """Return gaps where ``f*`` is infinite at ``-L* y``, and their rounding; needs ``mu > 0``."""
    back = back if problem.image is None else problem.image(back)
    zero = samples_of(back, problem.L.domain).scale(0.0, back)
    samples, images = samples_of(x, problem.L.domain), samples_of(y, problem.L.range)
    lower = dual_values(problem, y, zero) + samples.inner(back, x)
    gap, rounding = _gap_between(problem, x, image, value, y, back, lower)
    slope = samples.norm(back) + (
        precision(problem.L.domain) * problem.operator_norm * images.norm(y))
    mu = np.broadcast_to(_convexity(problem), gap.shape)
    c = slope * np.sqrt(2 / np.where(mu > 0, mu, 1))
    gap = np.where(mu > 0, ((c + np.sqrt(c**2 + 4 * gap)) / 2) ** 2, math.inf)
    return gap, rounding


def _convexity(problem):
    whole = problem.image is None
    return np.asarray(problem.strong_convexity if whole else problem.image_convexity, dtype=float)


def _values(problem, x, image):
    value = precise_value(problem.f, x) + precise_value(problem.g, image)
    return np.array(np.atleast_1d(value), dtype=float)


def _moved(problem, x, image, sign, samples, images):
    """Points of finite value towards a constant one in dom f, their images and values."""
    ones = samples.ones(x)
    level = sign * samples.norm(x) / samples.norm(ones)
    start = problem.f.proximal(1.0)(samples.scale(level, ones))
    start_image = problem.L(start)
    way, image_way = samples.add(x, -1.0, start), images.add(image, -1.0, start_image)

    def point(t):
        return samples.add(start, t, way), images.add(start_image, t, image_way)

    t, value = farthest_finite(
        lambda t: _values(problem, *point(t)), samples.size, precision(problem.L.domain))
    return *point(t), value
