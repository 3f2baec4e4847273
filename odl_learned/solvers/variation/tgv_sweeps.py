"""The iteration of `tgv_iteration` and the gap of `tgv_gap` in compiled sweeps, in the plane.

Bit by bit the numbers are those of the plain form.
"""

import math

import numpy as np

from odl_learned import compiled
from odl_learned.solvers.variation.sheets import per_image
from odl_learned.solvers.variation.strips import Strips

#: Iterations in one sweep, and the rows that they make wrong where strips end.
DEPTH = 8
HALO = 2 * DEPTH


def advance(state, radii, numbers, height, count):
    """Iterate some times, in place.

    Parameters
    ----------
    state : list ``[y, u, z, v, w, q, r]``
        Of lists of arrays ``(N, R, W)``: one for each channel, two, and three for each channel in
        `r`; changed, except for ``y``.
    radii : list ``[radius, bounds]`` of arrays ``(N, R, W)``, or empty
    numbers : tuple of float
        ``pull, tau, sigma, beta, c_0, c_1``.
    height : int
        Strips begin at multiples of so many rows.
    count : int
        Of iterations.
    """
    from odl_learned.compiled.variation.tgv import sweep

    like, root = state[0][0], math.sqrt(2)
    numbers = np.array([*numbers, *(c / root for c in numbers[4:])], like.dtype)
    entries = like.size * len(state[0])
    strips = Strips(len(like), like.shape[1:], height, HALO, compiled.useful_threads(entries))
    pieces = range(len(strips.pieces))
    none = [[np.empty((0, 0, 0), like.dtype)] * len(pieces)] * 2
    bounds = [strips.cut(r) for r in radii] or none
    parts = [[strips.cut(array) for array in arrays] for arrays in state]
    rows = like.shape[1]
    while count > 0:
        depth = min(count, DEPTH)
        compiled.run_all(sweep, [
            (*(tuple(part[i] for part in arrays) for arrays in parts), *(b[i] for b in bounds),
             numbers, depth, strips.pieces[i].begin == 0, strips.pieces[i].end == rows)
            for i in pieces])  # fmt: skip
        count -= depth
        if count:
            for part in (part for arrays in parts[1:] for part in arrays):
                strips.renew(part)
    if len(pieces) > 1:
        for arrays, changed in zip(state[1:], parts[1:], strict=True):
            for array, part in zip(arrays, changed, strict=True):
                strips.put(part, array)


def gap_and_value(state, radii, beta, factors, is_fixed, q):
    """Gaps and values of the objective, as by `tgv_gap.gap_and_value`.

    Parameters
    ----------
    state : list ``[y, u, v, r]``
        Of lists of arrays ``(N, R, W)`` as above.
    radii : list ``[radius, bounds]`` of such arrays, or empty
    beta : float
    factors : list of float
        Of the differences.
    is_fixed : bool
        Whether ``u`` is no unknown.
    q : list of arrays
        Overwritten by the feasible dual variable.

    Returns
    -------
    gap, value, zero_gap : numpy.ndarray of shape ``(N,)``
    """
    from odl_learned.compiled.variation.tgv_gap import adjoint, measure

    y, u, v, r, q = (tuple(arrays) for arrays in (*state, q))
    (size, rows, columns), dtype = y[0].shape, y[0].dtype
    none = np.empty((0, 0, 0), dtype)
    radius, bounds = radii or (none, none)
    factors = np.array([*factors, *(c * math.sqrt(0.5) for c in factors)], dtype)
    largest, terms = np.empty(size * rows, dtype), np.empty((4, *y[0].shape), dtype)
    shares = compiled.shares(size * rows, y[0].size * len(y))
    compiled.run_all(adjoint, [(r, q, radius, factors, begin, end, largest)
                               for begin, end in shares])  # fmt: skip
    shrink = 1 / np.maximum(largest.reshape(size, rows).max(axis=1), dtype.type(1))
    if (shrink < 1).any():
        for field in q:
            field *= shrink.reshape(-1, 1, 1)
    compiled.run_all(measure, [
        (y, u, v, r, q, shrink, radius, bounds, dtype.type(beta), factors, is_fixed, begin, end,
         terms) for begin, end in shares])  # fmt: skip
    gap, value, variation, zero = (per_image(np, term, size, columns) for term in terms)
    return np.maximum(gap, 0) + 2 * float(np.finfo(dtype).eps) * variation, value, zero
