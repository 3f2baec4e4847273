"""Layers by the dimension of the image, and what every channel network checks at its door."""

from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from odl_learned.validation import shown

#: No number of channels or layers exceeds it; dense layers have fewer weights.
LARGEST_SIZE = 2**31

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
Layer = TypeVar("Layer", bound=nn.Linear | _ConvNd)


class ChannelNetwork(nn.Module):
    """Abstract: a network from ``(N, in_channels, *shape)`` that knows ``len(shape)``.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    dimension : int
        Number of axes of an image: 1, 2 or 3; what puts it on images compares.
    """

    def __init__(self, in_channels: int, dimension: int) -> None:
        super().__init__()
        self.in_channels, self.dimension = in_channels, dimension


def require_sizes(sizes: dict[str, int], dimension: int) -> None:
    """Raise ValueError unless the sizes are whole numbers of at least 1, the dimension 1, 2 or 3.

    Parameters
    ----------
    sizes : dict, str -> int
        Numbers of channels and layers by their names.
    dimension : int
        Number of axes of an image.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name} is {shown(size)}; expected a whole number, at least 1.")
        if size > LARGEST_SIZE:
            raise ValueError(f"{name} is {shown(size)}; expected at most {LARGEST_SIZE}.")
    if not isinstance(dimension, int) or dimension not in CONVOLUTIONS:
        raise ValueError(f"dimension is {dimension!r}; expected 1, 2 or 3, that of the image.")


def require_widths(widths: tuple[int, ...]) -> dict[str, int]:
    """Return the numbers of channels by their names, for `require_sizes`, or raise TypeError."""
    if not isinstance(widths, tuple | list):
        raise TypeError(f"widths is {shown(widths)}; expected a tuple, the channels of each scale, "
                        "such as (32, 64).")
    return {f"widths[{k}]": width for k, width in enumerate(widths)}


def require_generator(generator: torch.Generator | None) -> None:
    """Raise TypeError unless this is a generator of torch, or None for its own."""
    if not (generator is None or isinstance(generator, torch.Generator)):
        raise TypeError(f"generator is {shown(generator)}; expected a torch.Generator, built by "
                        "torch.Generator().manual_seed(seed), or None.")


def require_channels(
    x: torch.Tensor, in_channels: int, dimension: int, weight: torch.Tensor
) -> None:
    """Raise unless ``x`` is ``(N, in_channels, *shape)`` of the dtype and device of the weights.

    Raises
    ------
    ValueError
        For another shape or device.
    TypeError
        For another dtype, or no tensor.
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"x is of type {type(x).__name__}, expected a tensor; convert it with "
                        "torch.as_tensor, or call an ODL operator by bridge.as_operator.")
    if x.ndim != dimension + 2 or x.shape[1] != in_channels:
        axes = ", ".join("HWD"[:dimension])
        raise ValueError(
            f"x has shape {tuple(x.shape)}, expected (N, {in_channels}, {axes}); for images "
            "without a channel axis wrap the network in networks.OnImages."
        )
    require_like_weights("x", x, weight)


def require_like_weights(name: str, x: torch.Tensor, weight: torch.Tensor) -> None:
    """Raise TypeError unless ``x`` has the dtype of the weights, ValueError unless their device."""
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(
            f"{name} is of dtype {x.dtype}, expected {weight.dtype}, that of the weights; convert "
            "one of them with .to(dtype), or wrap a network in networks.OnImages if x is complex."
        )
    if x.device != weight.device:
        raise ValueError(
            f"{name} is on {x.device}, expected {weight.device}, where the weights are; move one "
            "of them with .to(device)."
        )


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """The same channels ``(N, C, H, W)``, last in memory, as convolutions of the CPU prefer them.

    Images of one or three axes, and what is on another device, are returned as they are.
    """
    if x.ndim != 4 or x.device.type != "cpu":
        return x
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def he_uniform(layer: Layer, generator: torch.Generator | None) -> Layer:
    """Give a layer before a ReLU the weights of He et al. (2015), and biases zero; return it.

    Weights are uniform with variance ``2 / fan_in``, so that the size of what passes is kept.
    """
    require_generator(generator)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
