r"""Densities: functions ``psi(p_g)`` of groups of coefficients, summed up by a term.

A term is ``alpha sum_g w_g psi_nu(p_g)`` with ``p = A x + B y + b``. Coefficients have the shape
``(B, d, *shape)``, with the ``d`` members of a group along the second axis.
"""

import abc
import math

import torch

from odl_learned.energies.energy import Data
from odl_learned.energies.fidelities import real_products
from odl_learned.energies.intervals import Interval, ball_interval
from odl_learned.energies.potentials.potential import PotentialConstants
from odl_learned.energies.transforms.transform import group_products, group_squares, scaled_groups


class Density(abc.ABC):
    """``psi_nu``, convex, with its derivatives and their bounds."""

    @abc.abstractmethod
    def value(self, p: torch.Tensor, nu: float) -> torch.Tensor:
        """Return ``psi`` of all groups, ``(B, *shape)``."""

    @abc.abstractmethod
    def at(self, p: torch.Tensor, nu: float) -> "DensityPoint":
        """Return the `DensityPoint`."""

    @abc.abstractmethod
    def constants(self, nu: float) -> PotentialConstants:
        """Return the `PotentialConstants`, which hold everywhere."""

    def on(self, data: Data | None) -> "Density":
        """Return the density for these data; itself, unless it depends on them."""
        return self

    def convexity(self, nu: float) -> float:
        """Return a lower bound of the second derivative everywhere."""
        return 0.0

    def interval(self, p: torch.Tensor, nu: float, rho: torch.Tensor) -> Interval:
        """Return the `Interval` of derivatives where no ``p_g`` moves by more than ``rho (B,)``.

        Tensors have the shape ``(B, 1, *shape)``.
        """
        constants = self.constants(nu)
        return Interval(*(torch.full_like(p[:, :1].real, c, dtype=torch.float64) for c in (
            constants.curvature, constants.third, constants.curvature_in_nu,
            self.convexity(nu))))  # fmt: skip


class DensityPoint(abc.ABC):
    """The derivatives of a density at coefficients ``p``."""

    state = ()

    @property
    @abc.abstractmethod
    def gradient(self):
        """``psi'(p_g)``, of the shape of ``p``."""

    @abc.abstractmethod
    def hessian(self, q):
        """Return ``psi''(p_g) q_g``."""

    @abc.abstractmethod
    def blocks(self):
        """Return the matrices ``psi''(p_g)``, ``(B, d, d, *shape)``, real.

        For complex coefficients the real part of what is linear over complex numbers.
        """

    def slope_in_nu(self):
        """Return ``d_nu psi'(p_g)``."""
        raise NotImplementedError

    def followed(self, state):
        """Return the point with a Hessian that follows a dual variable, see `linearize_from`."""
        return self


class Squares(Density):
    """``|p|^2 / 2``."""

    def value(self, p, nu):
        return group_squares(p) / 2

    def at(self, p, nu):
        return SquaresPoint(p)

    def constants(self, nu):
        return PotentialConstants(math.inf, 1.0, 0.0, 0.0, 0.0)

    def convexity(self, nu):
        return 1.0


class SquaresPoint(DensityPoint):
    """The derivatives of half a square."""

    def __init__(self, p):
        self._p = p

    @property
    def gradient(self):
        return self._p

    def hessian(self, q):
        return q

    def blocks(self):
        return torch.ones_like(self._p[:, None, :1].real)


class Products(Density):
    """``Re <p, u>`` with a fixed element ``u``: a linear functional.

    Parameters
    ----------
    u : tensor ``(d, *shape)``
    """

    def __init__(self, u):
        self._u = u

    def value(self, p, nu):
        return real_products(p, self._u.expand_as(p)).sum(1)

    def at(self, p, nu):
        return ProductsPoint(self._u.expand_as(p))

    def constants(self, nu):
        return PotentialConstants(float(self._u.abs().max()), 0.0, 0.0, 0.0, 0.0)


class ProductsPoint(DensityPoint):
    """The derivatives of a linear functional."""

    def __init__(self, u):
        self._u = u

    @property
    def gradient(self):
        return self._u

    def hessian(self, q):
        return torch.zeros_like(q)

    def blocks(self):
        return torch.zeros_like(self._u[:, None, :1].real)


class Lengths(Density):
    """``phi_nu(|p|)``.

    Parameters
    ----------
    potential : Potential
    """

    def __init__(self, potential):
        self.potential = potential

    def value(self, p, nu):
        return self.potential.value(group_squares(p), nu)

    def at(self, p, nu):
        return LengthsPoint(self.potential, p, nu)

    def constants(self, nu):
        return self.potential.constants(nu)

    def interval(self, p, nu, rho):
        return ball_interval(self.potential, nu, p, 1.0, rho)


class LengthsPoint(DensityPoint):
    """The derivatives of lengths; see `VariationPoint` for the dual variable."""

    def __init__(self, potential, p, nu):
        self._potential, self._p, self._nu = potential, p, nu
        self._squares = group_squares(p)
        self._weight, self._curvature = potential.weight_and_curvature(self._squares, nu)
        self._z, self._ratio = None, None

    @property
    def gradient(self):
        return scaled_groups(self._weight, self._p)

    def hessian(self, q):
        p, z = self._p, self._z
        if z is None:
            along = scaled_groups(group_products(p, q).mul_(self._curvature), p)
        else:
            half = self._ratio / 2
            along = scaled_groups(group_products(p, q).mul_(half), z)
            along = along.add_(scaled_groups(group_products(z, q).mul_(half), p))
        return along.addcmul_(self._weight[:, None].to(q.dtype), q)

    def blocks(self):
        p, z = self._p, self._p if self._z is None else self._z
        fields = 2 if p.is_complex() else 1
        bent = (self._curvature if self._z is None else self._ratio) / (2 * fields)
        outer = real_products(z[:, :, None], p[:, None])
        unit = torch.eye(p.shape[1]).reshape(p.shape[1], -1, *[1] * (p.ndim - 2)).to(outer)
        bent = (outer + outer.transpose(1, 2)) * bent[:, None, None]
        return bent + unit * self._weight[:, None, None]

    def slope_in_nu(self):
        return scaled_groups(self._potential.weight_slope(self._squares, self._nu), self._p)

    def followed(self, state):
        self._ratio = self._curvature / self._weight
        self._z = self.gradient if not state else self._moved(*state)
        return self

    @property
    def state(self):
        """What the next point needs: coefficients, weights, ratios, dual variable."""
        return self._p, self._weight, self._ratio, self._z

    def _moved(self, p, weight, ratio, z):
        q = self._p - p
        moved = scaled_groups(weight, self._p).add_(
            scaled_groups(group_products(p, q).mul_(ratio), z))  # fmt: skip
        steepest = self._potential.constants(self._nu).slope
        if math.isfinite(steepest):
            length = torch.sqrt(group_squares(moved)) / steepest
            moved = scaled_groups(1 / length.clamp_min(1.0), moved)
        at_rest = (q == 0).flatten(1).all(1)
        return torch.where(at_rest.reshape(-1, *[1] * (z.ndim - 1)), z, moved)
