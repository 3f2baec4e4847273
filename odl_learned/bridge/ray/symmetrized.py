r"""The mean of a projector over quarter turns, as one matrix.

With the permutations R of pixels and P of rays, ``S = 1/4 sum_k P^{-k} M R^k``. The four entries
that a turn maps to each other become equal: each is the mean of the same four numbers, summed in
double precision, in which the order of four numbers of single precision rarely matters, and
rounded once.
"""

import dataclasses
import functools
import hashlib

import numpy as np
import torch
from torch import nn

from odl_learned.bridge.ray.geometry import RayGeometry


@dataclasses.dataclass(frozen=True, eq=False)
class SymmetrizedGeometry:
    """A scanner whose matrix is the mean over quarter turns; the interface of `RayGeometry`.

    Parameters
    ----------
    rays : RayGeometry
        In the plane, with square images.
    flips : bool
        Whether the views lie on half a circle, so that those that leave it come back mirrored.
    """

    rays: RayGeometry
    flips: bool

    @functools.cached_property
    def digest(self):
        """Hash of all that determines the matrix."""
        return hashlib.sha256(f"symmetrized {self.flips} {self.rays.digest}".encode()).hexdigest()

    @property
    def source(self):
        """Shape of an image."""
        return self.rays.source

    @property
    def target(self):
        """Shape of its data."""
        return self.rays.target

    @property
    def matrix_shape(self):
        """Number of rays and number of pixels."""
        return self.rays.matrix_shape

    def build_matrix(self):
        """Return the mean of the four turned matrices, in single precision."""
        matrix = self.rays.build_matrix().astype(np.float64)
        pixels = torch.arange(matrix.shape[1]).view(self.source)
        rays = torch.arange(matrix.shape[0]).view(self.target)
        total = matrix
        for k in range(1, 4):
            # (R^k u)[j] = u[c[j]], so that M R^k has the column c[j] where M has j
            columns = torch.rot90(pixels, -k, (0, 1)).flatten().numpy()  # the inverse of c
            rows = turned_data(rays, -k, self.flips).flatten().numpy()
            total = total + matrix[rows][:, columns]
        total = (total / 4).astype(np.float32)
        total.sort_indices()
        return total


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
    """``operators.SinogramTurn`` on tensors ``(*batch, views, bins)``."""

    def __init__(self, k, flips):
        super().__init__()
        self.k, self.flips = k, flips

    def forward(self, y):
        return turned_data(y, self.k, self.flips)


def turned_data(y: torch.Tensor, k: int, flips: bool) -> torch.Tensor:
    """Return data ``(*batch, views, bins)`` turned by k quarters; on half a circle they flip."""
    views = y.shape[-2]
    if not flips:
        return torch.roll(y, k * (views // 4), -2)
    circle = torch.cat([y, y.flip(-1)], dim=-2)
    return torch.roll(circle, k * (views // 2), -2)[..., :views, :]
