"""Proximals of Kullback-Leibler divergences and of their conjugates.

With the prior ``g`` the minimizers solve one equation in every entry,

    KL          u - g log u        (u - x) u + sigma (u - g) = 0,     a quadratic,
    cross       u log (u / g) - u  u + sigma log (u / g) = x,         Lambert's W,

and the weights of the domain cancel.
"""

import odl
import torch
from odl.functionals.default_functionals import (
    KullbackLeibler,
    KullbackLeiblerConvexConj,
    KullbackLeiblerCrossEntropy,
    KullbackLeiblerCrossEntropyConvexConj,
)
from torch import nn

from odl_learned.bridge.forward_mode import jvp_rule
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held, each
from odl_learned.bridge.proximals.lowering import column, lower_proximal


class WithPrior(nn.Module):
    """``(x, sigma) -> phi(x_j, g_j, sigma)`` in every entry, ``g = 1`` without a prior."""

    def __init__(self, function, prior):
        super().__init__()
        self.function = function
        self.prior = None if prior is None else Held(prior)

    def forward(self, x, sigma):
        prior = each(_ones, x) if self.prior is None else self.prior()
        return each(lambda part, g: self.function(part, g, column(sigma, part)), x, prior)


class LogLambertW(torch.autograd.Function):
    """``z -> W(exp(z))``, the solution of ``w + log w = z``, with ``dw/dz = w / (1 + w)``.

    The iteration of Fritsch, Shafer and Crowley (Algorithm 443, Communications of the ACM 16, 1973)
    converges with order four; below ``z = -40`` the solution is ``exp(z)`` in double precision.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(z):
        inner = z.clamp(min=-40)
        w = torch.where(inner > 1, inner - inner.clamp(min=1).log(), inner.clamp(max=1).exp())
        for _ in range(4):
            rest = inner - w - w.log()
            q = 2 * (1 + w) * (1 + w + 2 * rest / 3)
            w = w * (1 + rest / (1 + w) * (q - rest) / (q - 2 * rest))
        return torch.where(z > -40, w, z.exp())

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx, g):
        (w,) = ctx.saved_tensors
        return g * w / (1 + w)

    @staticmethod
    @jvp_rule
    def jvp(ctx, saved, dz):
        (w,) = saved
        return dz * w / (1 + w)


def kullback_leibler(x, prior, step):
    """``(b + r) / 2`` with ``b = x - sigma``, ``r^2 = b^2 + 4 sigma g``, without cancellation."""
    b, product = x - step, step * prior
    r = _safe_sqrt(b.square() + 4 * product)
    rest = r - b
    small = 2 * product / torch.where(rest > 0, rest, 1.0)
    return torch.where(b > 0, (b + r) / 2, torch.where(rest > 0, small, 0.0))


def kullback_leibler_conjugate(p, prior, step):
    """``(1 + p - r) / 2`` with ``r^2 = (1 - p)^2 + 4 sigma g``, without cancellation."""
    r = _safe_sqrt((1 - p).square() + 4 * step * prior)
    # (1 + p)^2 - r^2 = 4 (p - sigma g), and 1 + p + r >= 1 + p + |1 - p| >= 2.
    root = torch.where(p > -1, 2 * (p - step * prior) / (1 + p + r), (1 + p - r) / 2)
    return at_most(root, highest(prior))


def highest(prior):
    """One where the prior is zero, elsewhere ``1 - 2 eps``: with room for rounding a multiple."""
    return 1 - 2 * torch.finfo(prior.dtype).eps * (prior > 0).to(prior.dtype)


def at_most(x, bound):
    """``min(x, bound)`` with the derivatives of ``x``, which exceeds the bound by rounding only."""
    return x + (bound - x).clamp(max=0).detach()


def cross_entropy(x, prior, step):
    """``sigma W(g / sigma exp(x / sigma))``."""
    return step * LogLambertW.apply(x / step + prior.log() - step.log())


def cross_entropy_conjugate(p, prior, step):
    """``p - W(sigma g exp(p))``."""
    return p - LogLambertW.apply(p + prior.log() + step.log())


@lower_proximal.register
def _(f: KullbackLeibler):
    return _with_prior(f, kullback_leibler)


@lower_proximal.register
def _(f: KullbackLeiblerConvexConj):
    return _with_prior(f, kullback_leibler_conjugate)


@lower_proximal.register
def _(f: KullbackLeiblerCrossEntropy):
    return _with_prior(f, cross_entropy)


@lower_proximal.register
def _(f: KullbackLeiblerCrossEntropyConvexConj):
    return _with_prior(f, cross_entropy_conjugate)


def _with_prior(f: odl.functionals.Functional, function):
    layout = layout_of(f.domain)
    if layout.dtype.is_complex:
        raise TypeError(
            f"{type(f).__name__} is on a complex space, expected a real one: divergences compare "
            "nonnegative images."
        )
    return WithPrior(function, None if f.prior is None else layout.to_tensor(f.prior))


def _ones(x):
    return torch.ones((), dtype=x.dtype, device=x.device)


def _safe_sqrt(square):
    """The square root, with derivatives zero where it is zero."""
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)
