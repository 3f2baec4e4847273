"""Norms and inner products of the samples of a batch, in double precision."""

from collections.abc import Sequence

import numpy as np
import torch

from odl_learned import compiled
from odl_learned.solvers.arithmetic.row_sums import row_products

#: Numbers of samples, or a boolean for each.
Index = Sequence[int] | slice | np.ndarray | torch.Tensor


def sample_norms(x):
    """Return Euclidean norms of samples, ``(B,)`` in double precision."""
    return torch.linalg.vector_norm(_real(x), dim=1)


def sample_inner(x, y):
    """Return ``Re <x_b, y_b>``, ``(B,)`` in double precision."""
    x, y = _real(x), _real(y)
    if x.device.type == "cpu":
        return torch.from_numpy(row_products(x.numpy(force=True), y.numpy(force=True)))
    return (x * y).sum(1)


def sample_changes(x, z, y, w):
    """Return ``|x_b - z_b|``, ``|y_b - w_b|`` and ``Re <y_b - w_b, x_b - z_b>``, as `sample_inner`.

    A sum of ``n`` products is off by at most ``n`` roundings of the sum of their magnitudes.
    """
    if x.device.type == "cpu" and compiled.is_available():
        from odl_learned.compiled.distances import compare

        sums = np.empty((len(x), 3))
        compare(*(_flat(part).numpy(force=True) for part in (x, z, y, w)), sums)
        first, second, product = torch.from_numpy(sums).unbind(1)
        return first.sqrt(), second.sqrt(), product
    way, change = _real(x) - _real(z), _real(y) - _real(w)
    return sample_norms(way), sample_norms(change), sample_inner(change, way)


def _real(x):
    return _flat(x).to(torch.float64)


def _flat(x):
    x = torch.view_as_real(x.resolve_conj().contiguous()) if x.is_complex() else x
    return x.contiguous().flatten(1)
