"""Native rules for the squared gradient, its conjugate, and filters by cosine transforms."""

import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.functionals.norms import square_modulus
from odl_learned.functionals import H1Seminorm, H1SeminormConjugate


def cosine_filter(x, factors, ndim):
    """``C^-1 m C x`` with the DCT-II along the last axes; the factors broadcast against ``x``.

    It is the Fourier transform of the image with its mirror image beside it, where frequency ``k``
    of the period ``2n`` carries cosine ``k``, and ``n`` carries nothing.
    """
    axes, shape, mirrored = tuple(range(-ndim, 0)), x.shape, x
    for axis in axes:
        n = shape[axis]
        mirrored = torch.cat([mirrored, mirrored.flip(axis)], dim=axis)
        k = torch.arange(2 * n, device=x.device)
        fold = torch.minimum(k, 2 * n - k).clamp(max=n - 1)
        factors = factors.index_select(axis, fold)
    if not x.numel():
        return x * 1
    y = torch.fft.ifftn(torch.fft.fftn(mirrored, dim=axes) * factors, dim=axes)
    for axis in axes:
        y = y.narrow(axis, 0, shape[axis])
    return y if x.is_complex() else y.real


class DualNorm(nn.Module):
    """``z -> <z, (grad* grad)^+ z> / 2`` where the mean of ``z`` is zero, else infinity."""

    def __init__(self, symbol, slack, layout):
        super().__init__()
        inverse = torch.where(symbol > 0, 1 / symbol, 0)
        self.slack, self.layout = slack, layout
        self.register_buffer("inverse", inverse, persistent=False)

    def forward(self, z):
        ndim = self.layout.ndim
        axes = tuple(range(-ndim, 0))
        y = cosine_filter(z, self.inverse, ndim)
        product = z.real * y.real + z.imag * y.imag if z.is_complex() else z * y
        constant = square_modulus(z.sum(axes)) / self.inverse.numel()
        is_centered = constant <= self.slack**2 * square_modulus(z).sum(axes)
        value = self.layout.integrate(product) / 2
        return torch.where(is_centered, value, torch.inf)


@lower.register
def _(op: H1Seminorm):
    return lower(op.expression)


@lower.register
def _(op: H1SeminormConjugate):
    layout = layout_of(op.domain)
    symbol = torch.tensor(op.symbol, dtype=layout.dtype.to_real())
    return DualNorm(symbol, op.slack, layout)
