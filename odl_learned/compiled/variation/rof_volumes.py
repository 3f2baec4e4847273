"""The sweeps of `solvers.variation.rof_iteration` for volumes: iterations one slab apart.

As in `rof`, with slabs in the place of rows: iteration ``k`` reads ``z`` of iteration ``k - 1`` in
a slab and the one after, and ``p`` of its own in a slab and the one before.

Volumes are ``(N, C, R, M)``, fields ``(N, C, 3, R, M)``: samples, channels, axes, slabs, and the
entries of a slab, lines of ``width`` one after the other. A difference is one of two entries at a
distance of ``M``, ``width`` or one; where it would leave its line or its slab, fields are zero, so
that transposes need not ask.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def sweep(y, x, z, p, shrink, steps, c0, c1, c2, width, exponent, first, last):
    """Iterate once for every row of ``steps``, in place.

    Parameters
    ----------
    shrink : array ``(N, R, M)``, or ``(0, 0, 0)``
        ``w^-2`` for weights ``w`` of voxels.
    steps : array ``(T, 3)``
        ``tau / (1 + tau)``, ``sigma``, ``theta sigma``.
    c0, c1, c2
        Factors of the differences, numbers of the dtype.
    width : int
        Entries of a line.
    exponent : {2, 1}
    first, last : bool
        Whether the first and last slabs are those of the volumes. Where they are not, one slab more
        is wrong after each iteration.
    """
    count, channels, slabs, entries = y.shape
    length, zero = np.empty(entries, y.dtype), np.zeros(entries, y.dtype)
    for n in range(count):
        for front in range(slabs + len(steps) - 1):
            for k in range(len(steps)):
                r = front - k
                if r < (0 if first else k) or r >= (slabs if last else slabs - 1 - k):
                    continue
                for c in range(channels):
                    ahead = z[n, c, r + 1] if r + 1 < slabs else zero
                    _rise(z[n, c, r], ahead, r + 1 < slabs, p[n, c, 0, r], p[n, c, 1, r],
                          p[n, c, 2, r], c0, c1, c2, width)  # fmt: skip
                if channels == 1 and exponent == 2 and len(shrink) == 0:
                    _project_triples(p[n, 0, 0, r], p[n, 0, 1, r], p[n, 0, 2, r])
                else:
                    for i in range(1 if exponent == 2 else 3):
                        _project(p[n], r, i, 3 if exponent == 2 else i + 1, shrink, n, length)
                for c in range(channels):
                    before = p[n, c, 0, r - 1] if r > 0 else zero
                    _fall(y[n, c, r], x[n, c, r], z[n, c, r], p[n, c, 0, r], before, p[n, c, 1, r],
                          p[n, c, 2, r], c0, c1, c2, width, steps[k, 0], steps[k, 1],
                          steps[k, 2], zero)  # fmt: skip


@compiled
def _rise(here, ahead, inside, down, back, right, c0, c1, c2, width):
    """``p + D z``."""
    if inside:
        _add_difference(here, ahead, down, c0)
    else:
        down[:] = 0
    whole = len(here) - width
    _add_difference(here[:whole], here[width:], back, c1)
    back[whole:] = 0
    _add_difference(here[:-1], here[1:], right, c2)
    for j in range(width - 1, len(here), width):
        right[j] = 0


# Shifted entries are slices of their own: an index that might be negative is looked at, one by one.
@compiled
def _add_difference(here, ahead, p, c):
    for j in range(len(here)):
        p[j] += (ahead[j] - here[j]) * c


@compiled
def _project_triples(down, back, right):
    """`_project` where nothing else is needed, in one pass."""
    one = down.dtype.type(1)
    for j in range(len(down)):
        square = (down[j] * down[j] + back[j] * back[j]) + right[j] * right[j]
        factor = one / math.sqrt(max(square, one))
        down[j] *= factor
        back[j] *= factor
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
def _fall(y, x, z, down, before, back, right, c0, c1, c2, width, pull, sigma, ahead, zero):
    """``x + dx`` and ``sigma (x + dx) + theta sigma dx`` with ``dx = pull (y - D* p - x)``."""
    _fall_along(y[:1], x[:1], z[:1], down, before, back, zero, right, zero, c0, c1, c2, pull, sigma,
                ahead)  # fmt: skip
    _fall_along(y[1:width], x[1:width], z[1:width], down[1:], before[1:], back[1:], zero, right[1:],
                right, c0, c1, c2, pull, sigma, ahead)  # fmt: skip
    _fall_along(y[width:], x[width:], z[width:], down[width:], before[width:], back[width:], back,
                right[width:], right[width - 1 :], c0, c1, c2, pull, sigma, ahead)  # fmt: skip


@compiled
def _fall_along(y, x, z, down, above, back, front, right, left, c0, c1, c2, pull, sigma, ahead):
    for j in range(len(y)):
        step = ((y[j] - x[j]) + (down[j] - above[j]) * c0) + (back[j] - front[j]) * c1
        step = (step + (right[j] - left[j]) * c2) * pull
        x[j] += step
        z[j] = x[j] * sigma + step * ahead


@compiled
def measure(y, x, p, radius, c0, c1, c2, width, exponent, begin, height, sums):
    """Sum what the gap consists of, over the slabs of every block of a volume.

    Parameters
    ----------
    radius : array ``(N, R, M)``, or ``(0, 0, 0)``
    begin, height : int
        The first slab of the first block, and the slabs of a block.
    sums : float64 array ``(N, blocks, 2 groups + 3 channels, M)``
        Lengths of differences and what the dual variables lack of them, for each group; squares of
        ``y - x``, ``r - x`` and ``r`` for each channel, ``r = y - D* p``. Overwritten.
    """
    count, channels, slabs, entries = y.shape
    groups = 1 if exponent == 2 else 3
    length, pairing = np.empty(entries, y.dtype), np.empty(entries, y.dtype)
    zero = np.zeros(entries, y.dtype)
    sums[:] = 0
    for n in range(count):
        for block in range(sums.shape[1]):
            top = begin + block * height
            for r in range(top, min(top + height, slabs)):
                for i in range(groups):
                    length[:] = 0
                    pairing[:] = 0
                    for c in range(channels):
                        here = x[n, c, r]
                        if exponent == 2 or i == 0:
                            if r + 1 < slabs:
                                _pair(here, x[n, c, r + 1], p[n, c, 0, r], c0, length, pairing)
                        if exponent == 2 or i == 1:
                            _pair(here[: entries - width], here[width:], p[n, c, 1, r], c1, length,
                                  pairing)  # fmt: skip
                        if exponent == 2 or i == 2:
                            for j in range(0, entries, width):
                                _pair(here[j : j + width - 1], here[j + 1 : j + width],
                                      p[n, c, 2, r, j:], c2, length[j:], pairing[j:])  # fmt: skip
                    for j in range(entries):
                        length[j] = math.sqrt(length[j])
                    if len(radius):
                        for j in range(entries):
                            length[j] *= radius[n, r, j]
                    for j in range(entries):
                        sums[n, block, 2 * i, j] += length[j]
                        sums[n, block, 2 * i + 1, j] += length[j] - pairing[j]
                for c in range(channels):
                    before = p[n, c, 0, r - 1] if r > 0 else zero
                    _misfits(y[n, c, r], x[n, c, r], p[n, c, 0, r], before, p[n, c, 1, r],
                             p[n, c, 2, r], c0, c1, c2, width, zero,
                             sums[n, block, 2 * groups + 3 * c :])  # fmt: skip


@compiled
def _pair(here, ahead, p, c, length, pairing):
    """Add ``|d|^2`` and ``d p`` for differences of entries."""
    for j in range(len(here)):
        d = (ahead[j] - here[j]) * c
        pairing[j] += d * p[j]
        length[j] += d * d


@compiled
def _misfits(y, x, down, before, back, right, c0, c1, c2, width, zero, sums):
    """Squares of ``y - x``, ``r - x`` and ``r``."""
    _misfits_along(y[:1], x, down, before, back, zero, right, zero, c0, c1, c2, sums)
    _misfits_along(y[1:width], x[1:], down[1:], before[1:], back[1:], zero, right[1:], right, c0,
                   c1, c2, sums[:, 1:])  # fmt: skip
    _misfits_along(y[width:], x[width:], down[width:], before[width:], back[width:], back,
                   right[width:], right[width - 1 :], c0, c1, c2, sums[:, width:])  # fmt: skip


@compiled
def _misfits_along(y, x, down, above, back, front, right, left, c0, c1, c2, sums):
    for j in range(len(y)):
        misfit = y[j] - x[j]
        rest = (misfit + (down[j] - above[j]) * c0) + (back[j] - front[j]) * c1
        rest += (right[j] - left[j]) * c2
        whole = rest + x[j]
        sums[0, j] += misfit * misfit
        sums[1, j] += rest * rest
        sums[2, j] += whole * whole
