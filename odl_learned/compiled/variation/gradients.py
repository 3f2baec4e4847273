"""Gradients and divergences of images ``(N, R, W)``, times numbers: `bridge.rules.differences`.

Forward differences with Neumann boundary, fields ``(N, 2, R, W)``. Rows are numbered through all
images, and those from ``begin`` to ``end`` are computed.
"""

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def gradient(x, c0, c1, begin, end, out):
    """``c_i (x_{j + e_i} - x_j)``, zero at the last index."""
    rows = x.shape[1]
    for item in range(begin, end):
        n, r = item // rows, item % rows
        _slopes(x[n, r], x[n, min(r + 1, rows - 1)], c0, c1, out[n, 0, r], out[n, 1, r])


@compiled
def divergence(p, c0, c1, begin, end, out):
    """``sum_i c_i (p_{i, j} - p_{i, j - e_i})``, where ``p_i`` is zero at its last index."""
    rows, columns = out.shape[1:]
    zero = np.zeros(columns, p.dtype)
    for item in range(begin, end):
        n, r = item // rows, item % rows
        down = p[n, 0, r] if r + 1 < rows else zero
        before = p[n, 0, r - 1] if r > 0 else zero
        _gather(down, before, p[n, 1, r], c0, c1, out[n, r])


@compiled
def _slopes(here, ahead, c0, c1, down, right):
    end = len(here) - 1
    for j in range(end + 1):
        down[j] = (ahead[j] - here[j]) * c0
    for j in range(end):
        right[j] = (here[j + 1] - here[j]) * c1
    right[end] = 0


@compiled
def _gather(down, before, right, c0, c1, out):
    end = len(out) - 1
    for j in range(end + 1):
        out[j] = (down[j] - before[j]) * c0
    for j in range(end):
        out[j] += right[j] * c1
    for j in range(end):
        out[j + 1] -= right[j] * c1
