"""Denoising networks: the DnCNN, and one for all noise levels in the family of DRUNet."""

from typing import cast

import torch
from torch import nn

from odl_learned.networks.layers import (
    CONVOLUTIONS,
    TRANSPOSED,
    ChannelNetwork,
    channels_last,
    he_uniform,
    require_channels,
    require_sizes,
    require_widths,
)
from odl_learned.networks.multiscale import padded
from odl_learned.networks.noise_levels import levels_of


class DnCNN(ChannelNetwork):
    """Convolutions of width 3 with ReLU between them that learn the noise, ``D(x) = x - F(x)``.

    ``F = W_d o rho o W_{d-1} o ... o rho o W_1`` as in the paper, but without batch normalization:
    it would couple the samples of a batch in training. Weights begin as in He et al. (2015).

    Parameters
    ----------
    channels : int
        Channels of the images, 1 for real and 2 for complex ones.
    width, depth : int
        Channels and number of convolutions, at least 1; 64 and 17 in the paper.
    dimension : int
        Number of axes of an image: 1, 2 or 3.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, channels, *shape)`` to the same shape, real, in the dtype of the weights.

    Raises
    ------
    ValueError
        For sizes below 1, or an input of another shape.
    TypeError
        For an input of another dtype than the weights.

    Source: Zhang et al., Beyond a Gaussian denoiser (2017).
    """

    def __init__(
        self,
        channels: int,
        width: int,
        depth: int,
        *,
        dimension: int,
        generator: torch.Generator | None = None,
    ) -> None:
        require_sizes({"channels": channels, "width": width, "depth": depth}, dimension)
        super().__init__(channels, dimension)
        sizes = [channels] + [width] * (depth - 1) + [channels]
        layers = []
        for before, after in zip(sizes, sizes[1:]):
            convolution = CONVOLUTIONS[dimension](before, after, 3, padding=1)
            layers += [he_uniform(convolution, generator), nn.ReLU()]
        self.noise = nn.Sequential(*layers[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, C, *shape) -> (N, C, *shape)
        weight = cast(torch.Tensor, self.noise[0].weight)
        require_channels(x, self.in_channels, self.dimension, weight)
        return x - self.noise(channels_last(x))


class NoiseLevelUNet(ChannelNetwork):
    r"""A denoiser for a range of noise levels, a residual U-Net without biases.

    .. math:: D(x, \sigma) = x - F(x, \sigma 1), \qquad D(t x, t \sigma) = t D(x, \sigma), \ t > 0.

    The noise level is one more channel. There are no biases and no normalization, so that the
    network is positively homogeneous: what it does at one level and contrast, it does at all. On
    every scale are residual blocks ``x + W_2 rho(W_1 x)``; between them, convolutions with stride 2
    and their transposes; the way up adds the channels of the way down. F begins as the zero map.

    Parameters
    ----------
    channels : int
        Channels of the images, 1 for real and 2 for complex ones.
    widths : sequence of int
        Channels of every scale, from the finest; 64, 128, 256, 512 in DRUNet.
    blocks : int
        Residual blocks on every scale and way; 4 in DRUNet.
    dimension : int
        Number of axes of an image: 1, 2 or 3.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, channels, *shape)`` and noise levels, a number or ``(N,)``, to the shape of the
    images; real, in the dtype of the weights. `NoiseLevelOnImages` puts it on images.

    Raises
    ------
    ValueError
        For sizes below 1, an input of another shape, noise levels that are not one or N numbers,
        negative or not finite.
    TypeError
        For an input of another dtype than the weights.

    Source: Zhang et al., Plug-and-play image restoration with deep denoiser prior (2021), section
    3 (DRUNet); homogeneity: Mohan et al., Robust and interpretable blind image denoising via
    bias-free convolutional neural networks (2020).

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks
    >>> seed = torch.Generator().manual_seed(0)
    >>> net = networks.NoiseLevelUNet(1, (4, 8), blocks=1, dimension=2, generator=seed)
    >>> denoiser = networks.NoiseLevelOnImages(net, dimension=2)
    >>> x = torch.rand(2, 8, 8, generator=seed)
    >>> error = 10 * denoiser(x, 0.1) - denoiser(10 * x, 1.0)  # without biases it is homogeneous
    >>> print(bool(error.abs().max() < 1e-4))
    True
    """

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...],
        blocks: int,
        *,
        dimension: int,
        generator: torch.Generator | None = None,
    ) -> None:
        named = require_widths(widths)
        require_sizes({"channels": channels, "blocks": blocks,
                       "the number of scales": len(named), **named}, dimension)  # fmt: skip

        def make(kind, before, after, size, **options):
            return he_uniform(kind[dimension](before, after, size, bias=False, **options),
                              generator)  # fmt: skip

        def stage(width):
            return nn.Sequential(*(_Block(make(CONVOLUTIONS, width, width, 3, padding=1),
                                          make(CONVOLUTIONS, width, width, 3, padding=1))
                                   for _ in range(blocks)))  # fmt: skip

        pairs = list(zip(widths, widths[1:]))
        super().__init__(channels, dimension)
        self.factor = 2 ** len(pairs)
        self.first = make(CONVOLUTIONS, channels + 1, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(stage(fine), make(CONVOLUTIONS, fine, coarse, 2, stride=2))
            for fine, coarse in pairs)
        self.middle = stage(widths[-1])
        self.up = nn.ModuleList(
            nn.Sequential(make(TRANSPOSED, coarse, fine, 2, stride=2), stage(fine))
            for fine, coarse in reversed(pairs))
        self.last = CONVOLUTIONS[dimension](widths[0], channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: torch.Tensor, noise_level: torch.Tensor | float) -> torch.Tensor:
        require_channels(x, self.in_channels, self.dimension, self.last.weight)
        levels = levels_of(noise_level, x)
        larger, crop = padded(x, self.factor)
        plane = levels.view(-1, *(1 for _ in x.shape[1:])).expand(len(x), 1, *larger.shape[2:])
        channels = self.first(torch.cat([larger, plane], dim=1))
        kept = []
        for stage in self.down:
            kept.append(channels)
            channels = stage(channels)
        channels = self.middle(channels)
        for stage in self.up:
            channels = stage(channels) + kept.pop()
        return x - self.last(channels)[crop]


class _Block(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return x + self.second(torch.relu(self.first(x)))
