"""Native rules for divergences of Kullback-Leibler type and their conjugates."""

import odl
import torch
from torch import nn

from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.nested import Held

F = odl.functionals


class Divergence(nn.Module):
    """A Kullback-Leibler type integrand; infinite where it is not finite."""

    def __init__(self, integrand, prior, layout):
        super().__init__()
        self.integrand, self.layout = integrand, layout
        self.prior = None if prior is None else Held(prior)

    def forward(self, x):
        prior = torch.ones((), dtype=x.dtype, device=x.device) if self.prior is None \
            else self.prior()
        value = self.layout.integrate(self.integrand(x, prior))
        return torch.where(value.isfinite(), value, torch.inf)


def kullback_leibler(x, prior):
    """``x - y + y log(y / x)``."""
    return x - prior + torch.xlogy(prior, prior / x)


def kullback_leibler_conjugate(p, prior):
    """``-y log(1 - p)``."""
    return -prior * torch.log(1 - p)


def cross_entropy(x, prior):
    """``y - x + x log(x / y)``."""
    return prior - x + torch.xlogy(x, x / prior)


def cross_entropy_conjugate(p, prior):
    """``y (exp(p) - 1)``."""
    return prior * (torch.exp(p) - 1)


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
