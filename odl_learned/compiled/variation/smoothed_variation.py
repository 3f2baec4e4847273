"""Smoothed total variation of images ``(N, R, W)``: value, gradient and product with the Hessian.

With differences ``a_i = c_i (x_{+i} - x)``, zero at the last index, ``l^2 = |a|^2 + nu^2`` and the
field ``q = a / l``, the gradient is ``g (alpha sum_i c_i D_i^T q_i + xi x)``. The product has the
field ``q = (b - a (a . b) / l^2) / l`` with differences ``b`` of ``h``, and ``xi h``.

Images are cut into blocks of rows, and blocks are numbered through all images. A block computes the
field in the row before itself once more.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def gradient(x, g, numbers, height, begin, end, slopes, sums):
    """Gradients, and what values consist of, in the blocks from ``begin`` to ``end``.

    Parameters
    ----------
    g : array ``(N,)``
    numbers : array ``(5,)``
        ``c_0, c_1, nu^2, alpha, xi``.
    height : int
        Rows of a block.
    slopes : array ``(N, R, W)``, or ``(0, 0, 0)`` where only values are wanted
    sums : float64 array ``(blocks of all images, 2, W)``
        Of ``l`` and of ``x^2`` over the rows of blocks. Overwritten.
    """
    count, rows, columns = x.shape
    blocks = -(-rows // height)
    before, down = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
    right, length = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
    for block in range(begin, end):
        n, top = block // blocks, (block % blocks) * height
        before[:] = 0
        if top > 0 and len(slopes):
            _slope(x[n], top - 1, numbers, before, right, length)
        sums[block] = 0
        for r in range(top, min(top + height, rows)):
            _slope(x[n], r, numbers, down, right, length)
            for j in range(columns):
                sums[block, 0, j] += length[j]
                sums[block, 1, j] += x[n, r, j] * x[n, r, j]
            if len(slopes):
                _spread(x[n, r], before, down, right, g[n], numbers, slopes[n, r])
            before, down = down, before


@compiled
def hessian(x, h, g, numbers, height, begin, end, products):
    """Hessian products, as `gradient`."""
    count, rows, columns = x.shape
    blocks = -(-rows // height)
    before, down = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
    right = np.empty(columns, x.dtype)
    for block in range(begin, end):
        n, top = block // blocks, (block % blocks) * height
        before[:] = 0
        if top > 0:
            _bend(x[n], h[n], top - 1, numbers, before, right)
        for r in range(top, min(top + height, rows)):
            _bend(x[n], h[n], r, numbers, down, right)
            _spread(h[n, r], before, down, right, g[n], numbers, products[n, r])
            before, down = down, before


@compiled
def _slope(x, r, numbers, down, right, length):
    """``c_i a_i / l`` and ``l`` in a row."""
    rows, columns = x.shape
    c0, c1, square = numbers[0], numbers[1], numbers[2]
    here, ahead, last = x[r], x[min(r + 1, rows - 1)], columns - 1
    for j in range(last):
        length[j], down[j], right[j] = _direction(
            (ahead[j] - here[j]) * c0, (here[j + 1] - here[j]) * c1, square, c0, c1)
    length[last], down[last], right[last] = _direction(
        (ahead[last] - here[last]) * c0, x.dtype.type(0), square, c0, c1)


@compiled
def _direction(a0, a1, square, c0, c1):
    length = math.sqrt(a0 * a0 + a1 * a1 + square)
    return length, c0 * (a0 / length), c1 * (a1 / length)


@compiled
def _bend(x, h, r, numbers, down, right):
    """``c_i (b - a (a . b) / l^2)_i / l`` in a row."""
    rows, columns = x.shape
    zero, c0, c1, square = x.dtype.type(0), numbers[0], numbers[1], numbers[2]
    here, ahead = x[r], x[min(r + 1, rows - 1)]
    other, beyond, last = h[r], h[min(r + 1, rows - 1)], columns - 1
    for j in range(last):
        down[j], right[j] = _bent(
            (ahead[j] - here[j]) * c0, (here[j + 1] - here[j]) * c1,
            (beyond[j] - other[j]) * c0, (other[j + 1] - other[j]) * c1, square, c0, c1)
    down[last], right[last] = _bent((ahead[last] - here[last]) * c0, zero,
                                    (beyond[last] - other[last]) * c0, zero, square, c0, c1)


@compiled
def _bent(a0, a1, b0, b1, square, c0, c1):
    squares = a0 * a0 + a1 * a1 + square
    inverse = math.sqrt(squares) / squares
    along = (a0 * b0 + a1 * b1) * (inverse * inverse)
    return c0 * ((b0 - along * a0) * inverse), c1 * ((b1 - along * a1) * inverse)


@compiled
def _spread(x, before, down, right, g, numbers, out):
    """``g (alpha sum_i D_i^T q_i + xi x)`` in a row."""
    alpha, xi = g * numbers[3], g * numbers[4]
    out[0] = alpha * ((before[0] - down[0]) - right[0]) + xi * x[0]
    for j in range(1, len(x)):
        flux = (before[j] - down[j]) + (right[j - 1] - right[j])
        out[j] = alpha * flux + xi * x[j]
