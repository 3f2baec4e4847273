r"""A network as a regularizer at every noise level, ``R_\sigma(x) = \sigma^2 R(x / \sigma)``."""

import dataclasses

import torch
from torch import nn

from odl_learned.validation import require_positive


@dataclasses.dataclass(frozen=True)
class ScaledRegularizer:
    r"""A network at a noise level, with value and gradient.

    .. math:: R_\sigma(x) = \sigma^2 R(x / \sigma), \qquad
              \nabla R_\sigma(x) = \sigma \, \nabla R(x / \sigma)

    Its Hessian is that of R at ``x / sigma``, so that constants do not depend on the level.

    Parameters
    ----------
    net : torch.nn.Module
        R, from images ``(*batch, *shape)`` to values ``(*batch,)``.
    noise_level : float or tensor ``()``
        sigma, positive, in the unit of the images.

    Raises
    ------
    ValueError
        If the noise level is a number that is not positive.
    """

    net: nn.Module
    noise_level: float | torch.Tensor

    def __post_init__(self):
        require_noise_level(self.noise_level)

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Return R of images ``(*batch, *shape)``, of shape ``(*batch,)``."""
        return self.noise_level**2 * self.net(x / self.noise_level)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        """Return the Euclidean gradient, differentiable in images and parameters."""
        return self.noise_level * torch.func.grad(lambda z: self.net(z).sum())(
            x / self.noise_level)  # fmt: skip


def require_noise_level(noise_level: float | torch.Tensor) -> None:
    """Raise ValueError if it is a number that is not positive; a tensor may be learned."""
    if not isinstance(noise_level, torch.Tensor):
        require_positive("noise_level", noise_level)
