"""Vectors of fields in one pass: projections onto a ball, of `bridge.proximals.norms`, and lengths.
"""

import math

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def project_pairs(v, out, radius, largest):
    """``radius / |v_j| v_j`` where ``|v_j|`` is larger than ``largest``, else ``v_j``.

    Parameters
    ----------
    v, out : arrays ``(N, 2, M)``
    radius, largest : numbers of their dtype
    """
    for n in range(len(v)):
        _project(v[n, 0], v[n, 1], out[n, 0], out[n, 1], radius, largest)


# As a function of its own the compiler sees that rows are contiguous, and computes several at once.
@compiled
def _project(first, second, one, two, radius, largest):
    for j in range(len(first)):
        a, b = first[j], second[j]
        size = math.sqrt(a * a + b * b)
        factor = radius / (size if size > largest else radius)
        one[j] = factor * a
        two[j] = factor * b


@compiled
def largest_squares(v, largest):
    """The largest square of the length of the vectors of every sample, in double precision.

    Parameters
    ----------
    v : array ``(N, d, M)``
    largest : float64 array ``(N,)``
        Overwritten.
    """
    count, fields, pixels = v.shape
    squares = np.empty(512)
    for n in range(count):
        largest[n] = 0.0
        for begin in range(0, pixels, len(squares)):
            part = squares[: min(len(squares), pixels - begin)]
            part[:] = 0
            for i in range(fields):
                _add_squares(v[n, i, begin : begin + len(part)], part)
            here = _largest(part)
            if not here <= largest[n]:  # what is not a number remains
                largest[n] = here
            if here != here:
                break


@compiled
def _add_squares(v, squares):
    for j in range(len(squares)):
        squares[j] += np.float64(v[j]) * np.float64(v[j])


@compiled
def _largest(squares):
    largest, wrong = 0.0, False
    for j in range(len(squares)):
        wrong |= squares[j] != squares[j]
        largest = squares[j] if squares[j] > largest else largest
    return np.nan if wrong else largest
