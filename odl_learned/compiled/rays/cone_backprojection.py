"""The loops of `operators.tomography.interpolated.cone`, in tiles of a volume.

The voxels above a pixel ``(x, y)`` have their shadows between the same two columns of a detector,
at places that are equally far apart. So the two columns are blended once, into a line along which
the voxels interpolate. A tile of pixels stays in the cache, with the columns that it sees.
"""

import numpy as np

from odl_learned.compiled.compiler import compiled

#: Pixels of a tile along x and y.
TILE = 8


@compiled
def backproject(data, maps, rows, x, y, z, total):
    """Set a part of a volume to the sum over all views.

    Parameters
    ----------
    data : array ``(V, nu + 3, nv + 3)``
        With one zero before the bins of each axis, and two after them.
    maps : float64 array ``(V, 2, 3)``
        ``(column + 1) U`` and the depth U by x, y and 1.
    rows : float64 array ``(V, 3)``
        ``foot + 1``, ``slope`` and ``height``: of row ``foot + slope (z - height) / U``.
    x, y, z : float64 arrays ``(nx,)``, ``(ny,)``, ``(nz,)``
    total : array ``(nx, ny, nz)``
    """
    sums = np.empty((TILE, TILE, len(z)))
    line = np.empty(data.shape[2], data.dtype)
    for i0 in range(0, len(x), TILE):
        for j0 in range(0, len(y), TILE):
            i1, j1 = min(i0 + TILE, len(x)), min(j0 + TILE, len(y))
            sums[:] = 0
            for v in range(len(maps)):
                for i in range(i0, i1):
                    for j in range(j0, j1):
                        column, fraction, depth = _column(maps[v], x[i], y[j], data.shape[1])
                        if depth > 0:
                            _blend(data[v, column], data[v, column + 1], fraction, line)
                            _add(line, rows[v], depth, z, sums[i - i0, j - j0])
            for i in range(i0, i1):
                for j in range(j0, j1):
                    for k in range(len(z)):
                        total[i, j, k] = sums[i - i0, j - j0, k]


@compiled
def spread(volume, maps, rows, x, y, z, result):
    """Spread each voxel to four bins of every view, ``(V, nu, nv)``."""
    nu, nv = result.shape[1:]
    before, after = np.empty((nu + 3, nv + 3)), np.empty((nu + 3, nv + 3))
    below, above = np.empty(nv + 3), np.empty(nv + 3)
    for v in range(len(maps)):
        before[:] = 0
        after[:] = 0
        for i in range(len(x)):
            for j in range(len(y)):
                column, fraction, depth = _column(maps[v], x[i], y[j], nu + 3)
                if depth > 0:
                    _scatter(volume[i, j], rows[v], depth, z, below, above)
                    _share(below, above, fraction, before[column], after[column])
        for i in range(nu):
            for k in range(nv):
                result[v, i, k] = before[i + 1, k + 1] + after[i, k + 1]


@compiled
def _column(view, x, y, length):
    """Column, fraction and depth of a pixel; a column outside of the detector is one of zeros."""
    shadow = (view[0, 0] * x + view[0, 2]) + view[0, 1] * y
    depth = (view[1, 0] * x + view[1, 2]) + view[1, 1] * y
    place = min(max(shadow / depth, 0.0), float(length - 2)) if depth > 0 else 0.0
    column = int(place)
    return column, np.float32(place - column), depth


@compiled
def _blend(first, second, fraction, line):
    one = np.float32(1)
    for k in range(len(line)):
        line[k] = (one - fraction) * first[k] + fraction * second[k]


@compiled
def _add(line, rows, depth, z, sums):
    one, end = np.float32(1), float(len(line) - 2)
    foot, height, tall = rows[0], rows[2], rows[1] / depth
    weight = np.float32(1 / (depth * depth))
    for k in range(len(z)):
        place = min(max(foot + tall * (z[k] - height), 0.0), end)
        row = np.uint32(np.int32(place))
        fraction = np.float32(place - row)
        sums[k] += weight * ((one - fraction) * line[row] + fraction * line[row + np.uint32(1)])


@compiled
def _scatter(values, rows, depth, z, below, above):
    one, end = np.float32(1), float(len(below) - 2)
    foot, height, tall = rows[0], rows[2], rows[1] / depth
    weight = np.float32(1 / (depth * depth))
    below[:] = 0
    above[:] = 0
    for k in range(len(z)):
        place = min(max(foot + tall * (z[k] - height), 0.0), end)
        row = np.int32(place)
        fraction = np.float32(place - row)
        value = weight * np.float64(values[k])
        below[row] += (one - fraction) * value
        above[row + 1] += fraction * value


@compiled
def _share(below, above, fraction, before, after):
    one = np.float32(1)
    for k in range(len(below)):
        value = below[k] + above[k]
        before[k] += (one - fraction) * value
        after[k] += fraction * value
