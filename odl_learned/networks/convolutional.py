"""Convolutional networks on channels: a plain one and its residual form."""

from typing import cast

import torch
from torch import nn

from odl_learned.networks.layers import (
    CONVOLUTIONS,
    ChannelNetwork,
    require_channels,
    require_generator,
    require_sizes,
)


class CNN(ChannelNetwork):
    """Convolutions of width 3 with PReLU between them; it starts as the zero map.

    ``F = W_d o rho_{d-1} o W_{d-1} o ... o rho_1 o W_1``, with affine convolutions ``W_k`` (3 x 3
    in two dimensions) and ``rho_k(t) = max(t, 0) + a_k min(t, 0)``, one learned slope ``a_k`` (at
    first 1/4) per channel. Zeros are assumed outside of the image, so that its size is kept.
    Weights begin with Xavier's uniform distribution, biases at zero, the last layer at zero.

    Parameters
    ----------
    in_channels, out_channels, width : int
        Numbers of channels of input, output and of the layers between them, at least 1.
    depth : int
        Number of convolutions, at least 1.
    dimension : int
        Number of axes of an image: 1, 2 or 3. Input with more or fewer axes is an error.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, in_channels, *shape)`` to ``(N, out_channels, *shape)``, real, in the dtype of the
    weights.

    Raises
    ------
    ValueError
        For sizes below 1, another dimension, or an input of another shape.
    TypeError
        For an input of another dtype than the weights.

    Source: Adler, Oktem, Learned primal-dual reconstruction (2018).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        depth: int,
        *,
        dimension: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        require_sizes(
            {"in_channels": in_channels, "out_channels": out_channels, "width": width,
             "depth": depth}, dimension)
        require_generator(generator)
        super().__init__(in_channels, dimension)
        channels = [in_channels] + [width] * (depth - 1) + [out_channels]
        layers = []
        for before, after in zip(channels, channels[1:]):
            convolution = CONVOLUTIONS[dimension](before, after, kernel_size=3, padding=1)
            nn.init.xavier_uniform_(convolution.weight, generator=generator)
            nn.init.zeros_(cast(torch.Tensor, convolution.bias))
            layers += [convolution, nn.PReLU(after)]
        self.layers = nn.Sequential(*layers[:-1])
        nn.init.zeros_(cast(torch.Tensor, self.layers[-1].weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # (N, in_channels, *shape) -> (N, out_channels, *shape)
        weight = cast(torch.Tensor, self.layers[0].weight)
        require_channels(x, self.in_channels, self.dimension, weight)
        return self.layers(x)


class ResidualCNN(ChannelNetwork):
    """A convolutional network that learns the difference to its input; it starts as the identity.

    ``N(x) = (x_1, ..., x_out) + F(x)``, with the first ``out_channels`` channels of x and F a
    `CNN` with zeros outside of the image. F begins at zero, hence N with ``N(x) = (x_1, ...)``.

    Parameters
    ----------
    in_channels, out_channels, width, depth, dimension, generator
        Those of `CNN`; out_channels is at most in_channels.

    Maps ``(N, in_channels, *shape)`` to ``(N, out_channels, *shape)`` and raises what `CNN` does.

    Raises
    ------
    ValueError
        Also for more channels out than in.

    Source: Jin et al., Deep convolutional neural network for inverse problems in imaging (2017)
    for the skip connection; initial values after Adler, Oktem (2018).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        depth: int,
        *,
        dimension: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, dimension)
        self.residual = CNN(
            in_channels, out_channels, width, depth, dimension=dimension, generator=generator
        )
        if out_channels > in_channels:
            raise ValueError(
                f"out_channels is {out_channels}, expected at most in_channels = {in_channels}, "
                "because the output is a correction of the first input channels; use networks.CNN."
            )
        self.out_channels = out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # (N, in_channels, *shape) -> (N, out_channels, *shape)
        return self.residual(x) + x[:, : self.out_channels]
