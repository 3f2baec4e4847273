"""The loops of `operators.tomography.interpolated.plane`, pixel by pixel.

A view is two affine functions of a pixel, ``(i + 1) U`` and U, where ``i`` is the bin of its shadow
and U its depth. Data have one zero before and two after their bins, so that a shadow outside of the
detector is moved to its ends.
"""

import numpy as np

from odl_learned.compiled.compiler import compiled


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
            _add(data[v], shadow, maps[v, 0, 1], depth, maps[v, 1, 1], y, total[i])


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
