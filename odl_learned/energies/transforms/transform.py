r"""Linear maps ``D`` from images to groups of coefficients, for energies in closed form.

A transform maps ``x`` of shape ``(B, *shape)``, real or complex, to coefficients of shape
``(B, d, *shape)``. Its groups are the vectors of ``d`` coefficients at one place. The adjoint is
the transpose, in the Euclidean inner product.
"""

import abc
import math
from collections.abc import Callable

import torch

from odl_learned.energies.doors import require_function
from odl_learned.energies.fidelities import real_products
from odl_learned.energies.transforms.perron import POWERS
from odl_learned.validation import require_image_shape


class Transform(abc.ABC):
    """A linear map to groups of coefficients, with norms and its spectrum.

    Parameters
    ----------
    shape : tuple of int
        Of images.
    norm, group_norm : float
        Bounds of ``|D|``, and of ``|(D x)_g| / |x|`` for all groups ``g``.
    groups : int
        Number of groups.
    """

    def __init__(self, shape: tuple[int, ...], norm: float, group_norm: float, groups: int) -> None:
        self.shape, self.groups = tuple(shape), int(groups)
        self.norm, self.group_norm = float(norm), float(group_norm)

    @abc.abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``D x``, of shape ``(B, d, *shape)``."""

    @abc.abstractmethod
    def adjoint(self, p: torch.Tensor) -> torch.Tensor:
        """Return ``D^T p``, of shape ``(B, *shape)``."""

    @abc.abstractmethod
    def fourier_symbol(self, curvatures: torch.Tensor) -> torch.Tensor:
        """Return ``s >= 0``, ``(B, *shape)``: ``F^* s F`` is near ``D^T diag(curvatures) D``."""

    @abc.abstractmethod
    def shifted_inverse(
        self, shift: float, curvatures: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``v -> M^-1 v`` with ``M`` near ``shift + D^T diag(curvatures) D``.

        ``shift`` is a positive float, ``curvatures`` are nonnegative, of shape
        ``(B, d, *shape)``.
        """

    def scaled_adjoint(self, factors: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """Return ``D^T (w_g p_g)`` with a real number for every group, ``(B, *shape)``."""
        return self.adjoint(scaled_groups(factors, p))

    def hessian(
        self,
        p: torch.Tensor,
        z: torch.Tensor | None,
        scaled: torch.Tensor,
        bent: torch.Tensor,
        factor: float,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        r"""Return ``v -> D^T (s q + b p <p, q>) + f v`` for ``q = D v``.

        Parameters
        ----------
        p : tensor
            Coefficients.
        z : tensor or None
            With coefficients, ``b (z <p, q> + p <z, q>)`` takes the place of ``b p <p, q>``.
        scaled, bent : tensor ``(B, *shape)``
            ``s, b``, numbers of groups.
        factor : float
            ``f``.
        """
        def product(v):
            q = self.forward(v)
            along = group_products(p, q).mul_(bent)
            if z is None:
                bend = scaled_groups(along, p)
            else:
                beside = group_products(z, q).mul_(bent)
                bend = scaled_groups(along, z).add_(scaled_groups(beside, p))
            return self.adjoint(q.mul_(scaled[:, None]).add_(bend)).add_(factor * v)

        return product

    def followed(
        self,
        d: torch.Tensor,
        p: torch.Tensor,
        z: torch.Tensor,
        weight: torch.Tensor,
        ratio: torch.Tensor,
        most: float,
    ) -> torch.Tensor:
        """Return ``w (p + q) + k z <p, q>`` for ``q = D d``, in groups no longer than ``most``."""
        q = self.forward(d)
        moved = scaled_groups(weight, p + q).add_(
            scaled_groups(group_products(p, q).mul_(ratio), z))  # fmt: skip
        if math.isfinite(most):
            length = torch.sqrt(group_squares(moved)) / most
            moved = scaled_groups(1 / length.clamp_min(1.0), moved)
        return moved

    def product_norm(self, curvatures: torch.Tensor, powers: int = POWERS) -> torch.Tensor:
        """Bound ``|D^T diag(curvatures) D|``, ``(B,)``, for nonnegative curvatures.

        Parameters
        ----------
        curvatures : tensor ``(B, d, *shape)``, or ``(B, 1, *shape)`` for one number per group
        powers : int, optional
            How many products it may take, where more make it tighter.
        """
        return self.norm**2 * curvatures.flatten(1).amax(1)


class OrthogonalTransform(Transform):
    """A unitary transform, such as a wavelet basis, with groups of one coefficient each.

    Parameters
    ----------
    analysis, synthesis : callable
        ``W`` and its adjoint, its inverse, on tensors ``(B, *shape)``: for example ``as_module(W)``
        and ``as_module(W.adjoint)`` of `bridge` for ``W = operators.OrthogonalWavelet(...)``.
    shape : tuple of int
        Of images and coefficients.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> half = 0.5 ** 0.5
    >>> def haar(x):
    ...     return half * torch.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], 1)
    ...
    >>> transform = transforms.OrthogonalTransform(haar, haar, (2,))  # it is its own inverse
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transform, potentials.HuberPotential(), coefficients.natural)
    >>> x, params = torch.tensor([[1.0, 1.0]]).double(), torch.tensor([0.0, -9.0]).double()
    >>> print(energy.value(x, params, x))  # |(sqrt 2, 0)|_1
    tensor([1.4142], dtype=torch.float64)
    """

    def __init__(
        self,
        analysis: Callable[[torch.Tensor], torch.Tensor],
        synthesis: Callable[[torch.Tensor], torch.Tensor],
        shape: tuple[int, ...],
    ) -> None:
        require_function("analysis", analysis, "as_module(W)")
        require_function("synthesis", synthesis, "as_module(W.adjoint)")
        shape = require_image_shape(shape)
        super().__init__(shape, 1.0, 1.0, math.prod(shape))
        self._analysis, self._synthesis, self._is_tried = analysis, synthesis, False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``W x``, of shape ``(B, 1, *shape)``."""
        with torch.no_grad():
            coefficients = self._analysis(x)
            if not self._is_tried:
                self._try(x, coefficients)
            return coefficients[:, None]

    def _try(self, x, coefficients):
        """Raise unless the first images keep shape and length, and come back."""
        if coefficients.shape != x.shape:
            raise ValueError(f"analysis makes the shape {tuple(coefficients.shape)} of "
                             f"{tuple(x.shape)}, expected the same: one coefficient per pixel.")
        back, length = self._synthesis(coefficients), torch.linalg.vector_norm(x)
        # A transform of N entries rounds log2(N) times, with a unit each; this is far more.
        error = max(abs(float(torch.linalg.vector_norm(coefficients) - length)),
                    float(torch.linalg.vector_norm(back - x)))  # fmt: skip
        if error > 1e3 * torch.finfo(x.dtype).eps * float(length) and error > 1e-4 * float(length):
            raise ValueError(
                f"analysis and synthesis change images by {error / float(length):.3g} of their "
                "length, expected a unitary transform and its inverse, such as "
                "operators.OrthogonalWavelet; divide a multiple of one by its factor."
            )
        self._is_tried = bool(length > 0)

    def adjoint(self, p: torch.Tensor) -> torch.Tensor:
        """Return ``W^* p``."""
        with torch.no_grad():
            return self._synthesis(p[:, 0])

    def fourier_symbol(self, curvatures: torch.Tensor) -> torch.Tensor:
        """Return the mean curvature: ``W^* W = 1``."""
        axes = tuple(range(2, curvatures.ndim))
        return curvatures.mean(axes, keepdim=True)[:, 0].expand(-1, *curvatures.shape[2:])

    def shifted_inverse(
        self, shift: float, curvatures: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Divide the coefficients, exactly."""
        factors = 1 / (shift + curvatures)
        return lambda v: self.adjoint(self.forward(v).mul_(factors))


def group_products(p, q):
    """Return ``Re <p_g, q_g>`` of the groups of ``p`` and ``q``, ``(B, *shape)``."""
    # Groups have few members: faster than sum(1).
    products = real_products(p, q)
    result = products[:, 0]
    for i in range(1, products.shape[1]):
        result = result + products[:, i]
    return result


def group_squares(p):
    """Return ``|p_g|^2`` of the groups, ``(B, *shape)``."""
    return group_products(p, p)


def scaled_groups(factors, p):
    """Return one real number per group, ``(B, *shape)``, times its vector."""
    return factors[:, None] * p
