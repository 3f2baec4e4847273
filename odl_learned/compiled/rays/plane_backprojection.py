"""The loops of `operators.tomography.interpolated.plane`, pixel by pixel.

A view is two affine functions of a pixel, ``(i + 1) U`` and U, where ``i`` is the bin of its shadow
and U its depth. Data have one zero before and two after their bins, so that a shadow outside of the
detector is moved to its ends.
"""

import numpy as np

from odl_learned.compiled.compiler import compiled

#: Pixels of a row that are computed together, with all of their slices.
TILE = 32


@compiled
def backproject(data, maps, x, y, total):
    """Add all views to rows of an image.

    Parameters
    ----------
    data : array ``(V, n + 3)``
    maps : float64 array ``(V, 2, 3)``
    x, y : float64 arrays ``(nx,)``, ``(ny,)``
    total : float64 array ``(nx, ny)``
    """
    for i in range(len(x)):
        for v in range(len(maps)):
            shadow = maps[v, 0, 0] * x[i] + maps[v, 0, 2]
            depth = maps[v, 1, 0] * x[i] + maps[v, 1, 2]
            if depth == 1 and maps[v, 1, 1] == 0:
                _add_parallel(data[v], shadow, maps[v, 0, 1], y, total[i])
            else:
                _add(data[v], shadow, maps[v, 0, 1], depth, maps[v, 1, 1], y, total[i])


@compiled
def _add_parallel(data, shadow, slope, y, total):
    """`_add` at the depth 1, with the same bits."""
    one, end = np.float32(1), float(len(data) - 2)
    for j in range(len(y)):
        place = min(max(shadow + slope * y[j], 0.0), end)
        k = np.uint32(np.int32(place))
        fraction = np.float32(place - k)
        total[j] += (one - fraction) * data[k] + fraction * data[k + np.uint32(1)]


@compiled
def _add(data, shadow, shadow_slope, depth, depth_slope, y, total):
    one, end = np.float32(1), float(len(data) - 2)
    for j in range(len(y)):
        distance = depth + depth_slope * y[j]
        seen = distance > 0
        distance = distance if seen else 1.0
        place = (shadow + shadow_slope * y[j]) / distance
        place = min(max(place, 0.0), end) if seen else 0.0
        k = np.uint32(np.int32(place))
        fraction = np.float32(place - k)
        weight = np.float32(1 / (distance * distance) if seen else 0.0)
        total[j] += weight * ((one - fraction) * data[k] + fraction * data[k + np.uint32(1)])


@compiled
def spread(image, maps, x, y, result):
    """Spread each pixel of an image ``(nx, ny)`` to two bins of every view, ``(V, n)``."""
    n = result.shape[1]
    one, end = np.float32(1), float(n + 1)
    before, after = np.empty(n + 3), np.empty(n + 3)
    for v in range(len(maps)):
        before[:] = 0
        after[:] = 0
        for i in range(len(x)):
            shadow = maps[v, 0, 0] * x[i] + maps[v, 0, 2]
            depth = maps[v, 1, 0] * x[i] + maps[v, 1, 2]
            for j in range(len(y)):
                distance = depth + maps[v, 1, 1] * y[j]
                if distance > 0:
                    place = (shadow + maps[v, 0, 1] * y[j]) / distance
                    place = min(max(place, 0.0), end)
                    k = np.int32(place)
                    fraction = np.float32(place - k)
                    part = np.float32(1 / (distance * distance)) * np.float64(image[i, j])
                    before[k] += (one - fraction) * part
                    after[k] += fraction * part
        for k in range(n):
            result[v, k] = before[k + 1] + after[k]


@compiled
def backproject_slices(data, maps, x, y, total):
    """`backproject` for a stack of slices: data ``(V, n + 3, S)``, total ``(nx, ny, S)``."""
    for i in range(len(x)):
        for j0 in range(0, len(y), TILE):
            for v in range(len(maps)):
                for j in range(j0, min(j0 + TILE, len(y))):
                    k, fraction, weight = _place(maps[v], x[i], y[j], data.shape[1])
                    _add_slices(data[v, k], data[v, k + 1], fraction, weight, total[i, j])


@compiled
def spread_slices(volume, maps, x, y, result):
    """`spread` for a stack of slices: volume ``(nx, ny, S)``, result ``(V, n, S)``."""
    n, slices = result.shape[1:]
    before, after = np.empty((n + 3, slices)), np.empty((n + 3, slices))
    for v in range(len(maps)):
        before[:] = 0
        after[:] = 0
        for i in range(len(x)):
            for j in range(len(y)):
                k, fraction, weight = _place(maps[v], x[i], y[j], n + 3)
                _share(volume[i, j], fraction, weight, before[k], after[k])
        for k in range(n):
            for s in range(slices):
                result[v, k, s] = before[k + 1, s] + after[k, s]


@compiled
def _place(view, x, y, length):
    """Bin, fraction and weight of a pixel."""
    shadow = (view[0, 0] * x + view[0, 2]) + view[0, 1] * y
    depth = (view[1, 0] * x + view[1, 2]) + view[1, 1] * y
    if depth <= 0:
        return 0, np.float32(0), np.float32(0)
    place = min(max(shadow / depth, 0.0), float(length - 2))
    k = int(place)
    return k, np.float32(place - k), np.float32(1 / (depth * depth))


@compiled
def _add_slices(first, second, fraction, weight, total):
    one = np.float32(1)
    for s in range(len(total)):
        total[s] += weight * ((one - fraction) * first[s] + fraction * second[s])


@compiled
def _share(values, fraction, weight, before, after):
    one = np.float32(1)
    for s in range(len(values)):
        part = weight * np.float64(values[s])
        before[s] += (one - fraction) * part
        after[s] += fraction * part
