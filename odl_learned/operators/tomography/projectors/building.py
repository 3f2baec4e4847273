"""The matrix of a projector, a few views at a time.

ASTRA returns a matrix in double precision, beside which its own copy and the one in single
precision lie in memory. Of a few views at a time, all that is small; the entries are copied into
arrays that grow and shrink in place.
"""

import numpy as np
import scipy.sparse
from odl.applications.tomo.backends import astra_setup

#: At most about so many entries at a time, of which ASTRA and SciPy keep copies.
ENTRIES = 2**20


def built_matrix(geometry):
    """Return the matrix of a projector on the CPU, a ``csr_matrix`` in single precision.

    Parameters
    ----------
    geometry : RayGeometry
        In the plane, with a projector of ASTRA that runs on the CPU.
    """
    views, bins = geometry.target
    together = max(1, ENTRIES // (bins * 2 * max(geometry.source)))
    growing = _Growing(geometry.expected_bytes // 16)
    for start in range(0, views, together):
        growing.append(_part(geometry.of_views(slice(start, start + together))))
    return growing.matrix(geometry.matrix_shape)


class _Growing:
    """Rows of a matrix, appended to arrays that start with so many entries."""

    def __init__(self, entries):
        self.values, self.columns = np.empty(entries, np.float32), np.empty(entries, np.int32)
        self.starts, self.count = [np.zeros(1, np.int64)], 0

    def append(self, part):
        end = self.count + part.nnz
        if end > len(self.values):
            self._resize(end + end // 16)
        self.values[self.count : end], self.columns[self.count : end] = part.data, part.indices
        self.starts.append(self.count + part.indptr[1:].astype(np.int64))
        self.count = end

    def matrix(self, shape):
        self._resize(self.count)
        starts = np.concatenate(self.starts)
        return scipy.sparse.csr_matrix((self.values, self.columns, starts), shape=shape)

    def _resize(self, entries):
        """Change the length; the system moves pages of memory and copies nothing."""
        for array in (self.values, self.columns):
            array.resize(entries, refcheck=False)


def _part(geometry):
    """ASTRA's matrix of all views of a geometry, its columns sorted in every row."""
    astra, projector = astra_setup.astra, geometry.create_projector()
    try:
        number = astra.projector.matrix(projector)
        try:
            part = astra.matrix.get(number).tocsr()
        finally:
            astra.matrix.delete(number)
    finally:
        astra.projector.delete(projector)
    part.sum_duplicates()  # sorts the columns, too
    return part
