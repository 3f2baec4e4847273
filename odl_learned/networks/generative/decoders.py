"""Decoders: from a latent vector to channels."""

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
from odl_learned.networks.layers import (
    CONVOLUTIONS,
    TRANSPOSED,
    he_uniform,
    require_like_weights,
)
from odl_learned.validation import shown


class Decoder(nn.Module, ABC):
    """Abstract: a network from ``(N, latent)`` to ``(N, channels, *shape)``.

    Parameters
    ----------
    latent : int
        Entries of the latent vector.
    channels : int
        Channels of the images, or of what belongs to every pixel, such as entries of a covariance.
    shape : tuple of int
        Shape of the images.
    """

    def __init__(self, latent: int, channels: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.latent, self.channels, self.shape = latent, channels, tuple(shape)

    @abstractmethod
    def decoded(self, z: torch.Tensor) -> torch.Tensor:
        """Return the channels of latent vectors that are checked."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return ``(N, channels, *shape)`` for latent vectors ``(N, latent)``."""
        if not isinstance(z, torch.Tensor) or z.ndim != 2 or z.shape[1] != self.latent:
            given = tuple(z.shape) if isinstance(z, torch.Tensor) else shown(z)
            raise ValueError(f"z is {given}, expected a tensor of shape (N, {self.latent}), one "
                             "latent vector for each sample.")
        require_like_weights("z", z, next(self.parameters()))
        return self.decoded(z)


@final
class FullyConnectedDecoder(Decoder):
    """Linear layers with SiLU between them, for small images.

    Parameters
    ----------
    latent : int
        Entries of the latent vector.
    widths : tuple of int
        Numbers of hidden units, from the latent vector to the image.
    channels : int
        Channels of the images.
    shape : tuple of int
        Their shape: 1, 2 or 3 axes.
    scale : float, optional
        The weights of the last layer are uniform below ``scale / sqrt(fan_in)``; nonnegative. Small
        for the head of a covariance, so that it starts near a constant one.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, latent)`` to ``(N, channels, *shape)``.

    Raises
    ------
    ValueError
        For sizes below 1, a negative scale, or an input of another shape.
    TypeError
        If shape or widths are no tuples, or the input has another dtype.

    Source: Kingma, Welling, Auto-encoding variational Bayes (2014).
    """

    def __init__(self, latent: int, widths: tuple[int, ...], channels: int,
                 shape: tuple[int, ...], *, scale: float = 1.0,
                 generator: torch.Generator | None = None) -> None:  # fmt: skip
        shape, self.widths = require_architecture(channels, shape, widths, latent)
        super().__init__(latent, channels, shape)
        self.layers = dense((latent, *self.widths, channels * prod(shape)), generator, scale)

    def decoded(self, z: torch.Tensor) -> torch.Tensor:
        """Return the channels of latent vectors that are checked."""
        return self.layers(z).unflatten(1, (self.channels, *self.shape))


@final
class ConvolutionalDecoder(Decoder):
    """The mirror of `ConvolutionalEncoder`: a linear layer, and convolutions that double the image.

    Parameters
    ----------
    latent : int
        Entries of the latent vector.
    widths : tuple of int
        Channels before each transposed convolution of stride 2, from the coarsest scale, such as
        those of the encoder in reverse; multiples of ``groups``.
    channels : int
        Channels of the images.
    shape : tuple of int
        Their shape: 1, 2 or 3 axes, multiples of ``2 ** len(widths)``.
    scale : float, optional
        Of the weights of the last convolution, as in `FullyConnectedDecoder`.
    groups : int, optional
        Groups of the normalization, within each sample.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, latent)`` to ``(N, channels, *shape)``.

    Raises
    ------
    ValueError
        For sizes below 1, lengths or widths that are no such multiples, a negative scale, or an
        input of another shape.
    TypeError
        If shape or widths are no tuples, or the input has another dtype.

    Source: Duff, Simpson, Ehrhardt, Campbell, VAEs with structured image covariance applied to
    compressed sensing MRI (2023).
    """

    def __init__(self, latent: int, widths: tuple[int, ...], channels: int,
                 shape: tuple[int, ...], *, scale: float = 1.0, groups: int = 4,
                 generator: torch.Generator | None = None) -> None:  # fmt: skip
        shape, self.widths = require_architecture(channels, shape, widths, latent)
        require_halves(shape, self.widths, groups)
        super().__init__(latent, channels, shape)
        self.groups, dimension = groups, len(shape)
        coarse = [n // 2 ** len(self.widths) for n in shape]
        first = he_uniform(nn.Linear(latent, self.widths[0] * prod(coarse)), generator)
        layers = [first, nn.Unflatten(1, (self.widths[0], *coarse)), nn.SiLU()]
        for before, after in zip(self.widths, (*self.widths[1:], self.widths[-1])):
            doubled = TRANSPOSED[dimension](before, after, 4, stride=2, padding=1)
            layers += [he_uniform(doubled, generator), nn.GroupNorm(groups, after), nn.SiLU()]
        last = CONVOLUTIONS[dimension](self.widths[-1], channels, 3, padding=1)
        self.layers = nn.Sequential(*layers, scaled(last, generator, scale))

    def decoded(self, z: torch.Tensor) -> torch.Tensor:
        """Return the channels of latent vectors that are checked."""
        return self.layers(z)
