"""Quarter turns of rays on tensors, where the mean over them has no matrix."""

import torch
from torch import nn

from odl_learned.operators.tomography.projectors.turned import SymmetrizedGeometry


class TurnedPair:
    """The mean over quarter turns of the values of a pair whose matrix would be too large."""

    def __init__(self, pair, flips):
        self.pair, self.flips = pair, flips
        self.geometry = SymmetrizedGeometry(pair.geometry, flips)

    def project(self, x):
        """``1/4 sum_k P^{-k} M R^k x``, without derivatives."""
        return sum(turned_data(self.pair.project(torch.rot90(x, k, (-2, -1))), -k, self.flips)
                   for k in range(4)) / 4  # fmt: skip

    def backproject(self, y):
        """Its transpose, ``1/4 sum_k R^{-k} M^T P^k y``."""
        return sum(torch.rot90(self.pair.backproject(turned_data(y, k, self.flips)), -k, (-2, -1))
                   for k in range(4)) / 4  # fmt: skip

    def to(self, device, dtype):
        """The same elsewhere, if the pair goes there."""
        return TurnedPair(self.pair.to(device, dtype), self.flips)

    def __deepcopy__(self, memo):
        return self


class ViewTurn(nn.Module):
    """``operators.SinogramTurn`` on tensors ``(*batch, views, bins)``, or of ``ndim`` axes."""

    def __init__(self, k, flips, ndim=2):
        super().__init__()
        self.k, self.flips, self.ndim = k, flips, ndim

    def forward(self, y):
        return turned_data(y, self.k, self.flips, self.ndim)


def turned_data(y: torch.Tensor, k: int, flips: bool, ndim: int = 2) -> torch.Tensor:
    """Return data ``(*batch, views, bins)`` turned by k quarters; on half a circle they flip.

    Of ``ndim`` axes the first two are turned, the others stand for independent data.
    """
    views = y.shape[-ndim]
    if not flips:
        return torch.roll(y, k * (views // 4), -ndim)
    circle = torch.cat([y, y.flip(1 - ndim)], dim=-ndim)
    return torch.roll(circle, k * (views // 2), -ndim).narrow(-ndim, 0, views)
