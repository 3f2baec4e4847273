"""Norms and inner products of the samples of a batch, in double precision."""

from collections.abc import Sequence

import numpy as np
import torch

from odl_learned.solvers.row_sums import row_products

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


def _real(x):
    x = torch.view_as_real(x.resolve_conj().contiguous()) if x.is_complex() else x
    return x.flatten(1).to(torch.float64)
