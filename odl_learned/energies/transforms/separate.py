"""Coefficients of a transform on their own, groups of one."""

from collections.abc import Callable

import torch

from odl_learned.energies.doors import require_kind
from odl_learned.energies.transforms.differences import ForwardDifferences
from odl_learned.energies.transforms.perron import POWERS
from odl_learned.energies.transforms.swept_differences import (
    can_sweep,
    swept_adjoint,
    swept_follow_apart,
    swept_weighted,
)
from odl_learned.energies.transforms.transform import Transform


class Separate(Transform):
    """A transform with all coefficients on their own, groups of one: anisotropic variation.

    Coefficients have the shape ``(B, 1, d, *shape)``.

    Parameters
    ----------
    transform : Transform

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> D = transforms.ForwardDifferences((3, 3))
    >>> params = torch.tensor([0.0, -9.0]).double()
    >>> corner = torch.zeros(1, 3, 3, dtype=torch.float64)
    >>> corner[0, 0, 0] = 1
    >>> for transform in (D, transforms.Separate(D)):  # isotropic, anisotropic
    ...     energy = energies.VariationEnergy(
    ...         energies.Denoising(), transform, potentials.HuberPotential(), coefficients.natural)
    ...     print(energy.value(corner, params, corner))
    ...
    tensor([1.4142], dtype=torch.float64)
    tensor([1.9999], dtype=torch.float64)
    """

    def __init__(self, transform: Transform) -> None:
        require_kind("transform", transform, Transform, "such as ForwardDifferences(shape)")
        groups = transform.groups * len(transform.shape)
        super().__init__(transform.shape, transform.norm, transform.group_norm, groups)
        self.transform = transform

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``D x``."""
        return self.transform.forward(x)[:, None]

    def adjoint(self, p: torch.Tensor) -> torch.Tensor:
        """Return ``D^T p``."""
        return self.transform.adjoint(p[:, 0])

    def fourier_symbol(self, curvatures: torch.Tensor) -> torch.Tensor:
        """Return the one of the transform."""
        return self.transform.fourier_symbol(curvatures[:, 0])

    def shifted_inverse(
        self, shift: float, curvatures: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the one of the transform."""
        return self.transform.shifted_inverse(shift, curvatures[:, 0])

    def product_norm(self, curvatures: torch.Tensor, powers: int = POWERS) -> torch.Tensor:
        """Return the one of the transform."""
        return self.transform.product_norm(curvatures[:, 0], powers)

    def scaled_adjoint(self, factors: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """Return ``D^T w p``."""
        if self._is_swept(p[:, 0, 0]):
            return swept_adjoint(p[:, 0], factors)
        return self.transform.adjoint(factors * p[:, 0])

    def hessian(
        self,
        p: torch.Tensor,
        z: torch.Tensor | None,
        scaled: torch.Tensor,
        bent: torch.Tensor,
        factor: float,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``v -> D^T (s + b p^2) D v + f v``, or with ``2 b p z`` in the place of ``b p^2``.

        Products of complex numbers are no such factors: those of pairs of real ones.
        """
        if p.is_complex():
            return super().hessian(p, z, scaled, bent, factor)
        p = p[:, 0]
        weights = p * p if z is None else (2 * p).mul_(z[:, 0])
        weights.mul_(bent).add_(scaled)
        if self._is_swept(p[:, 0]):
            return swept_weighted(weights, factor)
        return lambda v: self.transform.adjoint(
            weights * self.transform.forward(v)).add_(factor * v)  # fmt: skip

    def followed(
        self,
        d: torch.Tensor,
        p: torch.Tensor,
        z: torch.Tensor,
        weight: torch.Tensor,
        ratio: torch.Tensor,
        most: float,
    ) -> torch.Tensor:
        """Return ``w (p + q) + k z p q``, no longer than ``most``."""
        if p.is_complex() or not self._is_swept(d):
            return super().followed(d, p, z, weight, ratio, most)
        return swept_follow_apart(d, p[:, 0], z[:, 0], weight, ratio, most)[:, None]

    def _is_swept(self, images):
        return isinstance(self.transform, ForwardDifferences) and can_sweep(images)
