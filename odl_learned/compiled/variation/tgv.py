"""The sweeps of `solvers.variation.tgv_iteration`: several iterations in one pass over the rows.

Iteration ``k`` updates dual variables in a row from ``z`` and ``w`` of iteration ``k - 1`` in that
row and its neighbors, and then primal ones in the row before. So it may follow the iteration before
at the distance of two rows.

Images are ``(N, R, W)``: samples, rows and columns. There is one for each channel in the tuples
``y, u, z``, two for each in ``v, w, q`` and three in ``r``, one channel after the other.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def sweep(y, u, z, v, w, q, r, radius, bounds, numbers, count, first, last):
    """Iterate some times, in place.

    Parameters
    ----------
    radius, bounds : array ``(N, R, W)``, or ``(0, 0, 0)`` for one and ``beta``
        Of ``q`` and ``r``.
    numbers : array ``(8,)``
        ``tau / (1 + tau)`` or zero for fixed ``u``, ``tau``, ``sigma``, ``beta``, the factors
        ``c_0, c_1`` of the differences, and these over the root of two.
    count : int
        Of iterations.
    first, last : bool
        Whether the first and last rows are those of the images. After each iteration, where they
        are not, one row more is wrong at the first, and two at the last.
    """
    samples, rows, columns = y[0].shape
    length, zero = np.empty(columns, y[0].dtype), np.zeros(columns, y[0].dtype)
    for n in range(samples):
        for front in range(rows + 2 * count - 1):
            for k in range(count):
                row = front - 2 * k
                begin, end = 0 if first else k, rows if last else rows - 1 - 2 * k
                if row >= begin and row < end:
                    for c in range(len(y)):
                        _rise(z[c][n], w[2 * c][n], w[2 * c + 1][n], q[2 * c][n], q[2 * c + 1][n],
                              row, numbers)  # fmt: skip
                        _bend(w[2 * c][n], w[2 * c + 1][n], r[3 * c][n], r[3 * c + 1][n],
                              r[3 * c + 2][n], row, numbers)  # fmt: skip
                    if len(y) == 1 and len(radius) == 0:
                        _project_one(q[0][n, row], q[1][n, row], r[0][n, row], r[1][n, row],
                                     r[2][n, row], numbers[3])  # fmt: skip
                    else:
                        _project(q, n, row, radius, numbers.dtype.type(1), length)
                        _project(r, n, row, bounds, numbers[3], length)
                row -= 1
                if row >= begin and row < (end if last else end - 1):
                    for c in range(len(y)):
                        before = q[2 * c][n, row - 1] if row > 0 else zero
                        _fall(y[c][n, row], u[c][n, row], z[c][n, row], q[2 * c][n, row], before,
                              q[2 * c + 1][n, row], numbers)  # fmt: skip
                        ahead = r[3 * c][n, row + 1] if row + 1 < rows else zero
                        twist = r[3 * c + 2][n, row]
                        _slope_down(v[2 * c][n, row], w[2 * c][n, row], q[2 * c][n, row],
                                    r[3 * c][n, row], ahead, twist, numbers)  # fmt: skip
                        before = r[3 * c + 2][n, row - 1] if row > 0 else zero
                        _slope_right(v[2 * c + 1][n, row], w[2 * c + 1][n, row],
                                     q[2 * c + 1][n, row], r[3 * c + 1][n, row], before, twist,
                                     numbers)  # fmt: skip


@compiled
def _rise(z, w0, w1, q0, q1, row, numbers):
    """``q + D z - w``; nothing rises at the last index."""
    c0, c1, columns = numbers[4], numbers[5], z.shape[1]
    here, down, right, less_down, less_right = z[row], q0[row], q1[row], w0[row], w1[row]
    if row + 1 < len(z):
        ahead = z[row + 1]
        for j in range(columns):
            down[j] = (down[j] + (ahead[j] - here[j]) * c0) - less_down[j]
    else:
        for j in range(columns):
            down[j] = -less_down[j]
    for j in range(columns - 1):
        right[j] = (right[j] + (here[j + 1] - here[j]) * c1) - less_right[j]
    right[columns - 1] = -less_right[columns - 1]


@compiled
def _bend(w0, w1, r0, r1, r2, row, numbers):
    """``r + E w``, with differences that look back on the diagonal."""
    c0, c1, d0, d1, columns = numbers[4], numbers[5], numbers[6], numbers[7], w0.shape[1]
    here, right = w0[row], w1[row]
    out0, out1, out2 = r0[row], r1[row], r2[row]
    if row > 0 and row + 1 < len(w0):
        before = w0[row - 1]
        for j in range(columns):
            out0[j] += (here[j] - before[j]) * c0
    else:
        out0[:] = 0
    for j in range(1, columns - 1):
        out1[j] += (right[j] - right[j - 1]) * c1
    out1[0] = out1[columns - 1] = 0
    if row + 1 < len(w0):
        ahead = w1[row + 1]
        for j in range(columns - 1):
            out2[j] = (out2[j] + (here[j + 1] - here[j]) * d1) + (ahead[j] - right[j]) * d0
        out2[columns - 1] = 0
    else:
        out2[:] = 0


@compiled
def _project_one(q0, q1, r0, r1, r2, beta):
    """`_project` of both where nothing else is needed, in one pass."""
    one = q0.dtype.type(1)
    for j in range(len(q0)):
        factor = one / max(math.sqrt(q0[j] * q0[j] + q1[j] * q1[j]), one)
        q0[j] *= factor
        q1[j] *= factor
        square = (r0[j] * r0[j] + r1[j] * r1[j]) + r2[j] * r2[j]
        factor = one / max(math.sqrt(square) / beta, one)
        r0[j] *= factor
        r1[j] *= factor
        r2[j] *= factor


@compiled
def _project(fields, n, row, bounds, bound, length):
    """Divide vectors by their lengths over their bounds, where those are above one."""
    one = length.dtype.type(1)
    length[:] = 0
    for i in range(len(fields)):
        part = fields[i][n, row]
        for j in range(len(length)):
            length[j] += part[j] * part[j]
    for j in range(len(length)):
        length[j] = math.sqrt(length[j])
    if len(bounds):
        for j in range(len(length)):
            length[j] /= bounds[n, row, j]
    elif bound != one:
        for j in range(len(length)):
            length[j] /= bound
    for j in range(len(length)):
        length[j] = one / max(length[j], one)
    for i in range(len(fields)):
        part = fields[i][n, row]
        for j in range(len(length)):
            part[j] *= length[j]


@compiled
def _fall(y, u, z, down, before, right, numbers):
    """``u + du`` and ``sigma (u + 2 du)`` with ``du = pull (y - D* q - u)``."""
    pull, sigma, c0, c1 = numbers[0], numbers[2], numbers[4], numbers[5]
    step = (((y[0] - u[0]) + (down[0] - before[0]) * c0) + right[0] * c1) * pull
    u[0] += step
    z[0] = u[0] * sigma + step * sigma
    for j in range(1, len(y)):
        step = (y[j] - u[j]) + (down[j] - before[j]) * c0
        step = (step + (right[j] - right[j - 1]) * c1) * pull
        u[j] += step
        z[j] = u[j] * sigma + step * sigma


@compiled
def _slope_down(v, w, q, r, ahead, twist, numbers):
    """``v + dv`` and ``sigma (v + 2 dv)`` with ``dv = tau (q - E* r)``, along the columns."""
    tau, sigma, c, d = numbers[1], numbers[2], numbers[4], numbers[7]
    step = (q[0] - ((r[0] - ahead[0]) * c - twist[0] * d)) * tau
    v[0] += step
    w[0] = v[0] * sigma + step * sigma
    for j in range(1, len(v)):
        bend = (r[j] - ahead[j]) * c + (twist[j - 1] - twist[j]) * d
        step = (q[j] - bend) * tau
        v[j] += step
        w[j] = v[j] * sigma + step * sigma


@compiled
def _slope_right(v, w, q, r, before, twist, numbers):
    """The same along the rows."""
    tau, sigma, c, d, end = numbers[1], numbers[2], numbers[5], numbers[6], len(v) - 1
    for j in range(end):
        bend = (r[j] - r[j + 1]) * c + (before[j] - twist[j]) * d
        step = (q[j] - bend) * tau
        v[j] += step
        w[j] = v[j] * sigma + step * sigma
    step = (q[end] - (r[end] * c + (before[end] - twist[end]) * d)) * tau
    v[end] += step
    w[end] = v[end] * sigma + step * sigma
