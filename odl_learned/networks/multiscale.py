"""Networks on several scales: the U-Net, and padding that makes every size of image fit."""

import torch
from torch import nn
from torch.nn import functional

from odl_learned.networks.layers import (
    CONVOLUTIONS,
    ChannelNetwork,
    he_uniform,
    require_channels,
    require_sizes,
    require_widths,
)

_POOL = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_INTERPOLATION = {1: "linear", 2: "bilinear", 3: "trilinear"}


class UNet(ChannelNetwork):
    """Convolutions on scales that halve, with skips between equal ones; it starts as the zero map.

    On scale ``k``, with ``widths[k]`` channels, a block is twice a convolution of width 3, group
    normalization and ReLU. Down to the next scale images are averaged over ``2 x ... x 2`` pixels;
    up, they are interpolated linearly and joined with the channels of the way down. A convolution
    of width 1, zero at first, ends the network. Images of any size are reflected at their border
    to a multiple of the coarsest pixel and cut again. Group normalization takes the mean and
    variance of each sample by itself, in training and in evaluation, so that samples never mix.

    Parameters
    ----------
    in_channels, out_channels : int
        Numbers of channels, at least 1.
    widths : sequence of int
        Channels of every scale, from the finest; multiples of ``groups``.
    dimension : int
        Number of axes of an image: 1, 2 or 3.
    groups : int, optional
        Groups of the normalization.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, in_channels, *shape)`` to ``(N, out_channels, *shape)``, real, in the dtype of the
    weights; `Residual` adds the input.

    Raises
    ------
    ValueError
        For sizes below 1, widths that are no multiples of the groups, an input of another shape,
        or with an axis that is too short to be reflected.
    TypeError
        For an input of another dtype than the weights.

    Source: Ronneberger, Fischer, Brox, U-Net (2015); for inverse problems Jin et al., Deep
    convolutional neural network for inverse problems in imaging (2017), there with batch
    normalization; group normalization after Wu, He (2018).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: tuple[int, ...],
        *,
        dimension: int,
        groups: int = 4,
        generator: torch.Generator | None = None,
    ) -> None:
        named = require_widths(widths)
        require_sizes({"in_channels": in_channels, "out_channels": out_channels, "groups": groups,
                       "the number of scales": len(named), **named}, dimension)  # fmt: skip
        for name, width in named.items():
            if width % groups:
                raise ValueError(f"{name} is {width}, expected a multiple of groups = {groups}.")

        def block(before, after):
            layers = []
            for channels in (before, after):
                convolution = CONVOLUTIONS[dimension](channels, after, 3, padding=1, bias=False)
                layers += [he_uniform(convolution, generator), nn.GroupNorm(groups, after),
                           nn.ReLU()]  # fmt: skip
            return nn.Sequential(*layers)

        super().__init__(in_channels, dimension)
        self.factor = 2 ** (len(widths) - 1)
        self.channels_of_group = widths[-1] // groups
        pairs = list(zip(widths, widths[1:]))
        self.down = nn.ModuleList(block(*pair) for pair in [(in_channels, widths[0]), *pairs])
        self.up = nn.ModuleList([block(fine + coarse, fine) for fine, coarse in reversed(pairs)])
        self.last = CONVOLUTIONS[dimension](widths[0], out_channels, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, in, *shape) -> (N, out, *shape)
        require_channels(x, self.in_channels, self.dimension, self.last.weight)
        channels, crop = padded(x, self.factor)
        if self.channels_of_group * channels.shape[2:].numel() == self.factor**self.dimension:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: a group of the coarsest scale has one channel of "
                "one pixel, whose deviation from its own mean is zero; expected more, take fewer "
                "scales or fewer groups.")
        kept = []
        for block in self.down[:-1]:
            kept.append(block(channels))
            channels = _POOL[self.dimension](kept[-1], 2)
        channels = self.down[-1](channels)
        for block in self.up:
            finer = functional.interpolate(
                channels, scale_factor=2, mode=_INTERPOLATION[self.dimension], align_corners=False)
            channels = block(torch.cat([kept.pop(), finer], dim=1))
        return self.last(channels)[crop]


class Residual(ChannelNetwork):
    """A network that learns the difference to its input, ``N(x) = (x_1, ..., x_c) + F(x)``.

    Where F starts as the zero map, N starts as the identity on its first channels.

    Parameters
    ----------
    net : ChannelNetwork
        F, maps ``(N, in_channels, *shape)`` to ``(N, c, *shape)`` with c at most ``in_channels``,
        for example a `UNet`.

    Raises
    ------
    TypeError
        If the network is none on channels.
    ValueError
        On call, if it returns more channels than it is given, or another size of images.
    """

    def __init__(self, net: ChannelNetwork) -> None:
        if not isinstance(net, ChannelNetwork):
            raise TypeError(f"net is of type {type(net).__name__}, expected a network on channels, "
                            "such as networks.UNet.")
        super().__init__(net.in_channels, net.dimension)
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, in, *shape) -> (N, c, *shape)
        y = self.net(x)
        if y.shape[:1] + y.shape[2:] != x.shape[:1] + x.shape[2:] or y.shape[1] > x.shape[1]:
            raise ValueError(
                f"the network maps {tuple(x.shape)} to {tuple(y.shape)}, expected the same size "
                f"and at most {x.shape[1]} channels, because it corrects the first channels of its "
                "input."
            )
        return x[:, : y.shape[1]] + y


def padded(x: torch.Tensor, factor: int) -> tuple[torch.Tensor, tuple]:
    """Reflect images at their border until their lengths are multiples of a factor.

    Parameters
    ----------
    x : torch.Tensor, shape (N, C, *shape)
    factor : int

    Returns
    -------
    larger : torch.Tensor, shape (N, C, *multiples of factor)
        ``x`` itself where nothing is missing.
    crop : tuple of slices
        ``larger[crop]`` has the entries of ``x``.

    Raises
    ------
    ValueError
        If an axis is too short: reflection adds less than its length on either side.
    """
    pads, crop = [], [slice(None), slice(None)]
    for axis, n in enumerate(x.shape[2:]):
        before = (-n % factor) // 2
        after = -n % factor - before
        if after >= n:
            raise ValueError(
                f"axis {axis} of the image has length {n}, too short for {factor} pixels on the "
                f"coarsest scale; expected at least {after + 1}, or take fewer scales."
            )
        pads.append((before, after))
        crop.append(slice(before, before + n))
    if not any(map(any, pads)):
        return x, tuple(crop)
    flat = [length for pair in reversed(pads) for length in pair]
    return functional.pad(x, flat, mode="reflect"), tuple(crop)
