"""How two pairs of points differ, of `energies.samples`, without arrays for the differences."""

import numpy as np

from odl_learned.compiled.compiler import compiled


@compiled
def compare(x, z, y, w, sums):
    """``|x - z|^2``, ``|y - w|^2`` and ``<y - w, x - z>`` of rows ``(B, n)``, in double precision.

    Parameters
    ----------
    sums : float64 array ``(B, 3)``
        Overwritten.
    """
    for b in range(len(x)):
        sums[b, 0], sums[b, 1], sums[b, 2] = _compare(x[b], z[b], y[b], w[b])


@compiled
def _compare(x, z, y, w):
    first = second = product = 0.0
    for j in range(len(x)):
        way = np.float64(x[j]) - np.float64(z[j])
        change = np.float64(y[j]) - np.float64(w[j])
        first += way * way
        second += change * change
        product += way * change
    return first, second, product
