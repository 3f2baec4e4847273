"""Native rules for the Kullback-Leibler fidelity with background, its conjugate, their proximals.

In the mean ``s = y + r`` they are those of the divergence without background. Where a value is
infinite, its derivative is as well, towards the domain: a zero would pass for a minimum.
"""

import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.proximals.entropies import (
    at_most,
    kullback_leibler,
    kullback_leibler_conjugate,
)
from odl_learned.bridge.proximals.lowering import column, lower_proximal
from odl_learned.bridge.rules.functionals.entropies import kullback_leibler as divergence
from odl_learned.bridge.rules.functionals.entropies import (
    kullback_leibler_conjugate as divergence_conjugate,
)
from odl_learned.functionals import (
    KullbackLeiblerConjugate,
    KullbackLeiblerFidelity,
    PoissonLikelihood,
)


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
        return self.layout.integrate(divergence(y + self.background(), self.data()))


class CountConjugate(Counts):
    """``p -> -sum_j w (b log(1 - p) + r p)``, infinite where ``p > 1``."""

    def forward(self, p):
        value = divergence_conjugate(p, self.data()) - self.background() * p
        return self.layout.integrate(value)


class CountProximal(Counts):
    """``(x, sigma) -> prox(x + r) - r``, the proximal without background shifted by it."""

    def forward(self, x, sigma):
        b, r = self.data(), self.background()
        y = kullback_leibler(x + r, b, column(sigma, x)) - r
        # Without r the root is positive; rounding may take it away from a large r.
        lowest = torch.where(b > 0, -r * (1 - torch.finfo(r.dtype).eps), -r)
        return -at_most(-y, -lowest)


class CountConjugateProximal(Counts):
    """``(x, sigma) -> prox(x + sigma r)``, ``prox`` the one without background."""

    def forward(self, x, sigma):
        step = column(sigma, x)
        return kullback_leibler_conjugate(x + step * self.background(), self.data(), step)


class CountLikelihood(nn.Module):
    """``(y, b) -> sum_j w (y + r - b l(y))``, continued quadratically below ``y = 0``."""

    def __init__(self, functional):
        super().__init__()
        self.pair, self.layout = layout_of(functional.domain), layout_of(functional.domain[0])
        self.background = Held(self.layout.to_tensor(functional.background))

    def forward(self, pair):
        (y, b), r = self.pair.split(pair), self.background()
        low, s = y.clamp_max(0) / r, y.clamp_min(0) + r
        return self.layout.integrate(y + r - b * (s.log() + low - low.square() / 2))


lower.register(PoissonLikelihood, CountLikelihood)
lower.register(KullbackLeiblerFidelity, CountDivergence)
lower.register(KullbackLeiblerConjugate, CountConjugate)
lower_proximal.register(KullbackLeiblerFidelity, CountProximal)
lower_proximal.register(KullbackLeiblerConjugate, CountConjugateProximal)
