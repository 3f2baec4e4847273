"""The potential of Huber: quadratic below ``nu``, linear above."""

import math

import torch

from odl_learned.energies.potentials.potential import Number, Potential, PotentialConstants


class HuberPotential(Potential):
    r"""``phi(t) = t^2 / (2 nu)`` below ``nu``, ``t - nu / 2`` above.

    The second derivative jumps at ``nu``, so that it has no Lipschitz constant, and neither has the
    derivative in ``nu``; on intervals that do not contain ``nu`` both have.

    References
    ----------
    P. J. Huber, *Robust estimation of a location parameter*, Ann. Math. Statist. 35 (1964).
    """

    def value(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``phi``."""
        lengths = torch.sqrt(squares)
        return torch.where(lengths <= nu, squares / (2 * nu), lengths - nu / 2)

    def weight(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``1 / max(t, nu)``."""
        return 1 / torch.sqrt(squares).clamp_min(nu)

    def weight_and_curvature(
        self, squares: torch.Tensor, nu: Number
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``1 / max(t, nu)``, and zero below ``nu``, ``-1 / t^3`` above."""
        weight = self.weight(squares, nu)
        return weight, torch.where(squares <= nu * nu, 0.0, -(weight**3))

    def weight_slope(self, squares: torch.Tensor, nu: Number) -> torch.Tensor:
        """Return ``-1 / nu^2`` below ``nu``, zero above."""
        return torch.where(squares <= nu * nu, -1 / (nu * nu), torch.zeros_like(squares))

    def proximal(self, lengths: torch.Tensor, step: Number, nu: Number) -> torch.Tensor:
        """Return ``length nu / (nu + step)`` below, ``length - step`` above."""
        return torch.where(lengths <= nu + step, lengths * nu / (nu + step), lengths - step)

    def constants(self, nu: float) -> PotentialConstants:
        """Return the constants."""
        return PotentialConstants(1.0, 1 / nu, math.inf, 1 / nu, math.inf)
