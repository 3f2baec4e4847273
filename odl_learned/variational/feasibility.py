r"""Feasible dual variables near given ones.

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

from odl_learned import compiled
from odl_learned.functionals import precise_value
from odl_learned.solvers.arithmetic.row_sums import on_host
from odl_learned.solvers.arithmetic.samples import samples_of


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


def moved_dual(problem, y, back, values):
    """Return ``y``, ``L* y`` and its values, moved to where they are finite."""
    if np.isfinite(values).all():
        return y, back, values
    samples, images = samples_of(y, problem.L.range), samples_of(back, problem.L.domain)
    start, start_back = _interior(problem, y, back, ~np.isfinite(values))
    way, back_way = samples.add(y, -1.0, start), images.add(back, -1.0, start_back)

    def point(t):
        return samples.add(start, t, way), images.add(start_back, t, back_way)

    t, values = farthest_finite(
        lambda t: dual_values(problem, *point(t)), samples.size, precision(problem.L.domain))
    moved = np.flatnonzero(t < 1)
    if moved.size:
        y, back = (arithmetic.put(arithmetic.scale(1.0, old), moved, arithmetic.take(new, moved))
                   for arithmetic, old, new in zip((samples, images), (y, back), point(t)))
    return y, back, values


def admissible(problem, y):
    """Return the dual variable with what others determine, scaled until its fields are short."""
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


def dual_values(problem, y, back):
    """Return ``-f* (-L* y) - g*(y)`` for each sample, given ``L* y``."""
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
        trial = admissible(problem, samples.scale(factor * sign * size, inner))
        trial_back = problem.L.adjoint(trial)
        found = np.flatnonzero(np.isfinite(dual_values(problem, trial, trial_back)) & (sign != 0))
        if found.size:
            start, start_back = (
                arithmetic.put(old, found, arithmetic.take(new, found))
                for arithmetic, old, new in zip(
                    (samples, images), (start, start_back), (trial, trial_back)))
            sign[found] = 0
        if not sign.any():
            break
    return start, start_back


def precision(space):
    """Return the distance from one to the next number in a space, or in one of batches."""
    if hasattr(space, "eps"):
        return space.eps
    if isinstance(space, odl.ProductSpace):
        return max(map(precision, space.spaces))
    return float(np.finfo(str(space.dtype_identifier)).eps)


def _parts(y, space):
    """The blocks of an element, or of a batch."""
    return space.split(y) if hasattr(space, "split") else y


def _largest_length(field, component=None):
    """Return the largest length of the vectors of a field, or of every field of a batch.

    With a component it is the largest magnitude of this one.
    """
    if is_array_api_obj(field) and not hasattr(field, "space"):
        chosen = field if component is None else field[:, component : component + 1, ...]
        array = on_host(chosen)
        if array is not None and array.dtype.kind == "f" and compiled.is_available():
            return np.sqrt(_largest_squares(array))
        parts = [chosen[:, i, ...] for i in range(chosen.shape[1])]
    else:
        chosen = range(len(field)) if component is None else [component]
        parts = [field[i].data[None] for i in chosen]
    xp = array_namespace(parts[0])
    squares = sum(xp.astype(xp.abs(part), xp.float64) ** 2 for part in parts)
    largest = xp.max(xp.reshape(squares, (squares.shape[0], -1)), axis=1)
    return np.sqrt(np.asarray(to_device(largest, "cpu"), dtype=np.float64))


def _largest_squares(array):
    from odl_learned.compiled.projections import largest_squares

    result = np.empty(len(array))
    largest_squares(np.ascontiguousarray(array).reshape(*array.shape[:2], -1), result)
    return result
