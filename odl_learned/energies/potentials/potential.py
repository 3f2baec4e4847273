r"""Potentials ``phi_nu``: smooth, even, convex functions of the length of a group of coefficients.

With ``w(t) = phi'(t) / t`` and ``k(t) = (phi''(t) - w(t)) / t^2``, the function
``p -> phi(|p|)`` of a vector ``p`` has

.. math:: \nabla \phi(|p|) = w \, p, \qquad \nabla^2 \phi(|p|) \, v = w \, v + k \, p \langle p, v
          \rangle .

All methods take the squared lengths ``|p|^2`` and ``nu`` as tensors, and work entry by entry.
"""

import abc
import math

import torch

#: A positive number, or a tensor of such that is broadcast.
Number = float | torch.Tensor


class Potential(abc.ABC):
    """A potential with its derivatives and constants."""

    @abc.abstractmethod
    def value(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``phi``."""

    @abc.abstractmethod
    def weight(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``w``, positive, decreasing in the length."""

    @abc.abstractmethod
    def weight_and_curvature(
        self, squares: torch.Tensor, nu: Number
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``w`` and ``k``, which is not positive."""

    def third_derivative(self, lengths: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return the third derivative of ``phi``, odd; a Newton derivative where it jumps."""
        raise NotImplementedError(
            f"{type(self).__name__} has no third derivative; use a method of first order.")

    @abc.abstractmethod
    def weight_slope(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``dw / dnu``."""

    @abc.abstractmethod
    def proximal(self, lengths: torch.Tensor, step: Number, nu: Number) -> torch.Tensor:
        """Return the ``t >= 0`` with ``t + step phi'(t) = length``, entry by entry."""

    @abc.abstractmethod
    def constants(self, nu: float) -> "PotentialConstants":
        """Return the `PotentialConstants` for the float ``nu``."""


class PotentialConstants:
    r"""Bounds that hold for all vectors ``p``.

    Parameters
    ----------
    slope : float
        Of ``phi'``.
    curvature : float
        Of ``phi''``, the norm of the second derivative.
    third : float
        Lipschitz constant of the second derivative of ``p -> phi(|p|)``.
    slope_in_nu : float
        Of ``|d_nu phi'|``.
    curvature_in_nu : float
        Of ``|d_nu phi''|``, the norm of the derivative of ``p -> d_nu w p``.
    """

    def __init__(
        self,
        slope: float,
        curvature: float,
        third: float,
        slope_in_nu: float,
        curvature_in_nu: float,
    ) -> None:
        self.slope, self.curvature, self.third = slope, curvature, third
        self.slope_in_nu, self.curvature_in_nu = slope_in_nu, curvature_in_nu


class Charbonnier(Potential):
    r"""``phi(t) = sqrt(t^2 + nu^2)``, the potential of smoothed total variation.

    With ``r = phi``: ``w = 1 / r``, ``k = - 1 / r^3``, ``dw / dnu = - nu / r^3``. The third
    derivative ``3 t nu^2 / r^5`` is largest at ``t = nu / 2``, ``d_nu phi' = - nu t / r^3`` at
    ``t = nu / sqrt 2``, ``d_nu phi''`` at zero.

    References
    ----------
    M. J. Ehrhardt, L. Roberts, *Inexact derivative-free optimization for bilevel learning*, J.
    Math. Imaging Vis. 63 (2021), section 4.
    """

    def value(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``sqrt(t^2 + nu^2)``."""
        return torch.sqrt(squares + nu * nu)

    def weight(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``1 / r``."""
        return 1 / torch.sqrt(squares + nu * nu)

    def weight_and_curvature(
        self, squares: torch.Tensor, nu: Number
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``1 / r`` and ``- 1 / r^3``."""
        weight = self.weight(squares, nu)
        return weight, -(weight * weight * weight)

    def third_derivative(self, lengths: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``- 3 t nu^2 / r^5``."""
        weight = self.weight(lengths * lengths, nu)
        return -3 * lengths * (nu * weight) ** 2 * weight**3

    def weight_slope(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``- nu / r^3``."""
        weight = self.weight(squares, nu)
        return -nu * (weight * weight * weight)

    def proximal(self, lengths: torch.Tensor, step: Number, nu: Number) -> torch.Tensor:
        """Return the root by Newton's method.

        ``t + step t / r`` is concave for ``t >= 0``, so that the iteration grows monotonically
        towards the root from ``max(length - step, 0)``, which is not beyond it.
        """
        t = torch.clamp(lengths - step, min=0)
        for _ in range(60):
            weight = self.weight(t * t, nu)
            slope = 1 + step * weight * ((nu * weight) * (nu * weight))
            missing = lengths - t - step * weight * t
            t = torch.clamp(t + missing / slope, min=0)
            if bool((missing.abs() <= 4 * torch.finfo(t.dtype).eps * lengths).all()):
                break
        return t

    def constants(self, nu: float) -> PotentialConstants:
        """Return the constants for the float ``nu``."""
        one, two = inverses(nu)
        third = 48 / (25 * math.sqrt(5)) * two
        return PotentialConstants(1.0, one, third, 2 / math.sqrt(27) * one, two)


class CubicAbsolute(Potential):
    r"""The absolute value, cubic near zero, with a continuous second derivative.

    .. math:: \rho(t) = -\tfrac{t^3}{3 \nu^2} + \tfrac{t^2}{\nu} \text{ for } t \le \nu, \qquad
              t - \tfrac{\nu}{3} \text{ above.}

    ``w = 2 / nu - t / nu^2`` and ``k = - 1 / (nu^2 t)`` below, ``1 / t`` and ``- 1 / t^3`` above.

    References
    ----------
    F. Sherry et al., *Learning the sampling pattern for MRI*, IEEE Trans. Med. Imaging 39 (2020).
    """

    def value(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``rho``."""
        t = torch.sqrt(squares)
        return torch.where(t <= nu, squares * (1 / nu - t / (3 * nu * nu)), t - nu / 3)

    def weight(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``rho' / t``, equal to ``(2 - m) / max(t, nu)`` with ``m = min(t / nu, 1)``."""
        t = torch.sqrt(squares)
        return (2 - torch.clamp(t / nu, max=1)) / torch.clamp(t, min=float(nu))

    def weight_and_curvature(
        self, squares: torch.Tensor, nu: Number
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``w`` and ``k``; ``k p <p, v>`` tends to zero with ``t``, where k is set to 0."""
        t = torch.sqrt(squares)
        above = torch.clamp(t, min=float(nu))
        weight = (2 - torch.clamp(t / nu, max=1)) / above
        tiny = torch.finfo(t.dtype).tiny ** 0.5
        curvature = torch.where(t > tiny, -1 / (above * above * torch.clamp(t, min=tiny)), 0.0)
        return weight, curvature

    def third_derivative(self, lengths: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``- 2 sign(t) / nu^2`` up to ``nu``, zero above."""
        return torch.where(lengths.abs() <= nu, -2 / (nu * nu) * torch.sign(lengths), 0.0)

    def weight_slope(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``- 2 / nu^2 + 2 t / nu^3`` below ``nu``, zero above."""
        m = torch.clamp(torch.sqrt(squares) / nu, max=1)
        return 2 * (m - 1) / (nu * nu)

    def proximal(self, lengths: torch.Tensor, step: Number, nu: Number) -> torch.Tensor:
        """Return the root of a quadratic equation below ``nu``, ``length - step`` above.

        ``t (1 + 2 s) - s t^2 / nu = length`` with ``s = step / nu``; the smaller root, written
        without cancellation.
        """
        s = step / nu
        root = torch.sqrt(torch.clamp((1 + 2 * s) * (1 + 2 * s) - 4 * s * lengths / nu, min=0))
        return torch.where(lengths <= nu + step, 2 * lengths / (1 + 2 * s + root), lengths - step)

    def constants(self, nu: float) -> PotentialConstants:
        """Return the constants: ``d_nu rho' = 2 t (t - nu) / nu^3`` is largest at ``nu / 2``."""
        one, two = inverses(nu)
        return PotentialConstants(1.0, 2 * one, 2 * two, 0.5 * one, 2 * two)


class HalfSquare(Potential):
    """``phi(t) = t^2 / 2``, independent of ``nu``: the potential of the ``H^1`` seminorm."""

    def value(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``t^2 / 2``."""
        return squares / 2

    def weight(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return one."""
        return torch.ones_like(squares)

    def weight_and_curvature(
        self, squares: torch.Tensor, nu: Number
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one and zero."""
        return torch.ones_like(squares), torch.zeros_like(squares)

    def third_derivative(self, lengths: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return zero."""
        return torch.zeros_like(lengths)

    def weight_slope(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return zero."""
        return torch.zeros_like(squares)

    def proximal(self, lengths: torch.Tensor, step: Number, nu: Number) -> torch.Tensor:
        """Return ``length / (1 + step)``."""
        return lengths / (1 + step)

    def constants(self, nu: float) -> PotentialConstants:
        """Return the constants; the slope is not bounded."""
        return PotentialConstants(math.inf, 1.0, 0.0, 0.0, 0.0)


def inverses(nu):
    """Return ``1 / nu`` and ``1 / nu^2``, infinite where ``nu^2`` is zero in rounding."""
    square = nu * nu
    return 1 / nu, 1 / square if square > 0 else math.inf
