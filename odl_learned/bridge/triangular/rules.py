"""Native rules for sparse triangular operators, and for precisions and covariances."""

import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import Composition
from odl_learned.bridge.rules.weighted_adjoints import WeightedTranspose
from odl_learned.bridge.triangular.layouts import packed, unpacked
from odl_learned.bridge.triangular.shifts import gathered, scattered
from odl_learned.bridge.triangular.solves import solved, solved_transposed
from odl_learned.operators import (
    CovarianceOperator,
    PrecisionOperator,
    Unwhitening,
    UnwhiteningAdjoint,
    Whitening,
    WhiteningAdjoint,
)
from odl_learned.weights import single_weight


class Factor(nn.Module):
    """``L^T`` of one whitening, its transpose and inverses, on ``(*batch, [C,] H, W)``."""

    def __init__(self, op):
        super().__init__()
        self.hood, self.ndim = op.hood, op.log_diagonal.ndim
        log_diagonal = torch.tensor(op.log_diagonal)
        self.register_buffer("scale", log_diagonal.exp(), persistent=False)
        self.register_buffer("inverse_scale", (-log_diagonal).exp(), persistent=False)
        self.register_buffer("neighbors", torch.tensor(op.neighbors)[None], persistent=False)

    def through(self, function, u):
        """A map of images and coefficients on a batch of any layout."""
        return unpacked(function(packed(u, 1, self.ndim), self.neighbors, self.hood), u)


class Whiten(Factor):
    """``u -> L^T u``."""

    def forward(self, u):
        return self.scale * (u + self.through(gathered, u))


class WhitenTransposed(Factor):
    """``v -> L v``."""

    def forward(self, v):
        v = self.scale * v
        return v + self.through(scattered, v)


class Unwhiten(Factor):
    """``w -> L^-T w``."""

    def forward(self, w):
        return self.through(solved, self.inverse_scale * w)


class UnwhitenTransposed(Factor):
    """``u -> L^-1 u``."""

    def forward(self, u):
        return self.inverse_scale * self.through(solved_transposed, u)


@lower.register
def _(op: Whitening):
    return Whiten(op)


@lower.register
def _(op: Unwhitening):
    return Unwhiten(op.whitening)


@lower.register
def _(op: WhiteningAdjoint):
    return _between_weights(WhitenTransposed(op.whitening), op)


@lower.register
def _(op: UnwhiteningAdjoint):
    return _between_weights(UnwhitenTransposed(op.whitening), op)


@lower.register
def _(op: PrecisionOperator):
    return Composition(lower(op.whitening.adjoint), lower(op.whitening))


@lower.register
def _(op: CovarianceOperator):
    inverse = op.precision.whitening.inverse
    return Composition(lower(inverse), lower(inverse.adjoint))


def _between_weights(transpose, op):
    """``W^-1 M W`` with the weights of the space, which one weight for all entries leaves as M."""
    if single_weight(op.domain) is not None:
        return transpose
    return WeightedTranspose(transpose, 1.0, layout_of(op.domain), layout_of(op.range))
