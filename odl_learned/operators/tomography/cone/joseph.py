r"""Joseph's projector of cone beams: rows of a matrix, by interpolation in slices of the volume.

In voxels a ray is ``a + t d`` with the source ``a``. With the axis ``m`` of the largest component
of ``d`` and the two others, ``p`` and ``q``,

.. math:: (M u)_{\rm ray} = \frac{|d|}{|d_m|} \sum_{k : t_k > 0} u_k(a_p + t_k d_p, a_q + t_k d_q),
          \qquad t_k = \frac{k - a_m}{d_m},

where ``u_k`` interpolates slice ``k`` linearly along both axes, by voxels that are zero outside of
the volume, and ``|d|`` is the length in the units of the space. So a ray collects from the half
line that begins at its source, and passes through a detector that lies within the volume.

At the border: the sum over slices is the rule of midpoints, whose first and last interval end at
the faces of the volume across ``m``. Across ``p`` and ``q`` interpolation spreads the outermost
voxels by half a voxel beyond the faces and takes as much from inside; integrals across the ray are
those of voxels of constant values.

If two components of ``d`` are equally large, the first axis counts. Rays with
``|d_0| = |d_1|`` that climb are therefore not mapped to each other by quarter turns; all others
are.

Source: P. M. Joseph. An improved algorithm for reprojecting rays through pixel images. IEEE Trans.
Med. Imaging 1(3) (1982), 192-196.
"""

import numpy as np
import scipy.sparse

#: At most about so many entries at a time in the plain form.
ENTRIES = 2**22


def joseph_matrix(geometry, begin, end):
    """Return the rows of some columns of the detector, numbered through all views.

    Parameters
    ----------
    geometry : ConeGeometry
    begin, end : int

    Returns
    -------
    matrix : scipy.sparse.csr_matrix
        In double precision, ``(end - begin) bins`` rows.
    """
    rays, (_, columns, bins) = geometry.rays, geometry.target
    view, column = np.divmod(np.arange(begin, end), columns)
    start = rays.sources[view]
    aims = rays.corners[view] + column[:, None] * rays.across[view] - start
    d = (aims[:, None] + np.arange(bins)[:, None] * rays.along[view, None]).reshape(-1, 3)
    a = np.repeat(start, bins, axis=0)
    axis = np.argmax(np.abs(d), axis=1)
    lengths = np.linalg.norm(d * geometry.sides, axis=1) / np.abs(d).max(axis=1)
    parts = [_entries(a, d, np.flatnonzero(axis == m), m, geometry.source) for m in range(3)]
    rows, voxels, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    shape = len(d), int(np.prod(geometry.source))
    return scipy.sparse.csr_matrix((weights * lengths[rows], (rows, voxels)), shape=shape)


def _entries(a, d, rays, m, shape):
    """Rows, voxels and weights of the rays whose largest component is along axis ``m``."""
    p, q = (i for i in range(3) if i != m)
    a, d, k = a[rays], d[rays], np.arange(shape[m])
    t = (k - a[:, m, None]) / d[:, m, None]
    y, z = (a[:, i, None] + t * d[:, i, None] for i in (p, q))
    seen = (t > 0) & (y > -1) & (y < shape[p]) & (z > -1) & (z < shape[q])
    ray, slab = np.nonzero(seen)
    y, z, index, strides = y[seen], z[seen], [None] * 3, np.cumprod((1, *shape[:0:-1]))[::-1]
    rows, voxels, weights = [], [], []
    for row in (np.floor(y), np.floor(y) + 1):
        for cell in (np.floor(z), np.floor(z) + 1):
            inside = (row >= 0) & (row < shape[p]) & (cell >= 0) & (cell < shape[q])
            index[m], index[p], index[q] = slab, row.astype(int), cell.astype(int)
            rows.append(rays[ray][inside])
            voxels.append(sum(i * n for i, n in zip(index, strides, strict=True))[inside])
            weights.append(((1 - np.abs(y - row)) * (1 - np.abs(z - cell)))[inside])
    return tuple(map(np.concatenate, (rows, voxels, weights)))


def pieces(geometry):
    """Columns of the detector, begins and ends, with about `ENTRIES` entries in their rows."""
    views, columns, bins = geometry.target
    together = max(1, ENTRIES // (4 * bins * max(geometry.source)))
    total = views * columns
    return [(begin, min(begin + together, total)) for begin in range(0, total, together)]
