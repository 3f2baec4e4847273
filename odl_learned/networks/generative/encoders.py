"""Encoders: from channels to mean and log variance of a latent vector."""

from abc import ABC, abstractmethod
from math import prod
from typing import final

import torch
from torch import nn

from odl_learned.networks.generative.layers import (
    dense,
    require_architecture,
    require_halves,
    scaled,
)
from odl_learned.networks.layers import CONVOLUTIONS, ChannelNetwork, he_uniform, require_channels


class Encoder(ChannelNetwork, ABC):
    """Abstract: a network from ``(N, channels, *shape)`` to mean and log variance ``(N, latent)``.

    Parameters
    ----------
    channels : int
        Those of the images: 1 for real ones, 2 for complex ones.
    shape : tuple of int
        Shape of the images.
    latent : int
        Entries of the latent vector.
    """

    def __init__(self, channels: int, shape: tuple[int, ...], latent: int) -> None:
        super().__init__(channels, len(shape))
        self.channels, self.shape, self.latent = channels, tuple(shape), latent

    @abstractmethod
    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return mean and log variance beside each other, ``(N, 2 latent)``."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance, ``(N, latent)`` each, of ``(N, channels, *shape)``."""
        require_channels(x, self.in_channels, self.dimension, next(self.parameters()))
        if tuple(x.shape[2:]) != self.shape:
            raise ValueError(f"x has images of shape {tuple(x.shape[2:])}, expected {self.shape}, "
                             "for which the encoder is made; resample them.")
        mean, log_variance = self.features(x).chunk(2, dim=1)
        return mean, log_variance


@final
class FullyConnectedEncoder(Encoder):
    """Linear layers with SiLU between them, for small images.

    Parameters
    ----------
    channels : int
        Channels of the images.
    shape : tuple of int
        Their shape: 1, 2 or 3 axes.
    widths : tuple of int
        Numbers of hidden units, from the image to the latent vector.
    latent : int
        Entries of the latent vector.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, channels, *shape)`` to two tensors ``(N, latent)``, mean and log variance.

    Raises
    ------
    ValueError
        For sizes below 1, or an input of another shape.
    TypeError
        If shape or widths are no tuples, or the input has another dtype.

    Source: Kingma, Welling, Auto-encoding variational Bayes (2014).
    """

    def __init__(self, channels: int, shape: tuple[int, ...], widths: tuple[int, ...],
                 latent: int, *, generator: torch.Generator | None = None) -> None:  # fmt: skip
        shape, self.widths = require_architecture(channels, shape, widths, latent)
        super().__init__(channels, shape, latent)
        self.layers = dense((channels * prod(shape), *self.widths, 2 * latent), generator, 1.0)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return mean and log variance beside each other, ``(N, 2 latent)``."""
        return self.layers(x.flatten(1))


@final
class ConvolutionalEncoder(Encoder):
    """Convolutions of stride 2 with group normalization and SiLU, and one linear layer.

    Parameters
    ----------
    channels : int
        Channels of the images.
    shape : tuple of int
        Their shape: 1, 2 or 3 axes, multiples of ``2 ** len(widths)``.
    widths : tuple of int
        Channels after each convolution, which halves the image; multiples of ``groups``.
    latent : int
        Entries of the latent vector.
    groups : int, optional
        Groups of the normalization, within each sample.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, channels, *shape)`` to two tensors ``(N, latent)``, mean and log variance.

    Raises
    ------
    ValueError
        For sizes below 1, lengths or widths that are no such multiples, or an input of another
        shape.
    TypeError
        If shape or widths are no tuples, or the input has another dtype.

    Source: Duff, Simpson, Ehrhardt, Campbell, VAEs with structured image covariance applied to
    compressed sensing MRI (2023): five convolutions for images of 128 x 128 pixels, latent 200.
    """

    def __init__(self, channels: int, shape: tuple[int, ...], widths: tuple[int, ...],
                 latent: int, *, groups: int = 4,
                 generator: torch.Generator | None = None) -> None:  # fmt: skip
        shape, self.widths = require_architecture(channels, shape, widths, latent)
        require_halves(shape, self.widths, groups)
        super().__init__(channels, shape, latent)
        self.groups = groups
        layers = []
        for before, after in zip((channels, *self.widths), self.widths):
            convolution = CONVOLUTIONS[self.dimension](before, after, 3, stride=2, padding=1)
            layers += [he_uniform(convolution, generator), nn.GroupNorm(groups, after), nn.SiLU()]
        coarse = [n // 2 ** len(self.widths) for n in shape]
        last = scaled(nn.Linear(self.widths[-1] * prod(coarse), 2 * latent), generator, 1.0)
        self.layers = nn.Sequential(*layers, nn.Flatten(), last)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return mean and log variance beside each other, ``(N, 2 latent)``."""
        return self.layers(x)
