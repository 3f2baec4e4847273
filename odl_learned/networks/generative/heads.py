"""Heads of the covariance: what a latent vector says about deviations from the mean."""

from math import log
from typing import final

import torch
from torch import nn
from torch.nn import functional

from odl_learned.networks.generative.decoders import Decoder
from odl_learned.networks.layers import require_sizes
from odl_learned.validation import (
    require_count,
    require_image_shape,
    require_positive,
    shown,
)


def later_neighbors(radius: int, dimension: int) -> int:
    """Number of later neighbors in a window, ``((2 radius + 1)^dimension - 1) / 2``."""
    return ((2 * radius + 1) ** dimension - 1) // 2


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
    ``(N, channels, *shape)``, and None in place of neighbors.

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

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, None]:  # (N, latent)
        return self.log_precision.expand(len(z), self.channels, *self.shape), None


@final
class WindowHead(nn.Module):
    r"""The sparse triangular factor of the precision of a latent vector, pixel by pixel.

    .. math:: P = L L^T, \qquad (L^T v)_i = e^{l_i} \Big( v_i + \sum_c b_{c,i} v_{i + s_c} \Big),
              \qquad l = m - \log\big( 1 + e^{m - l_0 - r} \big) < m,

    with the ``K = ((2 radius + 1)^d - 1) / 2`` later neighbors ``i + s_c`` in a window, and r and b
    the channels of a decoder. The bound ``m = -log least_deviation`` keeps what is always the same
    in the images, such as a background, from becoming infinitely precise.

    Parameters
    ----------
    decoder : Decoder
        To ``channels (1 + K)`` channels; for each channel of the image first r, then b. Made with a
        small `scale`, the covariance starts near the constant one.
    radius : int
        Of the window: 0 is the diagonal, 1 a window of 3 x 3, with K = 4.
    deviation : float, optional
        ``e^{-l_0}``, about the standard deviation of pixels at the start, in the unit of the
        images; ``l_0`` is learned.
    least_deviation : float, optional
        A pixel is never more certain than that, given its later neighbors; the level of the noise
        that is added in training is a natural value.

    Maps ``(N, latent)`` to ``l``, of shape ``(N, channels, *shape)``, and ``b``, of shape ``(N,
    channels, K, *shape)``, None for radius 0.

    Raises
    ------
    ValueError
        If the decoder has other channels, a number is out of range, or ``least_deviation`` is not
        below `deviation`.
    TypeError
        If the decoder is none.

    Source: Dorta et al., Structured uncertainty prediction networks (2018); Duff, Simpson,
    Ehrhardt, Campbell, VAEs with structured image covariance applied to compressed sensing MRI
    (2023).
    """

    def __init__(self, decoder: Decoder, radius: int, *, deviation: float = 0.1,
                 least_deviation: float = 0.01) -> None:  # fmt: skip
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
        self.entries = 1 + later_neighbors(radius, len(decoder.shape))
        if decoder.channels % self.entries:
            raise ValueError(f"the decoder has {decoder.channels} channels, expected a multiple of "
                             f"1 + K = {self.entries} for a window of radius {radius}; build it "
                             f"with channels={self.entries} for images of one channel.")
        self.decoder, self.radius, self.least_deviation = decoder, radius, float(least_deviation)
        self.channels, self.shape = decoder.channels // self.entries, decoder.shape
        self.log_precision = nn.Parameter(torch.tensor(-log(deviation)))

    @property
    def deviation(self) -> float:
        """``e^{-l_0}`` as it is now."""
        return float((-self.log_precision.detach()).exp())

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:  # (N, latent)
        raw = self.decoder(z).unflatten(1, (self.channels, self.entries))
        bound = -log(self.least_deviation)
        log_diagonal = bound - functional.softplus(bound - self.log_precision - raw[:, :, 0])
        return log_diagonal, raw[:, :, 1:] if self.radius else None
