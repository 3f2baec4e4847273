"""Projections of the vectors of a field onto a ball, of `bridge.proximals.norms`, in one pass."""

import math

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
