"""Equivariant networks on channels, with the interface of the ordinary ones."""

from typing import cast

import torch
from torch import nn

from odl_learned.networks.equivariant.convolutions import GroupConvolution
from odl_learned.networks.equivariant.fields import regular, trivial
from odl_learned.networks.equivariant.groups import Group, require_group
from odl_learned.networks.equivariant.pointwise import FieldPReLU
from odl_learned.networks.layers import ChannelNetwork, require_channels, require_sizes


class EquivariantNetwork(ChannelNetwork):
    """Abstract: a network of channels that commutes with a group, ``N(g x) = g N(x)``.

    The channels of input and output are images that the group only moves. So the real and the
    imaginary part of a complex image are two channels, and its phase stays as it is.

    Parameters
    ----------
    group : Group
    in_channels : int
        Channels of the input.
    """

    def __init__(self, group: Group, in_channels: int) -> None:
        super().__init__(in_channels, group.dimension)
        self.group = group


def convolutions(group, in_channels, out_channels, fields, depth, size, generator):
    """The group convolutions of a plain network: lifted, between regular fields, projected."""
    inner = [regular(group, fields)] * (depth - 1)
    stations = [trivial(group, in_channels), *inner, trivial(group, out_channels)]
    return [GroupConvolution(source, target, size, generator=generator)
            for source, target in zip(stations, stations[1:])]  # fmt: skip


class EquivariantCNN(EquivariantNetwork):
    """Group convolutions with PReLU between them; it starts as the zero map.

    ``F = W_d o rho_{d-1} o W_{d-1} o ... o rho_1 o W_1`` with ``W_1`` from images to regular
    fields, ``W_d`` back, and ``rho_k(t) = max(t, 0) + a_k min(t, 0)``, one learned slope (at first
    1/4) for each field. ``F(g x) = g F(x)`` for all elements of the group: exactly where they map
    the grid to itself, and where not, for smooth images, up to the error of sampling. Zeros are
    assumed outside of the image, so that its size is kept. Weights begin as in `networks.CNN`.

    Parameters
    ----------
    group : Group
        For example ``Cyclic(4)``, the quarter turns; its dimension is that of the images.
    in_channels, out_channels : int
        Numbers of channels, at least 1.
    fields : int
        Regular fields between the convolutions, each of ``group.order`` channels.
    depth : int
        Number of convolutions, at least 1.
    size : int, optional
        Odd length of the filters; at least 5 if the group does not map the grid to itself.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, in_channels, *shape)`` to ``(N, out_channels, *shape)``, real, in the dtype of the
    weights.

    Raises
    ------
    ValueError
        For sizes below 1, filters of even size, or an input of another shape.
    TypeError
        For an input of another dtype than the weights, or another group.

    Source: Celledoni et al., Equivariant neural networks for inverse problems (2021), section 3.
    """

    def __init__(
        self,
        group: Group,
        in_channels: int,
        out_channels: int,
        fields: int,
        depth: int,
        *,
        size: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        require_equivariant_sizes(
            group, {"in_channels": in_channels, "out_channels": out_channels, "fields": fields,
                    "depth": depth}, size)  # fmt: skip
        super().__init__(group, in_channels)
        layers = []
        for layer in convolutions(
                group, in_channels, out_channels, fields, depth, size, generator):
            layers += [layer, FieldPReLU(layer.target)]
        self.layers = nn.Sequential(*layers[:-1])
        nn.init.zeros_(cast(torch.Tensor, self.layers[-1].weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = cast(torch.Tensor, self.layers[0].weight)
        require_channels(x, self.in_channels, self.dimension, weight)
        return self.layers(x)


class EquivariantDnCNN(EquivariantNetwork):
    """Group convolutions with ReLU between them that learn the noise, ``D(x) = x - F(x)``.

    The DnCNN of `networks.DnCNN` with ``D(g x) = g D(x)``. Its last convolution begins at a tenth
    of the weights of He et al. (2015), the others with them.

    Parameters
    ----------
    group : Group
        For example ``Cyclic(4)``, the quarter turns; its dimension is that of the images.
    channels : int
        Channels of the images, 1 for real and 2 for complex ones.
    fields : int
        Regular fields between the convolutions, each of ``group.order`` channels.
    depth : int
        Number of convolutions, at least 1.
    size, generator
        Those of `EquivariantCNN`.

    Maps ``(N, channels, *shape)`` to the same shape, real, in the dtype of the weights.

    Raises
    ------
    ValueError, TypeError
        As `EquivariantCNN`.

    Source: Zhang et al., Beyond a Gaussian denoiser (2017); equivariant denoisers: Terris et al.,
    Equivariant plug-and-play image reconstruction (2024).
    """

    def __init__(
        self,
        group: Group,
        channels: int,
        fields: int,
        depth: int,
        *,
        size: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        require_equivariant_sizes(
            group, {"channels": channels, "fields": fields, "depth": depth}, size)
        super().__init__(group, channels)
        layers = []
        for layer in convolutions(group, channels, channels, fields, depth, size, generator):
            layers += [layer.he_uniform(generator), nn.ReLU()]
        self.noise = nn.Sequential(*layers[:-1])
        with torch.no_grad():
            cast(torch.Tensor, self.noise[-1].weight).mul_(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, C, *shape) -> (N, C, *shape)
        weight = cast(torch.Tensor, self.noise[0].weight)
        require_channels(x, self.in_channels, self.dimension, weight)
        return x - self.noise(x)


def require_equivariant_sizes(group: Group, sizes: dict[str, int], size: int) -> None:
    """Raise unless this is a group, the named numbers are at least 1, and the filters odd."""
    require_group(group)
    require_sizes(sizes | {"size": size}, group.dimension)
    if size % 2 == 0:
        raise ValueError(f"size is {size}, expected an odd number, so that images keep their size.")
    if not group.is_exact and size == 3:
        raise ValueError(f"size is {size}, expected at least 5 for {group!r}: filters of 3 pixels "
                         "hold no circle that could be turned by less than 90 degrees.")
