"""Native rules for infimal convolutions, whose values ODL does not compute.

    (f [] g)(x) = min_u f(u) + g(x - u)

has a closed form where one side is a multiple of the squared norm: with ``g = c |.|^2`` it is the
Moreau envelope ``min_u f(u) + |x - u|^2 / (2 sigma)``, ``sigma = 1 / (2 c)``, attained at
``u = prox_{sigma f}(x)``.
"""

import odl
import torch
from odl.functionals.functional import FunctionalDefaultConvexConjugate
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.proximals.lowering import lower_proximal
from odl_learned.bridge.rules.functionals.norms import square_modulus

F = odl.functionals


class Envelope(nn.Module):
    """``x -> f(u) + |x - u|^2 / (2 sigma)`` with ``u = prox_{sigma f}(x)``."""

    def __init__(self, functional, proximal, sigma, layout):
        super().__init__()
        self.functional, self.proximal, self.layout = functional, proximal, layout
        self.sigma = sigma

        self.gradient = EnvelopeGradient(proximal, sigma)

    def forward(self, x):
        u = minimizer(self.proximal, x, self.sigma)
        distance = self.layout.integrate(each(lambda a, b: square_modulus(a - b), x, u))
        return self.functional(u) + distance / (2 * self.sigma)


class EnvelopeGradient(nn.Module):
    """``x -> (x - prox_{sigma f}(x)) / sigma``, also where the proximal has no derivative."""

    def __init__(self, proximal, sigma):
        super().__init__()
        self.proximal, self.sigma = proximal, sigma

    def forward(self, x):
        u = minimizer(self.proximal, x, self.sigma)
        return each(lambda a, b: (a - b) / self.sigma, x, u)


def minimizer(proximal, x, sigma):
    """``prox_{sigma f}(x)`` with a number for all samples."""
    first = x
    while isinstance(first, tuple):
        first = first[0]
    real = first.real.dtype if first.is_complex() else first.dtype
    return proximal(x, torch.tensor(sigma, dtype=real, device=first.device))


def envelope(functional, sigma):
    """Lower ``x -> min_u f(u) + |x - u|^2 / (2 sigma)``."""
    return Envelope(lower(functional), lower_proximal(functional), sigma,
                    layout_of(functional.domain))


@lower.register
def _(op: F.MoreauEnvelope):
    return envelope(op.functional, float(op.sigma))


@lower.register
def _(op: F.InfimalConvolution):
    for functional, other in ((op.left, op.right), (op.right, op.left)):
        coefficient = _multiple_of_square(other)
        if coefficient is not None:
            return envelope(functional, 1 / (2 * coefficient))
    raise NotImplementedError(
        f"the infimal convolution of {type(op.left).__name__} and {type(op.right).__name__} has no "
        "closed form; expected one side to be a positive multiple of L2NormSquared. Split the "
        "problem instead: minimize over both parts, or use its conjugate, the sum of conjugates."
    )


@lower.register
def _(op: FunctionalDefaultConvexConjugate):
    raise NotImplementedError(
        f"ODL knows no value of the conjugate of {type(op.convex_conj).__name__}; expected a "
        "functional with a conjugate in closed form. Its proximal exists: as_proximal_module."
    )


def _multiple_of_square(functional):
    """``c`` where the functional is ``c |.|^2`` with ``c > 0``, else None."""
    if isinstance(functional, F.L2NormSquared):
        return 1.0
    if isinstance(functional, F.FunctionalLeftScalarMult):
        inner = _multiple_of_square(functional.functional)
        scalar = functional.scalar
        return inner * float(scalar) if inner is not None and scalar > 0 else None
    return None
