"""The duality gap of `solvers.variation.tgv_gap` in two sweeps over the rows of images.

Arrays as in `compiled.variation.tgv`; ``factors`` are ``c_0, c_1`` and these times the root of a
half. Rows are numbered through all images.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def adjoint(r, q, radius, factors, begin, end, largest):
    """``q = E* r`` in the rows from ``begin`` to ``end``, and the largest ``|q| / radius`` of each.

    Parameters
    ----------
    r, q : tuples of arrays ``(N, R, W)``
    radius : array ``(N, R, W)``, or ``(0, 0, 0)`` for one
    largest : array ``(N R,)``
    """
    rows, columns = r[0].shape[1:]
    zero, square = np.zeros(columns, r[0].dtype), np.empty(columns, r[0].dtype)
    for item in range(begin, end):
        n, row = item // rows, item % rows
        square[:] = 0
        for c in range(len(q) // 2):
            twist = r[3 * c + 2][n, row]
            ahead = r[3 * c][n, row + 1] if row + 1 < rows else zero
            before = r[3 * c + 2][n, row - 1] if row > 0 else zero
            _adjoint(r[3 * c][n, row], r[3 * c + 1][n, row], ahead, twist, before, factors,
                     q[2 * c][n, row], q[2 * c + 1][n, row], square)  # fmt: skip
        most = square[0] * 0
        for j in range(columns):
            length = math.sqrt(square[j])
            if len(radius):
                length /= radius[n, row, j]
            most = max(most, length)
        largest[item] = most


@compiled
def _adjoint(r0, r1, ahead, twist, before, factors, down, right, square):
    c0, c1, d0, d1, end = factors[0], factors[1], factors[2], factors[3], len(r0) - 1
    down[0] = (r0[0] - ahead[0]) * c0 - twist[0] * d1
    for j in range(1, end + 1):
        down[j] = (r0[j] - ahead[j]) * c0 + (twist[j - 1] - twist[j]) * d1
    for j in range(end):
        right[j] = (r1[j] - r1[j + 1]) * c1 + (before[j] - twist[j]) * d0
    right[end] = r1[end] * c1 + (before[end] - twist[end]) * d0
    for j in range(end + 1):
        square[j] = (square[j] + down[j] * down[j]) + right[j] * right[j]


@compiled
def measure(y, u, v, r, q, shrink, radius, bounds, beta, factors, is_fixed, begin, end, terms):
    """What gaps and values are sums of, in every pixel of some rows.

    Parameters
    ----------
    shrink : array ``(N,)``
    radius, bounds : arrays ``(N, R, W)``, or ``(0, 0, 0)`` for one and ``beta``
    is_fixed : bool
        Whether ``u`` is no unknown.
    terms : array ``(4, N, R, W)``
        Of the gap, the value, the variation, and the gap at zero.
    """
    samples, rows, columns = y[0].shape
    zero = np.zeros(columns, y[0].dtype)
    slopes, bends = np.empty(columns, y[0].dtype), np.empty(columns, y[0].dtype)
    for item in range(begin, end):
        n, row = item // rows, item % rows
        gap, value = terms[0, n, row], terms[1, n, row]
        variation, at_zero = terms[2, n, row], terms[3, n, row]
        gap[:] = 0
        value[:] = 0
        at_zero[:] = 0
        slopes[:] = 0
        bends[:] = 0
        for c in range(len(y)):
            v0, v1 = v[2 * c], v[2 * c + 1]
            _add_slopes(u[c][n], v0[n, row], v1[n, row], q[2 * c][n, row], q[2 * c + 1][n, row],
                        row, factors, gap, slopes)  # fmt: skip
            before = q[2 * c][n, row - 1] if row > 0 else zero
            _add_misfits(y[c][n, row], u[c][n, row], q[2 * c][n, row], before,
                         q[2 * c + 1][n, row], factors, is_fixed, gap, value, at_zero)  # fmt: skip
            _add_bends(v0[n], v1[n], r[3 * c][n, row], r[3 * c + 1][n, row], r[3 * c + 2][n, row],
                       row, factors, shrink[n], gap, bends)  # fmt: skip
        for j in range(columns):
            slope, bend = math.sqrt(slopes[j]), math.sqrt(bends[j])
            if len(radius):
                slope *= radius[n, row, j]
            bend *= bounds[n, row, j] if len(bounds) else beta
            variation[j] = slope + bend
        for j in range(columns):
            gap[j] += variation[j]
            value[j] += variation[j]


@compiled
def _add_slopes(u, v0, v1, down, right, row, factors, gap, slopes):
    """``-q . (D u - v)`` and ``|D u - v|^2``."""
    c0, c1, columns = factors[0], factors[1], len(v0)
    here, ahead, zero = u[row], u[min(row + 1, len(u) - 1)], gap.dtype.type(0)
    for j in range(columns):
        slope = (ahead[j] - here[j]) * c0 - v0[j]
        gap[j] -= down[j] * slope
        slopes[j] += slope * slope
    for j in range(columns):
        slope = ((here[j + 1] - here[j]) * c1 if j + 1 < columns else zero) - v1[j]
        gap[j] -= right[j] * slope
        slopes[j] += slope * slope


@compiled
def _add_misfits(y, u, down, before, right, factors, is_fixed, gap, value, at_zero):
    """``|u - y|^2 / 2``, ``|u - x|^2 / 2`` and ``|x|^2 / 2`` with ``x = y - D* q``."""
    c0, c1, two = factors[0], factors[1], gap.dtype.type(2)
    for j in range(len(y)):
        misfit = u[j] - y[j]
        value[j] += misfit * misfit / two
        flux = right[j - 1] - right[j] if j > 0 else -right[j]
        rest = (misfit + (before[j] - down[j]) * c0) + flux * c1
        if not is_fixed:
            gap[j] += rest * rest / two
        at_zero[j] += (rest - u[j]) * (rest - u[j]) / two


@compiled
def _add_bends(v0, v1, r0, r1, r2, row, factors, shrink, gap, bends):
    """``-r . E v`` and ``|E v|^2``."""
    c0, c1, d0, d1, columns = factors[0], factors[1], factors[2], factors[3], len(r0)
    here, right, is_inner = v0[row], v1[row], row > 0 and row + 1 < len(v0)
    if is_inner:
        before = v0[row - 1]
        for j in range(columns):
            bend = (here[j] - before[j]) * c0
            gap[j] -= (r0[j] * bend) * shrink
            bends[j] += bend * bend
    for j in range(1, columns - 1):
        bend = (right[j] - right[j - 1]) * c1
        gap[j] -= (r1[j] * bend) * shrink
        bends[j] += bend * bend
    if row + 1 < len(v0):
        ahead = v1[row + 1]
        for j in range(columns - 1):
            bend = (here[j + 1] - here[j]) * d1 + (ahead[j] - right[j]) * d0
            gap[j] -= (r2[j] * bend) * shrink
            bends[j] += bend * bend
