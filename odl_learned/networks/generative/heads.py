"""Heads of the covariance: what a latent vector says about deviations from the mean."""

from math import log
from typing import final

import torch
from torch import nn

from odl_learned.networks.generative.decoders import Decoder
from odl_learned.networks.generative.noise_floor import NoiseFloor
from odl_learned.networks.layers import require_sizes
from odl_learned.validation import (
    require_count,
    require_image_shape,
    require_positive,
    shown,
)


def later_neighbors(radius: int, channels: int = 1) -> int:
    """Number of coefficients of a pixel in a window, ``C (C - 1) / 2 + C^2 ((2 d + 1)^2 - 1) / 2``.

    Those of `operators.Neighborhood`: later channels of the pixel, and all of later pixels.
    """
    return channels * (channels - 1) // 2 + channels**2 * ((2 * radius + 1) ** 2 - 1) // 2


@final
class ConstantHead(nn.Module):
    r"""One learned precision for all pixels and all latent vectors: deviations are white.

    .. math:: P = e^{2 l} I

    Parameters
    ----------
    channels : int
        Channels of the images.
    shape : tuple of int
        Shape of the images.
    deviation : float, optional
        ``e^{-l}`` at the start, the standard deviation of a pixel, in the unit of the images.

    Maps ``(N, latent)`` to the logarithm l of the diagonal of the factor of the precision, of shape
    ``(N, channels, *shape)``, and to no neighbors, ``(N, 0, *shape)``; with several channels their
    coefficients are zero.

    Raises
    ------
    ValueError
        If a size or the deviation is not positive.
    TypeError
        If the shape is no tuple.
    """

    def __init__(self, channels: int, shape: tuple[int, ...], *, deviation: float = 0.1) -> None:
        super().__init__()
        self.channels, self.shape, self.radius = channels, require_image_shape(shape), 0
        require_sizes({"channels": channels}, len(self.shape))
        require_positive("deviation", deviation)
        self.log_precision = nn.Parameter(torch.tensor(-log(deviation)))

    @property
    def deviation(self) -> float:
        """The standard deviation of a pixel as it is now."""
        return float((-self.log_precision.detach()).exp())

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # (N, latent)
        log_diagonal = self.log_precision.expand(len(z), self.channels, *self.shape)
        count = later_neighbors(0, self.channels)
        return log_diagonal, torch.zeros_like(log_diagonal[:, :1]).expand(-1, count, *self.shape)


@final
class WindowHead(nn.Module):
    r"""The sparse triangular factor of the precision of a latent vector, pixel by pixel.

    .. math:: P = L L^T, \qquad (L^T v)_i = e^{l_i} \Big( v_i + \sum_k b_{k,i} v_{i + k} \Big),
              \qquad l = m - \log\big( 1 + e^{m - l_0 - r} \big) < m,

    with the K later neighbors ``i + k`` in a window and in other channels, as those of
    `operators.Neighborhood`, and r and b the channels of a decoder. The bound ``m = -log
    least_deviation``, that of `NoiseFloor`, keeps what is always the same in the images, such as a
    background, from becoming infinitely precise.

    Parameters
    ----------
    decoder : Decoder
        To ``channels + K`` channels, first r, then b, of images with two axes; ``K =
        later_neighbors(radius, channels)``. Made with a small `scale`, the covariance starts near
        the constant one.
    radius : int
        Of the window: 0 is the diagonal, 1 a window of 3 x 3, with K = 4 for one channel.
    channels : int, optional
        Those of the images: 1 for real ones, 2 for complex ones.
    deviation : float, optional
        ``e^{-l_0}``, about the standard deviation of pixels at the start, in the unit of the
        images; ``l_0`` is learned.
    least_deviation : float, optional
        A pixel is never more certain than that, given its later neighbors; the level of the noise
        that is added in training is a natural value.

    Maps ``(N, latent)`` to ``l``, of shape ``(N, channels, *shape)``, and ``b``, of shape ``(N, K,
    *shape)``, which `regularizers.generative.precision.Precision` takes.

    Raises
    ------
    ValueError
        If the decoder has other channels or images, a number is out of range, or
        ``least_deviation`` is not below `deviation`.
    TypeError
        If the decoder is none.

    Source: Dorta et al., Structured uncertainty prediction networks (2018); Duff, Simpson,
    Ehrhardt, Campbell, VAEs with structured image covariance applied to compressed sensing MRI
    (2023).
    """

    def __init__(self, decoder: Decoder, radius: int, channels: int = 1, *,
                 deviation: float = 0.1, least_deviation: float = 0.01) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(decoder, Decoder):
            raise TypeError(f"decoder is {shown(decoder)}, expected a Decoder, such as "
                            "networks.generative.FullyConnectedDecoder.")
        require_count("radius", radius, 0)
        require_positive("deviation", deviation)
        require_positive("least_deviation", least_deviation)
        if not least_deviation < deviation:
            raise ValueError(f"least_deviation is {least_deviation}, expected less than deviation "
                             f"= {deviation}, from which training starts.")
        if len(decoder.shape) != 2:
            raise ValueError(f"the decoder makes images of shape {decoder.shape}, expected two "
                             "axes, those of a window; for others take ConstantHead.")
        require_sizes({"channels": channels}, 2)
        expected = channels + later_neighbors(radius, channels)
        if decoder.channels != expected:
            raise ValueError(f"the decoder has {decoder.channels} channels, expected {expected}: "
                             f"{channels} and later_neighbors(radius, channels); build it with "
                             f"channels={expected}.")
        self.decoder, self.radius, self.least_deviation = decoder, radius, float(least_deviation)
        self.channels, self.shape = channels, decoder.shape
        self.log_precision = nn.Parameter(torch.tensor(-log(deviation)))

    @property
    def deviation(self) -> float:
        """``e^{-l_0}`` as it is now."""
        return float((-self.log_precision.detach()).exp())

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # (N, latent)
        raw, neighbors = self.decoder(z).tensor_split([self.channels], dim=1)
        return NoiseFloor(self.least_deviation)(self.log_precision + raw), neighbors
