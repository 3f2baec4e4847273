"""Native rules for divergences of Kullback-Leibler type and their conjugates."""

import odl
import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held
from odl_learned.bridge.lowering import lower

F = odl.functionals


class Divergence(nn.Module):
    """``x -> sum_j w_j phi(x_j, g_j)``."""

    def __init__(self, integrand, prior, layout):
        super().__init__()
        self.integrand, self.layout = integrand, layout
        self.prior = None if prior is None else Held(prior)

    def forward(self, x):
        prior = torch.ones((), dtype=x.dtype, device=x.device) if self.prior is None \
            else self.prior()
        return self.layout.integrate(self.integrand(x, prior))


def kullback_leibler(x, prior):
    """``x - y + y log(y / x)``, infinite where ``x < 0``, or ``x = 0 < y``."""
    counted = prior > 0
    inside = torch.where(counted, x > 0, x >= 0)
    ratio = torch.where(inside & counted, x, 1.0) / torch.where(inside & counted, prior, 1.0)
    return torch.where(inside, x - prior - prior * ratio.log(), barrier(-x, inside))


def kullback_leibler_conjugate(p, prior):
    """``-y log(1 - p)``, infinite where ``p > 1``, or ``p = 1`` and ``y > 0``."""
    counted = prior > 0
    inside = torch.where(counted, p < 1, p <= 1)
    value = -prior * torch.where(inside & counted, 1 - p, 1.0).log()
    return torch.where(inside, value, barrier(p, inside))


def cross_entropy(x, prior):
    """``y - x + x log(x / y)``, infinite where ``x < 0``, or ``x > 0 = y``."""
    counted = x > 0
    inside = torch.where(counted, prior > 0, x >= 0)
    # A quotient of a small x might vanish.
    numerator, denominator = (torch.where(inside & counted, a, 1.0) for a in (x, prior))
    value = prior - x + x * (numerator.log() - denominator.log())
    return torch.where(inside, value, barrier(x.abs(), inside))


def barrier(x, inside):
    """Infinity with the slope infinity, for nonnegative ``x`` outside."""
    return torch.inf * (1 + torch.where(inside, 0.0, x))


def cross_entropy_conjugate(p, prior):
    """``y (exp(p) - 1)``."""
    counted = prior > 0
    return prior * torch.where(counted, p, 0.0).expm1()


@lower.register
def _(op: F.KullbackLeibler):
    return _divergence(op, kullback_leibler)


@lower.register
def _(op: F.default_functionals.KullbackLeiblerConvexConj):
    return _divergence(op, kullback_leibler_conjugate)


@lower.register
def _(op: F.KullbackLeiblerCrossEntropy):
    return _divergence(op, cross_entropy)


@lower.register
def _(op: F.default_functionals.KullbackLeiblerCrossEntropyConvexConj):
    return _divergence(op, cross_entropy_conjugate)


def _divergence(op, integrand):
    layout = layout_of(op.domain)
    prior = None if op.prior is None else layout.to_tensor(op.prior)
    return Divergence(integrand, prior, layout)
