"""What is asked of learned regularizers that are modules: a value and a gradient at a noise level.

`Ridge`, `InputConvex`, `TotalDeepVariation` and `Sum` have it, and modules of one's own may.
"""

from typing import Protocol

import torch


class RegularizerAt(Protocol):
    """A regularizer R at a noise level, on images ``(*batch, *shape)``."""

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Return R, of shape ``(*batch,)``."""

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean gradient, differentiable in images and parameters."""


class WithLevels(Protocol):
    """A regularizer for all noise levels."""

    def at(self, noise_level: float | torch.Tensor, /) -> RegularizerAt:
        """Return it at a noise level."""


class WithConstants(WithLevels, Protocol):
    """A regularizer whose gradient has known constants."""

    def constants(self) -> tuple[float, float]:
        """Return a Lipschitz constant of the gradient, and a modulus of weak convexity."""


class Summable(WithConstants, Protocol):
    """A regularizer that says for which images it is."""

    @property
    def dimension(self) -> int: ...

    @property
    def takes_complex(self) -> bool: ...
