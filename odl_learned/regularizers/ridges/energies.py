r"""Learned ridges inside of energies, `energies.energy_of`: filters, potentials and their bounds.

.. math:: R(x) = w \lambda \sum_{k,i} \psi_k\big((w_k * x)_i\big), \qquad
          \psi_k(t) = a_k^{-2} \big( e^{-b} \varphi_+(e^b a_k t) - \rho \varphi_-(a_k t) \big)

is a term with the map ``x -> (w_k * x)_k`` and the density psi. On an interval of ``|t|`` let
``l <= phi'' <= u`` for each of the potentials at its own argument; then

.. math:: e^b l_+ - \rho u_- \le \psi_k'' \le e^b u_+ - \rho l_- .
"""

import copy
import math

import odl
import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.energies.expressions import AffineMap, Density, Scalar, Term, row_norm, term_of
from odl_learned.energies.expressions.arguments import applied
from odl_learned.energies.expressions.autograd.term import AutogradTerm
from odl_learned.energies.expressions.densities import DensityPoint
from odl_learned.energies.expressions.missing import missing
from odl_learned.energies.expressions.preconditioners import normal_symbol, sparse_matrix
from odl_learned.energies.expressions.preconditioners.matrices import FULLEST_ROW, local_matrix
from odl_learned.energies.expressions.preconditioners.symbols import impulse_symbol
from odl_learned.energies.intervals import Interval
from odl_learned.energies.potentials.potential import PotentialConstants
from odl_learned.networks.boundaries import Reflecting
from odl_learned.operators import exact_norm
from odl_learned.regularizers.ridges.bends import bend, bends_between, steepest, third
from odl_learned.regularizers.ridges.functional import RidgeRegularizer


class RidgeFilters(odl.Operator):
    """``x -> (w_k * x)_k`` of a ridge, from its space to ``K`` responses of the same weight.

    Parameters
    ----------
    functional : RidgeRegularizer
    """

    def __init__(self, functional):
        filters, domain = functional.ridge.filters, functional.domain
        self.filters, self.kernel = filters, filters.kernel().detach()
        probe = filters.respond(torch.zeros(1, *domain.shape, dtype=self.kernel.dtype), self.kernel)
        target = odl.rn(tuple(probe.shape[1:]), dtype=domain.dtype, weighting=functional.weight)
        super().__init__(domain, target, linear=True)
        self.source, self.target = layout_of(domain), layout_of(target)

    def _call(self, x):
        responses = self.filters.respond(self.source.to_tensor(x)[None], self.kernel)
        return self.target.to_element(responses[0])

    @property
    def adjoint(self):
        """The transpose: both spaces have the same weight."""
        return TransposedFilters(self)


class TransposedFilters(odl.Operator):
    """Adjoint of `RidgeFilters`.

    Parameters
    ----------
    bank : RidgeFilters
    """

    def __init__(self, bank):
        super().__init__(bank.range, bank.domain, linear=True)
        self.bank = bank

    def _call(self, p):
        bank = self.bank
        image = bank.filters.transpose(bank.target.to_tensor(p)[None], bank.kernel)
        return bank.source.to_element(image[0])

    @property
    def adjoint(self):
        """The operator of which this is the adjoint."""
        return self.bank


class _Filtered(nn.Module):
    """Responses, or their transpose, on batches."""

    def __init__(self, function, kernel, ndim):
        super().__init__()
        self._function, self._ndim = function, ndim
        self.register_buffer("kernel", kernel.clone(), persistent=False)

    def forward(self, x):
        batch = x.shape[: x.ndim - self._ndim]
        y = self._function(x.reshape(batch.numel(), *x.shape[x.ndim - self._ndim :]), self.kernel)
        return y.reshape(*batch, *y.shape[1:])


@lower.register
def _(op: RidgeFilters):
    return _Filtered(op.filters.respond, op.kernel, op.filters.dimension)


@lower.register
def _(op: TransposedFilters):
    bank = op.bank
    return _Filtered(bank.filters.transpose, bank.kernel, bank.filters.dimension + 1)


@exact_norm.register
def _(op: RidgeFilters):
    return math.sqrt(float(op.filters.boundary.largest_square(op.kernel, op.domain.shape)))


