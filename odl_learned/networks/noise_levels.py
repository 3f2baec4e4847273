"""Denoisers that are told the noise level: the levels of a batch, and images around channels."""

import torch
from torch import nn

from odl_learned.networks.images import (
    from_channels,
    require_dimension,
    require_network,
    to_channels,
)
from odl_learned.validation import real_numbers


class NoiseLevelOnImages(nn.Module):
    """A denoiser of channels, told the noise level, acting on images as `OnImages` does.

    Parameters
    ----------
    net : torch.nn.Module
        Maps ``(N, C, *shape)`` and levels ``(N,)`` to ``(N, C, *shape)``, such as `NoiseLevelUNet`;
        C is 1 for real images and 2, the real and the imaginary part, for complex ones.
    dimension : int
        Number of axes of an image, ``len(space.shape)``.

    Maps images ``(*batch, *shape)`` and noise levels, a number or ``batch``, to images.

    Raises
    ------
    ValueError, TypeError
        As `OnImages`, or if the levels have another shape than the batch.
    """

    def __init__(self, net: nn.Module, *, dimension: int) -> None:
        super().__init__()
        require_network(net)
        require_dimension(dimension, net)
        self.net, self.dimension = net, dimension

    def forward(self, x: torch.Tensor, noise_level: torch.Tensor | float) -> torch.Tensor:
        channels = to_channels(x, self.dimension)
        if not isinstance(noise_level, torch.Tensor):
            noise_level = real_numbers("noise_level", noise_level)
        levels = torch.as_tensor(noise_level, device=x.device)
        batch = x.shape[: x.ndim - self.dimension]
        if levels.ndim and levels.shape != batch:
            raise ValueError(f"noise_level has shape {tuple(levels.shape)}, expected one number or "
                             f"{tuple(batch)}, one for each image.")
        return from_channels(self.net(channels, levels.flatten()), x, self.dimension)

    @property
    def compared_by(self) -> nn.Module:
        """The same at one level, a module of images alone, by which training compares samples."""
        return AtLevel(self, 1.0)


class AtLevel(nn.Module):
    """``x -> D(x, t)`` at a fixed noise level t."""

    def __init__(self, denoiser: nn.Module, level: float) -> None:
        super().__init__()
        self.denoiser, self.level = denoiser, level

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.denoiser(x, self.level)


def levels_of(noise_level: torch.Tensor | float, x: torch.Tensor) -> torch.Tensor:
    """Return noise levels as a tensor of one number, or one for each of N images, or raise."""
    if not isinstance(noise_level, torch.Tensor):
        noise_level = real_numbers("noise_level", noise_level)
    levels = torch.as_tensor(noise_level, dtype=x.dtype, device=x.device).flatten()
    if len(levels) not in (1, len(x)):
        raise ValueError(f"noise_level has {len(levels)} entries, expected one number or {len(x)}, "
                         "one for each image.")
    if not bool(torch.all(torch.isfinite(levels) & (levels >= 0))):
        raise ValueError(f"noise_level is {noise_level}, expected finite numbers of at least zero, "
                         "standard deviations in the unit of the images.")
    return levels
