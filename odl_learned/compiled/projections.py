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
        first, second, one, two = v[n, 0], v[n, 1], out[n, 0], out[n, 1]
        for j in range(len(first)):
            size = math.sqrt(first[j] * first[j] + second[j] * second[j])
            factor = radius / (radius if size <= largest else size)
            one[j] = factor * first[j]
            two[j] = factor * second[j]
