r"""The certificate of a problem: feasible points near iterates, and the gap of their values.

Iterates of primal-dual methods are feasible in the limit only. On the segment from a feasible point
to an infeasible one, the points of finite value form an interval, since values are convex. The
binary search below finds ``1 - t`` of its end up to a factor of two, in as many steps as that has
binary digits: where iterates become feasible, ``t`` tends to one, and nothing is lost. That needs a
feasible point with some room around it: zero, or with bounds on one side a multiple of ``L 1``.
"""

import math

import numpy as np
import odl
from array_api_compat import array_namespace, is_array_api_obj, to_device

from odl_learned.functionals import precise_value
from odl_learned.solvers.samples import samples_of

#: Values of numbers beyond the range of floats are infinite, and their gaps, too.
_overflow = np.errstate(over="ignore", invalid="ignore")


def farthest_finite(values_at, size, eps):
    r"""Return the farthest points of finite value on segments, one segment per sample.

    .. math:: t = 1 \text{ where finite}, \qquad
              t = \max \{ 1 - 2^{-k} : k = 0, 1, \dots \} \text{ with a finite value elsewhere,}

    and ``t = 1`` where the value is not finite at ``t = 0`` either.

    Parameters
    ----------
    values_at : callable
        ``t -> values``, arrays of shape ``(size,)``, finite on an interval of each segment.
    size : int
        Number of samples.
    eps : float
        Distance of one to the next number: no ``t`` comes closer to one than this.

    Returns
    -------
    t, values : numpy.ndarray of shape ``(size,)``
    """
    values = np.array(values_at(np.ones(size)), dtype=float)
    open_ = ~np.isfinite(values)
    if not open_.any():
        return np.ones(size), values
    start = values_at(np.where(open_, 0.0, 1.0))
    open_ &= np.isfinite(start)
    if not open_.any():
        return np.ones(size), values
    values = np.where(open_, start, values)
    # Finite for k = low, not for k = high.
    low, high = np.zeros(size, dtype=int), np.full(size, 1 - math.floor(math.log2(eps)))
    while (high - low > 1).any():
        middle = (low + high) // 2
        trial = values_at(np.where(open_, 1 - 0.5**middle, 1.0))
        holds = np.isfinite(trial)
        values = np.where(open_ & holds, trial, values)
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return np.where(open_, 1 - 0.5**low, 1.0), values


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
    y = _admissible(problem, y)
    back = problem.L.adjoint(y)
    return _moved_dual(problem, y, back, _dual_values(problem, y, back))


def _moved_dual(problem, y, back, values):
    if np.isfinite(values).all():
        return y, back, values
    samples, images = samples_of(y, problem.L.range), samples_of(back, problem.L.domain)
    start, start_back = _interior(problem, y, back, ~np.isfinite(values))
    way, back_way = samples.add(y, -1.0, start), images.add(back, -1.0, start_back)

    def point(t):
        return samples.add(start, t, way), images.add(start_back, t, back_way)

    t, values = farthest_finite(
        lambda t: _dual_values(problem, *point(t)), samples.size, precision(problem.L.domain))
    moved = np.flatnonzero(t < 1)
    if moved.size:
        y, back = (arithmetic.put(arithmetic.scale(1.0, old), moved, arithmetic.take(new, moved))
                   for arithmetic, old, new in zip((samples, images), (y, back), point(t)))
    return y, back, values


def _admissible(problem, y):
    """The dual variable with what others determine, scaled until its fields are short enough."""
    if problem.consistent is not None:
        y = problem.consistent(y)
    samples = samples_of(y, problem.L.range)
    factor = np.ones(samples.size)
    for index, radius in problem.radii:
        index, component = index if isinstance(index, tuple) else (index, None)
        field = y if index is None else _parts(y, problem.L.range)[index]
        length = _largest_length(field, component)
        factor = np.minimum(factor, radius / np.maximum(length, radius))
    return samples.scale(factor, y) if problem.radii else y


def _dual_values(problem, y, back):
    slope = samples_of(back, problem.L.domain).scale(-1.0, back)
    return -np.array(np.atleast_1d(
        precise_value(problem.f_conj, slope) + precise_value(problem.g_conj, y)), dtype=float)


# A bound on one side only, such as x >= 0, asks for L* y >= 0 in every point. Zero is at the border
# of this cone, and no multiple of a y outside of it is in it: one has to start inside. There are
# the multiples of L 1 if L* L 1 = A* A 1 > 0, as for all operators of nonnegative entries.
def _interior(problem, y, back, wanted):
    """Dual variables of finite value to start from, and their images under ``L*``: or zeros."""
    samples, images = samples_of(y, problem.L.range), samples_of(back, problem.L.domain)
    start, start_back = samples.scale(0.0, y), images.scale(0.0, back)
    ones = images.ones(back)
    signs = [sign * np.isfinite(np.atleast_1d(
        precise_value(problem.f_conj, images.scale(-sign, ones)))) for sign in (1.0, -1.0)]
    sign = np.where(wanted, np.where(signs[0] != 0, signs[0], signs[1]), 0.0)
    if not sign.any():
        return start, start_back
    inner = problem.L(ones)
    size = samples.norm(y) / np.maximum(samples.norm(inner), np.finfo(float).tiny)
    for factor in (1.0, 0.05):
        trial = _admissible(problem, samples.scale(factor * sign * size, inner))
        trial_back = problem.L.adjoint(trial)
        found = np.flatnonzero(np.isfinite(_dual_values(problem, trial, trial_back)) & (sign != 0))
        if found.size:
            start, start_back = (
                arithmetic.put(old, found, arithmetic.take(new, found))
                for arithmetic, old, new in zip(
                    (samples, images), (start, start_back), (trial, trial_back)))
            sign[found] = 0
        if not sign.any():
            break
    return start, start_back


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
    trial = _admissible(problem, y)
    trial_back = problem.L.adjoint(trial)
    lower = _dual_values(problem, trial, trial_back)
    inexact = ~np.isfinite(lower)
    y, back, lower = _moved_dual(problem, trial, trial_back, lower)
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
    lower = _dual_values(problem, y, zero) + samples.inner(back, x)
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


def precision(space):
    """Distance of one to the next number in the precision of a space, or of one of batches."""
    if hasattr(space, "eps"):
        return space.eps
    if isinstance(space, odl.ProductSpace):
        return max(map(precision, space.spaces))
    return float(np.finfo(str(space.dtype_identifier)).eps)


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


def _parts(y, space):
    """The blocks of an element, or of a batch."""
    return space.split(y) if hasattr(space, "split") else y


def _largest_length(field, component=None):
    """Return the largest length of the vectors of a field, or of every field of a batch.

    With a component it is the largest magnitude of this one.
    """
    is_batch = is_array_api_obj(field) and not hasattr(field, "space")
    count = field.shape[1] if is_batch else len(field)
    chosen = range(count) if component is None else [component]
    parts = [field[:, i, ...] if is_batch else field[i].data[None] for i in chosen]
    xp = array_namespace(parts[0])
    squares = sum(xp.astype(xp.abs(part), xp.float64) ** 2 for part in parts)
    largest = xp.max(xp.reshape(squares, (squares.shape[0], -1)), axis=1)
    return np.sqrt(np.asarray(to_device(largest, "cpu"), dtype=np.float64))