@row_norm.register
def _(op: RidgeFilters):
    # A mirrored pixel stands at up to two places of a filter along an axis: (a + b)^2 <= 2 (a^2 +
    # b^2). Other boundaries send every pixel to one place, where filters fit into the image.
    copies = 2.0**op.domain.ndim if isinstance(op.filters.boundary, Reflecting) else 1.0
    if any(s > n for s, n in zip(op.kernel.shape[2:], op.domain.shape, strict=True)):
        return None
    return math.sqrt(copies * float(op.kernel.double().flatten(1).square().sum(1).max()))


@sparse_matrix.register
def _(op: RidgeFilters):
    size = op.kernel[0].numel()
    return local_matrix(op, op.filters.support // 2) if size <= FULLEST_ROW else None


normal_symbol.register(RidgeFilters)(impulse_symbol)


class RidgeDensity(Density):
    """``psi_k``, even, with second derivatives between ``-rho`` and ``e^b``.

    Parameters
    ----------
    functional : RidgeRegularizer
    """

    def __init__(self, functional):
        ridge = copy.deepcopy(functional.ridge).double()
        self._plus, self._minus = ridge.potential, ridge.subtracted
        at = ridge.at(functional.noise_level)
        self._scale, self._sharp = at.scale, float(at.sharp)  # scale (K, 1, ...)
        self._largest = ridge.largest_bend(self._sharp)

    def value(self, p, nu):
        """Return ``psi``, ``(B, K, *shape)``."""
        t = self._scale * p[:, 0]
        psi = self._plus.potential(self._sharp * t) / self._sharp
        if self._minus is not None:
            psi = psi - self._minus.potential(t)
        return psi / self._scale**2

    def at(self, p, nu):
        """Return the `DensityPoint`."""
        t = self._scale * p[:, 0]
        slope, bent = self._plus(self._sharp * t), self._sharp * bend(self._plus, self._sharp * t)
        if self._minus is not None:
            slope, bent = slope - self._minus(t), bent - bend(self._minus, t)
        return RidgePoint((slope / self._scale)[:, None], bent[:, None])

    def constants(self, nu):
        """Return the constants; there is no ``nu``."""
        a, rate = float(self._scale.max()), self._sharp**2 * third(self._plus)
        steep = steepest(self._plus)
        if self._minus is not None:
            rate, steep = rate + third(self._minus), max(steep, steepest(self._minus))
        curvature = max(self._largest, -self.convexity(nu))
        return PotentialConstants(steep / float(self._scale.min()), curvature, a * rate, 0.0, 0.0)

    def convexity(self, nu):
        """Return a lower bound of the second derivative."""
        return 0.0 if self._minus is None else -1.0

    def interval(self, p, nu, rho):
        """Return the `Interval` on ``|t|`` plus or minus ``rho``."""
        size, wide = p.abs()[:, 0], rho.reshape(-1, *[1] * (p.ndim - 2))
        a, b = self._scale * (size - wide).clamp_min(0), self._scale * (size + wide)
        low, high, rate = bends_between(self._plus, self._sharp * a, self._sharp * b)
        low, high, rate = self._sharp * low, self._sharp * high, self._sharp**2 * rate
        if self._minus is not None:
            least, most, more = bends_between(self._minus, a, b)
            low, high, rate = low - most, high - least, rate + more
        bounds = torch.maximum(high, -low), self._scale * rate, torch.zeros_like(low), low
        return Interval(*(each[:, None] for each in bounds))


class RidgePoint(DensityPoint):
    """The derivatives of a ridge: slopes and second derivatives, ``(B, 1, K, *shape)``."""

    def __init__(self, slope, bent):
        self._slope, self._bent = slope, bent

    @property
    def gradient(self):
        """The first derivative."""
        return self._slope

    def hessian(self, q):
        """Return the second derivative times ``q``."""
        return self._bent * q

    def blocks(self):
        """Return the second derivative for preconditioners, which are positive: zero below."""
        return self._bent.clamp_min(0)[:, None]


@term_of.register
def _(functional: RidgeRegularizer, summand, blocks):
    if functional.layout.dtype.is_complex:
        return AutogradTerm(summand, blocks)
    if summand.argument.scales:
        raise missing(functional, "no factor of parameters inside; put it in front")
    argument = applied(RidgeFilters(functional), summand.argument)
    strength = float(functional.ridge.strength())
    alpha = Scalar(summand.factors, summand.factor * strength, blocks)
    return Term(AffineMap(argument, functional.weight, 1), RidgeDensity(functional), alpha)
