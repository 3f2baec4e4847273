"""Gradients of images as differences of neighbors: fast, and with sharp norms of products."""

import odl
import torch

from odl_learned.dispatch import rules_by_class
from odl_learned.energies.transforms.differences import ForwardDifferences
from odl_learned.energies.transforms.transform import POWERS


class NeighborDifferences:
    """``(D x)_i = (x_{j + e_i} - x_j) / h_i``, zero at the last entry of every axis.

    Parameters
    ----------
    shape : tuple of int
        Of images.
    cell_sides : sequence of float
        ``h``.
    """

    def __init__(self, shape, cell_sides):
        self._differences = ForwardDifferences(shape)
        inverses = [1 / float(h) for h in cell_sides]
        self._inverse = inverses[0] if len(set(inverses)) == 1 else torch.tensor(
            inverses, dtype=torch.float64).reshape(-1, *[1] * len(shape))  # fmt: skip

    def forward(self, x):
        """Return the differences, of shape ``(B, d, *shape)``."""
        return self._differences.forward(x).mul_(self._inverse)

    def transpose(self, p):
        """Return ``D^T p``."""
        if isinstance(self._inverse, float):
            return self._differences.adjoint(p).mul_(self._inverse)
        return self._differences.adjoint(self._inverse * p)

    def product_norm(self, factors, powers=POWERS):
        """Bound ``|D^T diag(factors) D|``, ``(B,)``, for numbers >= 0, ``(B, 1 or d, *shape)``."""
        return self._differences.product_norm(self._inverse**2 * factors, powers)


@rules_by_class(odl.Operator, "_call")
def differences_of(op: odl.Operator) -> NeighborDifferences | None:
    """Return an operator as differences of neighbors, or None without a rule."""
    return None


@differences_of.register
def _(op: odl.Gradient):
    if op.method != "forward" or op.pad_mode not in ("symmetric", "order0"):
        return None
    return NeighborDifferences(op.domain.shape, op.domain.cell_sides)
