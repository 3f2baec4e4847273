"""Proximals of the squared gradient and of its conjugate, by cosine transforms."""

import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.proximals.lowering import column, lower_proximal
from odl_learned.bridge.rules.functionals.h1_seminorm import cosine_filter
from odl_learned.functionals import H1Seminorm, H1SeminormConjugate


class CosineProximal(nn.Module):
    """``(x, sigma) -> C^-1 m(sigma, symbol) C x``."""

    def __init__(self, functional, factors):
        super().__init__()
        layout = layout_of(functional.domain)
        symbol = torch.tensor(functional.symbol, dtype=layout.dtype.to_real())
        self.ndim, self.factors = layout.ndim, factors
        self.register_buffer("symbol", symbol, persistent=False)

    def forward(self, x, sigma):
        return cosine_filter(x, self.factors(column(sigma, x), self.symbol), self.ndim)


class WithoutMean(nn.Module):
    """A proximal that ignores the mean of ``x``, which is taken off first.

    Transforms round relative to the largest coefficient. That of the mean is multiplied by zero in
    the end, and may be larger by orders than what is left.
    """

    def __init__(self, proximal):
        super().__init__()
        self.proximal = proximal

    def forward(self, x, sigma):
        axes = tuple(range(-self.proximal.ndim, 0))
        return self.proximal(x - x.mean(axes, keepdim=True), sigma)


def inverse(sigma, symbol):
    """Factors of ``(I + sigma grad* grad)^-1``."""
    return 1 / (1 + sigma * symbol)


def remainder(sigma, symbol):
    """Factors of ``(sigma I + grad* grad)^-1 grad* grad``."""
    return symbol / (sigma + symbol)


@lower_proximal.register
def _(f: H1Seminorm):
    return CosineProximal(f, inverse)


@lower_proximal.register
def _(f: H1SeminormConjugate):
    return WithoutMean(CosineProximal(f, remainder))
