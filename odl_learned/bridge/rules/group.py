"""Native rules for motions of the plane that permute the pixels; the others are multipliers."""

import torch
from torch import nn

from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.frequencies import convolution  # noqa: F401  (its rule is the fallback here)
from odl_learned.operators import Reflection, Translation
from odl_learned.operators.transforms.fourier_multiplier import FourierMultiplier


class Roll(nn.Module):
    """``x -> x`` with the last axes shifted periodically by whole numbers."""

    def __init__(self, shifts):
        super().__init__()
        self.shifts = shifts

    def forward(self, x):
        return torch.roll(x, self.shifts, tuple(range(-len(self.shifts), 0)))


class Flip(nn.Module):
    """``x -> x`` with one axis reversed, counted from the end."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return torch.flip(x, (self.dim,))


@lower.register
def _(op: Translation):
    if op.is_whole:
        return Roll(tuple(map(int, op.pixels)))
    return lower.dispatch(FourierMultiplier)(op)


@lower.register
def _(op: Reflection):
    return Flip(op.axis - op.domain.ndim)
