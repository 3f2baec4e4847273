"""Joseph's projector of cone beams, and its transpose with the same weights, along the columns.

Of ``operators.tomography.cone.joseph``. Everything is in voxels: the centers of a volume
``(n_0, n_1, n_2)`` have whole coordinates, and it is zero where there are none. A ray is
``a + t d``; along the axis ``m`` of the largest component of ``d``, it takes from every slice ``k``
the value at ``t = (k - a_m) / d_m``, by linear interpolation along the two other axes.

Bins of a column of the detector, ``a + t (d + j v)``, share ``m``, ``t``, and the place across the
last axis, if ``v`` points along it: both rows of voxels there are mixed once, in memory that is
contiguous, and all bins take their values from the mixture.

Places are computed in double precision, by the same operations in both directions.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def project(volume, sources, corners, across, along, sides, begin, end, out):
    """``M x`` in some columns of the detector, numbered through all views.

    Parameters
    ----------
    volume : array ``(n_0, n_1, n_2)``, real
    sources, corners, across, along : arrays ``(V, 3)``
        In voxels.
    sides : array ``(3,)``
        Of voxels.
    out : array ``(V, columns, bins)``
    """
    columns, bins = out.shape[1:]
    line = np.zeros(volume.shape[2] + 2, volume.dtype)
    d, v = np.empty(3), np.empty(3)
    shape = np.array(volume.shape)
    for item in range(begin, end):
        view, column = item // columns, item % columns
        a, sums = sources[view], out[view, column]
        _aim(a, corners[view], across[view], along[view], column, d, v)
        first, last, m = _shared(d, v, bins)
        sums[:] = 0
        if first < last:
            low, high = _ahead(a, d, m, shape[m])
            for k in range(low, high):
                t = (k - a[m]) / d[m]
                y = a[1 - m] + t * d[1 - m]
                if -1 < y < shape[1 - m]:
                    base, step = a[2] + t * d[2] + 1, t * v[2]
                    lower, upper = _inside(base, step, first, last, shape[2] + 1)
                    if lower < upper:
                        _take(volume, m, k, y, line, base, step, lower, upper, sums)
        for j in range(bins):
            if j < first or j >= last:
                sums[j] = _ray_sum(volume, a, d, v, j)
            sums[j] *= _length(d, v, j, sides)


@compiled
def backproject(data, sources, corners, across, along, sides, begin, end, out):
    """``M^T y`` in the slices from ``begin`` to ``end`` of the first axis, of all views.

    Every voxel adds up in one order, whichever slices are computed together.

    Parameters
    ----------
    data : array ``(V, columns, bins)``, real
    out : array ``(n_0, n_1, n_2)``
        Overwritten in those slices.
    """
    columns, bins = data.shape[1:]
    line = np.zeros(out.shape[2] + 2, out.dtype)
    values = np.empty(bins, out.dtype)
    d, v = np.empty(3), np.empty(3)
    shape = np.array(out.shape)
    out[begin:end] = 0
    for item in range(len(data) * columns):
        view, column = item // columns, item % columns
        a = sources[view]
        _aim(a, corners[view], across[view], along[view], column, d, v)
        first, last, m = _shared(d, v, bins)
        for j in range(bins):
            values[j] = data[view, column, j] * _length(d, v, j, sides)
        if first < last:
            low, high = _ahead(a, d, m, shape[m])
            if m == 0:
                low, high = max(low, begin), min(high, end)
            for k in range(low, high):
                t = (k - a[m]) / d[m]
                y = a[1 - m] + t * d[1 - m]
                if (m == 0 and -1 < y < shape[1]) or (m == 1 and begin - 1 < y < end):
                    base, step = a[2] + t * d[2] + 1, t * v[2]
                    lower, upper = _inside(base, step, first, last, shape[2] + 1)
                    if lower < upper:
                        _give(out, m, k, y, begin, end, line, base, step, lower, upper, values)
        for j in range(bins):
            if j < first or j >= last:
                _ray_spread(out, a, d, v, j, begin, end, values[j])


@compiled
def _aim(a, corner, across, along, column, d, v):
    """From the source to the first bin of a column, and from bin to bin."""
    for i in range(3):
        d[i] = corner[i] + column * across[i] - a[i]
        v[i] = along[i]


@compiled
def _main(x, y, z):
    """The axis of the largest component, the first of them."""
    x, y, z = abs(x), abs(y), abs(z)
    if x >= y and x >= z:
        return 0
    return 1 if y >= z else 2


@compiled
def _shared(d, v, bins):
    """The bins of a column that share a main axis and their places across the last, and the axis.

    ``|d_2 + j v_2|`` is convex in ``j``, and so is what rounding makes of it.
    """
    m = _main(d[0], d[1], 0.0)
    if v[0] != 0 or v[1] != 0 or d[m] == 0:
        return 0, 0, m
    first, last = 0, bins
    while first < last and abs(d[2] + first * v[2]) > abs(d[m]):
        first += 1
    while first < last and abs(d[2] + (last - 1) * v[2]) > abs(d[m]):
        last -= 1
    return first, last, m


@compiled
def _ahead(a, d, m, count):
    """The slices with ``t > 0``."""
    if d[m] > 0:
        return (max(0, min(count, math.floor(a[m]) + 1)), count)
    return (0, max(0, min(count, math.ceil(a[m]))))


@compiled
def _inside(base, step, first, last, end):
    """The bins with ``0 < base + step j < end``; what rounding makes of it is monotone in ``j``."""
    lower, upper = first, last
    if step != 0:  # where it is tiny, quotients are no longer whole numbers of 64 bits
        one, two = -base / step, (end - base) / step
        lower = int(max(float(first), min(float(last), np.floor(min(one, two)))))
        upper = int(min(float(last), max(float(first), np.ceil(max(one, two)) + 1)))
    while lower < upper and not 0 < base + step * lower < end:
        lower += 1
    while lower < upper and not 0 < base + step * (upper - 1) < end:
        upper -= 1
    return lower, upper


@compiled
def _cells(base, step, lower, upper):
    """The cells of a line that some bins touch."""
    one, two = int(base + step * lower), int(base + step * (upper - 1))
    return min(one, two), max(one, two) + 2


@compiled
def _take(volume, m, k, y, line, base, step, lower, upper, sums):
    """Add the values at ``base + step j`` of the mixture of two rows, which begins at one."""
    row = math.floor(y)
    weight = volume.dtype.type(y - row)
    low, high = _cells(base, step, lower, upper)
    low, high = max(low, 1), min(high, len(line) - 1)
    rows = volume.shape[1 - m]
    if m == 0:
        one, two = volume[k, max(row, 0)], volume[k, min(row + 1, rows - 1)]
    else:
        one, two = volume[max(row, 0), k], volume[min(row + 1, rows - 1), k]
    if row < 0:
        _scale(two[low - 1 : high - 1], weight, line[low:high])
    elif row + 1 == rows:
        _scale(one[low - 1 : high - 1], volume.dtype.type(1) - weight, line[low:high])
    else:
        _mix(one[low - 1 : high - 1], two[low - 1 : high - 1], weight, line[low:high])
    for j in range(lower, upper):
        z = base + step * j
        cell = int(z)
        part = line.dtype.type(z - cell)
        sums[j] += line[cell] + part * (line[cell + 1] - line[cell])


@compiled
def _mix(one, two, weight, line):
    for i in range(len(line)):
        line[i] = one[i] + weight * (two[i] - one[i])


@compiled
def _scale(row, weight, line):
    for i in range(len(line)):
        line[i] = weight * row[i]


@compiled
def _give(out, m, k, y, begin, end, line, base, step, lower, upper, values):
    """The transpose of `_take`, to rows in the slices from ``begin`` to ``end``."""
    low, high = _cells(base, step, lower, upper)
    line[low:high] = 0
    for j in range(lower, upper):
        z = base + step * j
        cell = int(z)
        part = line.dtype.type(z - cell) * values[j]
        line[cell] += values[j] - part
        line[cell + 1] += part
    low, high = max(low, 1), min(high, len(line) - 1)
    row = math.floor(y)
    weight = out.dtype.type(y - row)
    if m == 0:
        if row >= 0:
            _add(line[low:high], out.dtype.type(1) - weight, out[k, row, low - 1 : high - 1])
        if row + 1 < out.shape[1]:
            _add(line[low:high], weight, out[k, row + 1, low - 1 : high - 1])
    else:
        if row >= begin:
            _add(line[low:high], out.dtype.type(1) - weight, out[row, k, low - 1 : high - 1])
        if row + 1 < end:
            _add(line[low:high], weight, out[row + 1, k, low - 1 : high - 1])


@compiled
def _add(line, weight, row):
    for i in range(len(line)):
        row[i] += weight * line[i]


@compiled
def _length(d, v, j, sides):
    """The length of a ray in a slice, ``|d| / |d_m|``."""
    x, y, z = d[0] + j * v[0], d[1] + j * v[1], d[2] + j * v[2]
    square = (x * sides[0]) ** 2 + (y * sides[1]) ** 2 + (z * sides[2]) ** 2
    return math.sqrt(square) / max(abs(x), abs(y), abs(z))


@compiled
def _ray_sum(volume, a, d, v, j):
    """The sum along one ray, of any direction."""
    ray = np.array((d[0] + j * v[0], d[1] + j * v[1], d[2] + j * v[2]))
    m = _main(ray[0], ray[1], ray[2])
    p, q = (1 if m == 0 else 0), (1 if m == 2 else 2)
    low, high = _ahead(a, ray, m, volume.shape[m])
    total = volume.dtype.type(0)
    index = np.empty(3, np.int64)
    for k in range(low, high):
        t = (k - a[m]) / ray[m]
        y, z = a[p] + t * ray[p], a[q] + t * ray[q]
        if -1 < y < volume.shape[p] and -1 < z < volume.shape[q]:
            row, cell = math.floor(y), math.floor(z)
            index[m] = k
            for i in range(2):
                for h in range(2):
                    index[p], index[q] = row + i, cell + h
                    if 0 <= row + i < volume.shape[p] and 0 <= cell + h < volume.shape[q]:
                        weight = volume.dtype.type(
                            (1 - abs(y - (row + i))) * (1 - abs(z - (cell + h))))
                        total += weight * volume[index[0], index[1], index[2]]
    return total


@compiled
def _ray_spread(out, a, d, v, j, begin, end, value):
    """The transpose of `_ray_sum`."""
    ray = np.array((d[0] + j * v[0], d[1] + j * v[1], d[2] + j * v[2]))
    m = _main(ray[0], ray[1], ray[2])
    p, q = (1 if m == 0 else 0), (1 if m == 2 else 2)
    low, high = _ahead(a, ray, m, out.shape[m])
    if m == 0:
        low, high = max(low, begin), min(high, end)
    index = np.empty(3, np.int64)
    for k in range(low, high):
        t = (k - a[m]) / ray[m]
        y, z = a[p] + t * ray[p], a[q] + t * ray[q]
        if -1 < y < out.shape[p] and -1 < z < out.shape[q]:
            row, cell = math.floor(y), math.floor(z)
            index[m] = k
            for i in range(2):
                for h in range(2):
                    index[p], index[q] = row + i, cell + h
                    if (0 <= row + i < out.shape[p] and 0 <= cell + h < out.shape[q]
                            and begin <= index[0] < end):
                        weight = out.dtype.type(
                            (1 - abs(y - (row + i))) * (1 - abs(z - (cell + h))))
                        out[index[0], index[1], index[2]] += weight * value
