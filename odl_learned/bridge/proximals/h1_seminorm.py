"""Proximals of the squared gradient and of its conjugate, by cosine transforms."""

import torch
from torch import nn

from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.proximals.lowering import column, lower_proximal
from odl_learned.bridge.rules.h1_seminorm import cosine_filter
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
    return CosineProximal(f, remainder)
