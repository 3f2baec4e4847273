"""Factors of scalar multiples, one per sample: modules that differ in them, stacked.

The factors are held in double precision and rounded to the precision of what they multiply, as
torch does with a single float, so that the product has the same bits alone and in a batch.
"""

import torch
from torch import nn

from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.proximals.expressions import ScaledArgument, ScaledValue
from odl_learned.bridge.rules.expressions import Scale


class PerSample(nn.Module):
    """A module with one factor per sample, its buffer ``scalar`` of shape ``(B,)``."""

    def __init__(self, scalars):
        super().__init__()
        self.register_buffer("scalar", torch.as_tensor(scalars), persistent=False)
        self._per_sample = frozenset({"scalar"})


class ScaledSamples(PerSample):
    """``x_i -> s_i x_i``."""

    def forward(self, x):
        return each(lambda part: aligned(self.scalar, part) * part, x)


class ScaledValues(PerSample):
    """``prox_{sigma (c_i f)} = prox_{(c_i sigma) f}`` for ``c_i > 0``."""

    def __init__(self, proximal, scalars):
        super().__init__(scalars)
        self.proximal = proximal

    def forward(self, x, sigma):
        return self.proximal(x, each(lambda s: self.scalar.to(s.dtype) * s, sigma))


class ScaledArguments(PerSample):
    """``prox_{sigma f(s_i .)}(x) = prox_{s_i^2 sigma f}(s_i x) / s_i`` for real ``s_i``."""

    def __init__(self, proximal, scalars):
        super().__init__(scalars)
        self.proximal = proximal

    def forward(self, x, sigma):
        scaled = each(lambda part: aligned(self.scalar, part) * part, x)
        y = self.proximal(scaled, each(lambda s: (self.scalar**2).to(s.dtype) * s, sigma))
        return each(lambda part: part / aligned(self.scalar, part), y)


#: Modules whose attribute ``scalar`` may differ, and what they become, from themselves with what
#: they consist of already stacked, and the factors.
FACTORS = {
    Scale: lambda module, scalars: ScaledSamples(scalars),
    ScaledValue: lambda module, scalars: ScaledValues(module.proximal, scalars),
    ScaledArgument: lambda module, scalars: ScaledArguments(module.proximal, scalars),
}


def aligned(scalars, part):
    """Factors ``(B,)`` in the precision of ``part``, broadcasting against its first axis."""
    dtype = part.real.dtype if part.is_complex() else part.dtype
    dtype = dtype.to_complex() if scalars.is_complex() else dtype
    return scalars.to(dtype).reshape(-1, *[1] * (part.ndim - 1))
