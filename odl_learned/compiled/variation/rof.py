"""The sweeps of `solvers.variation.rof_iteration`: several iterations in one pass over the rows.

Iteration ``k`` reads ``z`` of iteration ``k - 1`` in a row and the one after, and ``p`` of its own
in a row and the one before. So it may follow the iteration before at the distance of one row: while
``T`` iterations run one behind the other, each row is in the cache for all of them.

Images are ``(N, C, R, W)``, fields ``(N, C, 2, R, W)``: samples, channels, axes, rows and columns.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def sweep(y, x, z, p, shrink, steps, c0, c1, exponent, first, last):
    """Iterate once for every row of ``steps``, in place.

    Parameters
    ----------
    shrink : array ``(N, R, W)``, or ``(0, 0, 0)``
        ``w^-2`` for weights ``w`` of pixels.
    steps : array ``(T, 3)``
        ``tau / (1 + tau)``, ``sigma``, ``theta sigma``.
    c0, c1
        Factors of the differences, numbers of the dtype.
    exponent : {2, 1}
    first, last : bool
        Whether the first and last rows are those of the images. Where they are not, one row more
        is wrong after each iteration.
    """
    count, channels, rows, columns = y.shape
    length, zero = np.empty(columns, y.dtype), np.zeros(columns, y.dtype)
    for n in range(count):
        for front in range(rows + len(steps) - 1):
            for k in range(len(steps)):
                r = front - k
                if r < (0 if first else k) or r >= (rows if last else rows - 1 - k):
                    continue
                for c in range(channels):
                    _rise(z[n, c], p[n, c], r, c0, c1)
                if channels == 1 and exponent == 2 and len(shrink) == 0:
                    _project_pairs(p[n, 0, 0, r], p[n, 0, 1, r])
                else:
                    for i in range(0, 2, exponent):
                        _project(p[n], r, i, i + exponent, shrink, n, length)
                for c in range(channels):
                    before = p[n, c, 0, r - 1] if r > 0 else zero
                    _fall(y[n, c, r], x[n, c, r], z[n, c, r], p[n, c, 0, r], before, p[n, c, 1, r],
                          c0, c1, steps[k, 0], steps[k, 1], steps[k, 2])  # fmt: skip


@compiled
def _rise(z, p, r, c0, c1):
    """``p + D z``."""
    columns = z.shape[1]
    here, down, right = z[r], p[0, r], p[1, r]
    if r + 1 < len(z):
        ahead = z[r + 1]
        for j in range(columns):
            down[j] += (ahead[j] - here[j]) * c0
    else:
        down[:] = 0
    for j in range(columns - 1):
        right[j] += (here[j + 1] - here[j]) * c1
    right[columns - 1] = 0


@compiled
def _project_pairs(down, right):
    """`_project` where nothing else is needed, in one pass."""
    one = down.dtype.type(1)
    for j in range(len(down)):
        factor = one / math.sqrt(max(down[j] * down[j] + right[j] * right[j], one))
        down[j] *= factor
        right[j] *= factor


@compiled
def _project(p, r, begin, end, shrink, n, length):
    """Divide vectors of all channels and some axes by their lengths, where those are above one."""
    one = length.dtype.type(1)
    length[:] = 0
    for c in range(len(p)):
        for i in range(begin, end):
            part = p[c, i, r]
            for j in range(len(length)):
                length[j] += part[j] * part[j]
    if len(shrink):
        weight = shrink[n, r]
        for j in range(len(length)):
            length[j] *= weight[j]
    for j in range(len(length)):
        length[j] = one / math.sqrt(max(length[j], one))
    for c in range(len(p)):
        for i in range(begin, end):
            part = p[c, i, r]
            for j in range(len(length)):
                part[j] *= length[j]


@compiled
def _fall(y, x, z, down, before, right, c0, c1, pull, sigma, ahead):
    """``x + dx`` and ``sigma (x + dx) + theta sigma dx`` with ``dx = pull (y - D* p - x)``."""
    step = (((y[0] - x[0]) + (down[0] - before[0]) * c0) + right[0] * c1) * pull
    x[0] += step
    z[0] = x[0] * sigma + step * ahead
    for j in range(1, len(y)):
        step = (y[j] - x[j]) + (down[j] - before[j]) * c0
        step = (step + (right[j] - right[j - 1]) * c1) * pull
        x[j] += step
        z[j] = x[j] * sigma + step * ahead


@compiled
def measure(y, x, p, radius, c0, c1, exponent, begin, height, sums):
    """Sum what the gap consists of, over the rows of every block of an image.

    Parameters
    ----------
    radius : array ``(N, R, W)``, or ``(0, 0, 0)``
    begin, height : int
        The first row of the first block, and the rows of a block.
    sums : float64 array ``(N, blocks, 2 groups + 3 channels, W)``
        Lengths of differences and what the dual variables lack of them, for each group; squares of
        ``y - x``, ``r - x`` and ``r`` for each channel, ``r = y - D* p``. Overwritten.
    """
    count, channels, rows, columns = y.shape
    groups = 2 * (2 // exponent)
    length, pairing = np.empty(columns, y.dtype), np.empty(columns, y.dtype)
    zero = np.zeros(columns, y.dtype)
    sums[:] = 0
    for n in range(count):
        for block in range(sums.shape[1]):
            top = begin + block * height
            for r in range(top, min(top + height, rows)):
                for i in range(0, 2, exponent):
                    length[:] = 0
                    pairing[:] = 0
                    for c in range(channels):
                        if i == 0:
                            _pair(x[n, c], p[n, c, 0], r, c0, length, pairing)
                        if i + exponent == 2:
                            _pair_right(x[n, c, r], p[n, c, 1, r], c1, length, pairing)
                    for j in range(columns):
                        length[j] = math.sqrt(length[j])
                    if len(radius):
                        for j in range(columns):
                            length[j] *= radius[n, r, j]
                    for j in range(columns):
                        sums[n, block, 2 * i, j] += length[j]
                        sums[n, block, 2 * i + 1, j] += length[j] - pairing[j]
                for c in range(channels):
                    before = p[n, c, 0, r - 1] if r > 0 else zero
                    _misfits(y[n, c, r], x[n, c, r], p[n, c, 0, r], before, p[n, c, 1, r], c0, c1,
                             sums[n, block, groups + 3 * c :])  # fmt: skip


@compiled
def _pair(x, p, r, c, length, pairing):
    """Add ``|d|^2`` and ``d p`` for differences along the columns."""
    if r + 1 == len(x):
        return
    for j in range(len(length)):
        d = (x[r + 1, j] - x[r, j]) * c
        pairing[j] += d * p[r, j]
        length[j] += d * d


@compiled
def _pair_right(x, p, c, length, pairing):
    """Add ``|d|^2`` and ``d p`` for differences along a row."""
    for j in range(len(length) - 1):
        d = (x[j + 1] - x[j]) * c
        pairing[j] += d * p[j]
        length[j] += d * d


@compiled
def _misfits(y, x, down, before, right, c0, c1, sums):
    for j in range(len(y)):
        flux = right[j] - right[j - 1] if j > 0 else right[j]
        misfit = y[j] - x[j]
        rest = (misfit + (down[j] - before[j]) * c0) + flux * c1
        whole = rest + x[j]
        sums[0, j] += misfit * misfit
        sums[1, j] += rest * rest
        sums[2, j] += whole * whole
