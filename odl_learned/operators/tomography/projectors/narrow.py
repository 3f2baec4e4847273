"""Products of a matrix with several columns at once, with column numbers of 16 bits.

What a product with few columns costs is reading the matrix. An entry has four bytes of value and
four of its column; of these, two are enough within a panel of 2^16 columns.
"""

import numpy as np

from odl_learned import compiled

PANEL = 2**16


class NarrowMatrix:
    """A compressed matrix in single precision, with the values of another one.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix
        With sorted columns and float32 values, which are not copied.
    """

    def __init__(self, matrix):
        self.shape, self.values = matrix.shape, matrix.data
        self.columns = (matrix.indices & (PANEL - 1)).astype(np.uint16)
        rows, panels = matrix.shape[0], max(1, -(-matrix.shape[1] // PANEL))
        row = np.repeat(np.arange(rows), np.diff(matrix.indptr))
        counts = np.bincount(row * panels + matrix.indices // PANEL, minlength=rows * panels)
        self.splits = np.empty((rows, panels + 1), np.uint64)
        self.splits[:, 0] = matrix.indptr[:-1]
        self.splits[:, 1:] = matrix.indptr[:-1, None] + counts.reshape(rows, panels).cumsum(1)

    @property
    def nbytes(self):
        """Memory in bytes beside the values."""
        return self.columns.nbytes + self.splits.nbytes

    def product(self, x):
        """Return ``M x`` for an array ``(columns of M, B)`` with ``B`` in {1, 4, 8}.

        Columns are added up in the order of the matrix, as by SciPy, with the same bits.
        """
        from odl_learned.compiled.rays import sparse

        loop = {1: sparse.by_one, 4: sparse.by_four, 8: sparse.by_eight}[x.shape[1]]
        out = np.empty((self.shape[0], x.shape[1]), np.float32)
        parts = self.splits, self.columns, self.values, x, out
        compiled.run_all(loop, [(*parts, begin, end) for begin, end in
                                compiled.shares(self.shape[0], self.values.size)])  # fmt: skip
        return out
