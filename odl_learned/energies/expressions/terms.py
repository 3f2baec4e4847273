r"""Terms of an energy, ``alpha(theta) sum_g w_g psi_nu(theta)(p_g)`` with ``p = A x + B y + b``."""

import functools
import math

import torch

from odl_learned.energies.energy import Data
from odl_learned.energies.expressions.blocks import Scalar
from odl_learned.energies.expressions.densities import Density, Squares
from odl_learned.energies.expressions.maps import ROUNDING, AffineMap
from odl_learned.energies.expressions.term_bounds import term_variation
from odl_learned.energies.fidelities import real_products
from odl_learned.energies.samples import sample_norms


class Term:
    r"""One term, with its derivatives and their bounds.

    With ``M`` the matrix of ``A`` and ``w`` the weights

    .. math:: \nabla = \alpha M^H w \, \psi'(p), \qquad \nabla^2 = \alpha M^H w \, \psi''(p) M .

    Parameters
    ----------
    map : AffineMap
    density : Density
    alpha : Scalar
    nu : Scalar or None
        The parameter of the density, if it has one.
    """

    def __init__(
        self, map: AffineMap, density: Density, alpha: Scalar, nu: Scalar | None = None
    ) -> None:
        self.map, self.density, self.alpha, self.nu = map, density, alpha, nu
        #: Functions of the parameters with respect to which a term has derivatives.
        self.scalars = (alpha,) if nu is None else (alpha, nu)

    def numbers(self, params: torch.Tensor) -> tuple[float, float]:
        """Return ``(alpha, nu)`` as floats; nu is one where the density has none."""
        with torch.no_grad():
            alpha = float(self.alpha(params))
            return alpha, 1.0 if self.nu is None else float(self.nu(params))

    def value(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return the value of every sample, ``(B,)``."""
        alpha, nu = self.numbers(params)
        values = self.map.spread(
            self.density.on(data).value(self.map.forward(x, data), nu)[:, None])
        return alpha * values.flatten(1).sum(1)

    def at(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> "TermPoint":
        """Return the `TermPoint`."""
        return TermPoint(self, x, params, data)

    def lipschitz(self, params: torch.Tensor) -> float:
        """Return a bound of the Hessian from above."""
        alpha, nu = self.numbers(params)
        return alpha * self.map.norm**2 * self.density.constants(nu).curvature

    def strong_convexity(self, params: torch.Tensor) -> float:
        """Return a bound of the Hessian from below, negative where the density is not convex."""
        alpha, nu = self.numbers(params)
        convexity = self.density.convexity(nu)
        gain = self.map.least if convexity >= 0 else self.map.norm
        return alpha * gain**2 * convexity

    @property
    def has_formulas(self) -> bool:
        """Whether all constants follow from formulas in this package."""
        return type(self.density).__module__.startswith("odl_learned.")

    def curvature_constants(self, params: torch.Tensor) -> tuple[float, list[tuple[float, float]]]:
        """Return ``LA``, and rates ``(LB, B)`` for every one of `scalars`."""
        alpha, nu = self.numbers(params)
        bounds, squared = self.density.constants(nu), self.map.norm**2
        length = self.map.norm * self.root_of_weights()
        rates = [(squared * bounds.curvature, length * bounds.slope)]
        if self.nu is not None:
            rates.append((alpha * squared * bounds.curvature_in_nu,
                          alpha * length * bounds.slope_in_nu))  # fmt: skip
        return alpha * squared * self.map.row_norm * bounds.third, rates

    def root_of_weights(self) -> float:
        """Return ``(sum_g w_g)^1/2``."""
        weights = self.map.weights
        if isinstance(weights, torch.Tensor):
            share = self.map.groups / weights.numel()
            return math.sqrt(float(weights.sum()) * share)
        return math.sqrt(weights * self.map.groups)


class TermPoint:
    """The derivatives of a term at images ``x``."""

    def __init__(self, term, x, params, data):
        self.term, self.map = term, term.map
        self.alpha, self.nu = term.numbers(params)
        self.p = self.map.forward(x, data)
        self.density = term.density.on(data)
        self.point = self.density.at(self.p, self.nu)
        self.size, self.images, self.is_complex = len(x), tuple(x.shape[1:]), x.is_complex()
        self._blocks = None
        self._x, self._data = x, data

    def follow(self, state):
        """Follow a dual variable from now on."""
        self.point = self.point.followed(state)

    @functools.cached_property
    def slope(self):
        """The gradient for ``alpha = 1``."""
        return self.map.transpose(self.map.spread(self.point.gradient))

    @property
    def state(self):
        """What the next point needs to follow it."""
        return self.point.state

    @property
    def gradient(self):
        """The part of ``d_x E``."""
        return self.alpha * self.slope

    def rounding(self):
        """Bound the rounding error of the gradient in the norm, ``(B,)``, in double precision."""
        map, constants = self.map, self.term.density.constants(self.nu)
        root, size = _root_of(map.weights), map.norm * sample_norms(self._x)
        still = map.rest(self._data)
        if still is not None:
            size = size + sample_norms(root * still)
        slopes = sample_norms(root * self.point.gradient)
        return ROUNDING * map.eps * self.alpha * map.norm * (constants.curvature * size + slopes)

    def hessian(self, v):
        """Return the part of ``d_x^2 E v``."""
        if isinstance(self.term.density, Squares):
            return self.map.normal(v, self.alpha)
        q = self.point.hessian(self.map.linear(v))
        return self.map.transpose(self.map.spread(q, self.alpha))

    def mixed(self, q):
        """Return ``<d_s d_x E, q>``, summed over samples, for every scalar ``s``."""
        w = self.map.linear(q)
        found = [self.map.spread(real_products(self.point.gradient, w)).sum()]
        if self.term.nu is not None:
            slope = self.point.slope_in_nu()
            found.append(self.alpha * self.map.spread(real_products(slope, w)).sum())
        return found

    def variation(self, radius, q, mu):
        """Return the `TermVariation` on the ball ``|z - x| <= radius``."""
        return term_variation(self, radius, q, mu)

    def blocks(self):
        """Return ``alpha w psi''``, ``(B, d, d, *shape)``, real."""
        if self._blocks is None:
            self._blocks = self.map.spread(self.point.blocks(), self.alpha)
        return self._blocks


def _root_of(weights):
    return weights.sqrt() if isinstance(weights, torch.Tensor) else math.sqrt(weights)
