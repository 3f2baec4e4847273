"""Products of compressed sparse matrices with a few dense columns: `operators.tomography`.

A column number of the matrix is ``2^16 p + c``, and only ``c`` is stored for each entry, so that
less memory has to be read. Row ``r`` has its entries of the panel ``p`` from ``splits[r, p]`` to
``splits[r, p + 1]``. Each column of the product is added up in the order of the matrix, whatever
columns there are beside it: the bits are those of SciPy.

Loops compute the rows from ``begin`` to ``end`` of ``out = M x`` for eight or four columns in line,
or one. What is written out side by side becomes vectors.
"""

import numpy as np
from numba import float32, int64, uint16, uint64, void

from odl_learned.compiled.compiler import compiled_in_vectors

PANEL = 2**16

_signature = void(uint64[:, ::1], uint16[::1], float32[::1], float32[:, ::1], float32[:, ::1],
                  int64, int64)  # fmt: skip


@compiled_in_vectors(_signature)
def by_eight(splits, columns, values, x, out, begin, end):
    """``M x`` for eight columns."""
    for r in range(begin, end):
        a = b = c = d = e = f = g = h = np.float32(0)
        for p in range(splits.shape[1] - 1):
            part = x[p * PANEL :]
            for k in range(splits[r, p], splits[r, p + 1]):
                v, row = values[k], part[columns[k]]
                a += v * row[0]
                b += v * row[1]
                c += v * row[2]
                d += v * row[3]
                e += v * row[4]
                f += v * row[5]
                g += v * row[6]
                h += v * row[7]
        sums, row = (a, b, c, d, e, f, g, h), out[r]
        for i in range(8):
            row[i] = sums[i]


@compiled_in_vectors(_signature)
def by_four(splits, columns, values, x, out, begin, end):
    """``M x`` for four columns."""
    for r in range(begin, end):
        a = b = c = d = np.float32(0)
        for p in range(splits.shape[1] - 1):
            part = x[p * PANEL :]
            for k in range(splits[r, p], splits[r, p + 1]):
                v, row = values[k], part[columns[k]]
                a += v * row[0]
                b += v * row[1]
                c += v * row[2]
                d += v * row[3]
        sums, row = (a, b, c, d), out[r]
        for i in range(4):
            row[i] = sums[i]


@compiled_in_vectors(_signature)
def by_one(splits, columns, values, x, out, begin, end):
    """``M x`` for one column."""
    for r in range(begin, end):
        a = np.float32(0)
        for p in range(splits.shape[1] - 1):
            part = x[p * PANEL :]
            for k in range(splits[r, p], splits[r, p + 1]):
                a += values[k] * part[columns[k], 0]
        out[r, 0] = a
