"""Differences of neighbors in images ``(N, R, W)``, with side one, and what energies make of them.

Fields are ``(N, 2, R, W)``, real or complex, and zero where there is no neighbor: ``p_0 = x_{r+1} -
x_r`` along the columns and ``p_1`` along the rows. Results go to ``out``. Rows are numbered through
all images, and those from ``begin`` to ``end`` are computed.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def forward(x, begin, end, out):
    """``D x``."""
    rows, columns = x.shape[1:]
    for item in range(begin, end):
        n, r = item // rows, item % rows
        here, ahead = x[n, r], x[n, min(r + 1, rows - 1)]
        down, right = out[n, 0, r], out[n, 1, r]
        for j in range(columns):
            down[j] = ahead[j] - here[j]
        for j in range(columns - 1):
            right[j] = here[j + 1] - here[j]
        right[columns - 1] = 0


@compiled
def adjoint(weights, p, begin, end, out):
    """``D^T w p`` with weights ``(N, 2, R, W)``, ``(N, 1, R, W)``, or ``(0, 0, 0, 0)`` for one."""
    rows, columns = out.shape[1:]
    second = 1 if weights.shape[1] == 2 else 0
    before, down = np.empty(columns, p.dtype), np.empty(columns, p.dtype)
    right = np.empty(columns, p.dtype)
    for item in range(begin, end):
        n, r = item // rows, item % rows
        down[:] = 0
        before[:] = 0
        if len(weights):
            for j in range(columns):
                right[j] = weights[n, second, r, j] * p[n, 1, r, j]
            if r + 1 < rows:
                for j in range(columns):
                    down[j] = weights[n, 0, r, j] * p[n, 0, r, j]
            if r > 0:
                for j in range(columns):
                    before[j] = weights[n, 0, r - 1, j] * p[n, 0, r - 1, j]
        else:
            right[:] = p[n, 1, r]
            if r + 1 < rows:
                down[:] = p[n, 0, r]
            if r > 0:
                before[:] = p[n, 0, r - 1]
        _gather(before, down, right, out[n, r])


@compiled
def _gather(before, down, right, out):
    """``D^T`` in a row; nothing is there beyond the last column."""
    end = len(out) - 1
    for j in range(end + 1):
        out[j] = before[j] - down[j]
    for j in range(1, end + 1):
        out[j] += right[j - 1]
    for j in range(end):
        out[j] -= right[j]


@compiled
def neighbors(u, weights, begin, end, out):
    """``S D^T w D S u`` with the signs ``S`` of a checkerboard: sums in place of differences."""
    rows, columns = u.shape[1:]
    second = 1 if weights.shape[1] == 2 else 0
    for item in range(begin, end):
        n, r = item // rows, item % rows
        here, result = u[n, r], out[n, r]
        result[:] = 0
        if r + 1 < rows:
            for j in range(columns):
                result[j] += weights[n, 0, r, j] * (here[j] + u[n, r + 1, j])
        if r > 0:
            for j in range(columns):
                result[j] += weights[n, 0, r - 1, j] * (here[j] + u[n, r - 1, j])
        right = weights[n, second, r]
        for j in range(columns - 1):
            result[j] += right[j] * (here[j] + here[j + 1])
        for j in range(1, columns):
            result[j] += right[j - 1] * (here[j] + here[j - 1])


@compiled
def hessian(v, p, z, scaled, bent, factor, begin, end, out):
    """``D^T (s q + b (p <p, q>)) + f v`` with ``q = D v``, or ``b (z <p, q> + p <z, q>)``.

    ``scaled, bent`` have the shape ``(N, R, W)``; ``z`` has no samples in the first case.
    """
    rows, columns = v.shape[1:]
    before, down = np.empty(columns, v.dtype), np.empty(columns, v.dtype)
    right = np.empty(columns, v.dtype)
    last = -1
    for item in range(begin, end):
        n, r = item // rows, item % rows
        if r == 0:
            before[:] = 0
        elif last != item - 1:
            _bend(v[n], p[n], z, n, scaled[n], bent[n], r - 1, before, right)
        _bend(v[n], p[n], z, n, scaled[n], bent[n], r, down, right)
        _gather(before, down, right, out[n, r])
        here, result = v[n, r], out[n, r]
        for j in range(columns):
            result[j] += factor * here[j]
        before, down, last = down, before, item


@compiled
def _bend(v, p, z, n, scaled, bent, r, down, right):
    rows, columns = v.shape
    here, ahead = v[r], v[min(r + 1, rows - 1)]
    p0, p1, s, b, last = p[0, r], p[1, r], scaled[r], bent[r], columns - 1
    for j in range(columns):
        down[j] = ahead[j] - here[j]
    for j in range(last):
        right[j] = here[j + 1] - here[j]
    right[last] = 0
    if len(z):
        z0, z1 = z[n, 0, r], z[n, 1, r]
        for j in range(columns):
            along = (_dot(p0[j], down[j]) + _dot(p1[j], right[j])) * b[j]
            beside = (_dot(z0[j], down[j]) + _dot(z1[j], right[j])) * b[j]
            down[j] = s[j] * down[j] + (along * z0[j] + beside * p0[j])
            right[j] = s[j] * right[j] + (along * z1[j] + beside * p1[j])
    else:
        for j in range(columns):
            along = (_dot(p0[j], down[j]) + _dot(p1[j], right[j])) * b[j]
            down[j] = s[j] * down[j] + along * p0[j]
            right[j] = s[j] * right[j] + along * p1[j]


@compiled
def follow(d, p, z, weight, ratio, most, begin, end, out):
    """``w (p + q) + k z <p, q>`` with ``q = D d``, divided by lengths above ``most``."""
    rows, columns = d.shape[1:]
    for item in range(begin, end):
        n, r = item // rows, item % rows
        here, ahead = d[n, r], d[n, min(r + 1, rows - 1)]
        down, right = out[n, 0, r], out[n, 1, r]
        for j in range(columns):
            down[j] = ahead[j] - here[j]
        for j in range(columns - 1):
            right[j] = here[j + 1] - here[j]
        right[columns - 1] = 0
        p0, p1, z0, z1 = p[n, 0, r], p[n, 1, r], z[n, 0, r], z[n, 1, r]
        w, k, one = weight[n, r], ratio[n, r], weight.dtype.type(1)
        for j in range(columns):
            along = (_dot(p0[j], down[j]) + _dot(p1[j], right[j])) * k[j]
            a = w[j] * (p0[j] + down[j]) + along * z0[j]
            b = w[j] * (p1[j] + right[j]) + along * z1[j]
            shrink = one / max(math.sqrt(_dot(a, a) + _dot(b, b)) / most, one)
            down[j], right[j] = shrink * a, shrink * b


@compiled
def weighted(v, weights, factor, begin, end, out):
    """``D^T w D v + f v`` with weights ``(N, 2, R, W)``."""
    rows, columns = v.shape[1:]
    flux = np.empty(columns, v.dtype)
    for item in range(begin, end):
        n, r = item // rows, item % rows
        here, result = v[n, r], out[n, r]
        for j in range(columns):
            result[j] = factor * here[j]
        if r > 0:
            for j in range(columns):
                result[j] += weights[n, 0, r - 1, j] * (here[j] - v[n, r - 1, j])
        if r + 1 < rows:
            for j in range(columns):
                result[j] -= weights[n, 0, r, j] * (v[n, r + 1, j] - here[j])
        for j in range(columns - 1):
            flux[j] = weights[n, 1, r, j] * (here[j + 1] - here[j])
        for j in range(1, columns):
            result[j] += flux[j - 1]
        for j in range(columns - 1):
            result[j] -= flux[j]


@compiled
def follow_apart(d, p, z, weight, ratio, most, begin, end, out):
    """As `follow`, real, with all components ``(N, 2, R, W)`` on their own."""
    rows, columns = d.shape[1:]
    one = d.dtype.type(1)
    for item in range(begin, end):
        n, r = item // rows, item % rows
        here, ahead = d[n, r], d[n, min(r + 1, rows - 1)]
        down, right = out[n, 0, r], out[n, 1, r]
        for j in range(columns):
            down[j] = ahead[j] - here[j]
        for j in range(columns - 1):
            right[j] = here[j + 1] - here[j]
        right[columns - 1] = 0
        for i in range(2):
            q, a, b = out[n, i, r], p[n, i, r], z[n, i, r]
            w, k = weight[n, i, r], ratio[n, i, r]
            for j in range(columns):
                moved = w[j] * (a[j] + q[j]) + (a[j] * q[j] * k[j]) * b[j]
                q[j] = moved / max(abs(moved) / most, one)


@compiled
def _dot(a, b):
    """``Re conj(a) b``."""
    return a.real * b.real + a.imag * b.imag
