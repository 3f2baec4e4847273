"""What a projector is made of: a linear map and its transpose, on a device and in a precision."""

from typing import Protocol, Self

import torch


class Pair(Protocol):
    """A matrix ``M`` as two functions of tensors, `sparse.SparsePair` or another of this room."""

    @property
    def geometry(self) -> object:
        """What the matrix is of."""

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``M x`` for ``(*batch, *source)``."""

    def backproject(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``M^T y`` for ``(*batch, *target)``."""

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the same elsewhere, or raise."""
