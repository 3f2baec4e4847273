"""Native rules for the Kullback-Leibler fidelity with background, its conjugate, their proximals.

In the mean ``s = y + r`` they are those of the divergence without background. Where a value is
infinite, its derivative is as well, towards the domain: a zero would pass for a minimum.
"""

import torch
from torch import nn

from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.nested import Held
from odl_learned.bridge.proximals.entropies import kullback_leibler, kullback_leibler_conjugate
from odl_learned.bridge.proximals.lowering import column, lower_proximal
from odl_learned.functionals import KullbackLeiblerConjugate, KullbackLeiblerFidelity


class Counts(nn.Module):
    """Counts ``b`` and background ``r`` of a functional, in every entry."""

    def __init__(self, functional):
        super().__init__()
        self.layout = layout_of(functional.domain)
        self.data = Held(self.layout.to_tensor(functional.data))
        self.background = Held(self.layout.to_tensor(functional.background))


class CountDivergence(Counts):
    """``y -> sum_j w (s - b + b log(b / s))`` with ``s = y + r``, infinite where ``s < 0``."""

    def forward(self, y):
        b, mean = self.data(), y + self.background()
        counted = b > 0
        ratio = torch.where(counted, mean, 1.0) / torch.where(counted, b, 1.0)
        inside = torch.where(counted, mean > 0, mean >= 0)
        logarithm = torch.where(inside, ratio, 1.0).log()
        value = torch.where(inside, mean - b - b * logarithm, _barrier(-mean, inside))
        return self.layout.integrate(value)


class CountConjugate(Counts):
    """``p -> -sum_j w (b log(1 - p) + r p)``, infinite where ``p > 1``."""

    def forward(self, p):
        b, r = self.data(), self.background()
        counted = b > 0
        inside = torch.where(counted, p < 1, p <= 1)
        logarithm = torch.where(inside & counted, 1 - p, 1.0).log()
        value = torch.where(inside, -b * logarithm - r * p, _barrier(p, inside))
        return self.layout.integrate(value)


class CountProximal(Counts):
    """``(x, sigma) -> prox(x + r) - r``, the proximal without background shifted by it."""

    def forward(self, x, sigma):
        r = self.background()
        return kullback_leibler(x + r, self.data(), column(sigma, x)) - r


class CountConjugateProximal(Counts):
    """``(x, sigma) -> prox(x + sigma r)``, ``prox`` the one without background."""

    def forward(self, x, sigma):
        step = column(sigma, x)
        return kullback_leibler_conjugate(x + step * self.background(), self.data(), step)


def _barrier(x, inside):
    """Infinity with the slope infinity, for nonnegative ``x`` outside."""
    return torch.inf * (1 + torch.where(inside, 0.0, x))


lower.register(KullbackLeiblerFidelity, CountDivergence)
lower.register(KullbackLeiblerConjugate, CountConjugate)
lower_proximal.register(KullbackLeiblerFidelity, CountProximal)
lower_proximal.register(KullbackLeiblerConjugate, CountConjugateProximal)
