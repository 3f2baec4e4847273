"""Losses of the upper level: how far reconstructions are from the truth, sample by sample."""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
import torch

from odl_learned.energies.doors import require_samples
from odl_learned.energies.fixed_energy import take
from odl_learned.energies.samples import Index
from odl_learned.validation import require_positive, shown

#: Distances, one for all samples or one for each.
Bound = float | Sequence[float] | np.ndarray | torch.Tensor


class UpperLoss(Protocol):
    """What a `BilevelProblem` asks of a loss; `SquaredError` has it."""

    def value(self, x: torch.Tensor) -> torch.Tensor: ...

    def gradient(self, x: torch.Tensor) -> torch.Tensor: ...

    def value_bound(self, x: torch.Tensor, error_bound: Bound) -> torch.Tensor: ...

    @property
    def lipschitz(self) -> float: ...

    def take(self, index: Index) -> Self: ...


class SquaredError:
    r"""The squared distance to the truth, ``l_i(x) = c |x_i - x_i*|^2``, as upper-level loss.

    Parameters
    ----------
    truth : tensor ``(B, *shape)``
        Real or complex.
    factor : float, optional
        ``c``, positive; for example ``1 / (2 N)`` for half the mean over ``N`` images.
    """

    def __init__(self, truth: torch.Tensor, factor: float = 1.0) -> None:
        require_positive("factor", factor)
        require_samples("truth", truth)
        self.truth, self.factor = truth, float(factor)

    def error(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x_i - x_i*``; ValueError unless the shapes are equal: others are broadcast."""
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"x is {type(x).__name__}, expected a tensor (B, *shape); convert it "
                            "by torch.as_tensor.")
        if x.shape != self.truth.shape:
            raise ValueError(
                f"x has shape {tuple(x.shape)}, expected {tuple(self.truth.shape)}, that of the "
                "truth; reshape it, or take the samples of the loss, loss.take(index)."
            )
        return x - self.truth

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``l_i(x_i)``, of shape ``(B,)``, in double precision."""
        return self.factor * _squares(self.error(x).to(_double(x)))

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``2 c (x_i - x_i*)``, of the shape of ``x``."""
        return 2 * self.factor * self.error(x)

    def value_bound(self, x: torch.Tensor, error_bound: Bound) -> torch.Tensor:
        """Bound ``|l_i(x_i) - l_i(z_i)|`` for all ``|z_i - x_i| <= error_bound_i``, ``(B,)``.

        ``| |z - t|^2 - |x - t|^2 | <= 2 |x - t| e + e^2``.
        """
        length = torch.sqrt(_squares(self.error(x)))
        try:
            e = torch.as_tensor(error_bound, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise TypeError(f"error_bound is {shown(error_bound)}, expected numbers.") from error
        if tuple(e.shape) not in ((), (1,), (len(x),)) or not bool((e >= 0).all()):
            raise ValueError(f"error_bound is {shown(error_bound)}, expected numbers of at least "
                             f"zero, of shape ({len(x)},), one per sample.")
        return self.factor * e * (2 * length.to(e) + e)

    @property
    def lipschitz(self) -> float:
        """Lipschitz constant of the gradient."""
        return 2 * self.factor

    def take(self, index: Index) -> "SquaredError":
        """Return the loss of some of the samples."""
        return SquaredError(take(self.truth, index), self.factor)


def _squares(x):
    return (torch.view_as_real(x.contiguous()) if x.is_complex() else x).flatten(1).square().sum(1)


def _double(x):
    return torch.complex128 if x.is_complex() else torch.float64
