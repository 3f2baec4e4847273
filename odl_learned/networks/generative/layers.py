"""What encoders and decoders are built of, and what they check at their doors."""

from math import prod, sqrt
from typing import cast

import torch
from torch import nn

from odl_learned.networks.layers import Layer, he_uniform, require_generator, require_sizes
from odl_learned.validation import require_image_shape, require_nonnegative, shown


def require_architecture(
    channels: int, shape: tuple[int, ...], widths: tuple[int, ...], latent: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return shape and widths as tuples, or raise as for every network.

    Raises
    ------
    TypeError
        If shape or widths are no tuples.
    ValueError
        If a number is not positive and whole, or the images have more than three axes.
    """
    shape = require_image_shape(shape)
    if not isinstance(widths, tuple | list) or not widths:
        raise TypeError(f"widths is {shown(widths)}; expected a tuple with at least one number, "
                        "such as (256, 128).")
    named = {f"widths[{k}]": width for k, width in enumerate(widths)}
    require_sizes({"channels": channels, "latent": latent, **named}, len(shape))
    return shape, tuple(widths)


def require_halves(shape: tuple[int, ...], widths: tuple[int, ...], groups: int) -> None:
    """Raise ValueError unless the shape can be halved for each width, which groups divide."""
    require_sizes({"groups": groups}, len(shape))
    for axis, n in enumerate(shape):
        if n % 2 ** len(widths):
            raise ValueError(f"axis {axis} of the image has length {n}, expected a multiple of "
                             f"{2 ** len(widths)}, as it is halved for each of the {len(widths)} "
                             "widths; pad the images, or take fewer widths.")
    for k, width in enumerate(widths):
        if width % groups:
            raise ValueError(f"widths[{k}] is {width}, expected a multiple of groups = {groups}.")


def dense(sizes: tuple[int, ...], generator: torch.Generator | None, scale: float) -> nn.Sequential:
    """Linear layers of these sizes with SiLU between them, the last with weights of this scale."""
    layers = []
    for before, after in zip(sizes[:-2], sizes[1:-1]):
        layers += [he_uniform(nn.Linear(before, after), generator), nn.SiLU()]
    return nn.Sequential(*layers, scaled(nn.Linear(sizes[-2], sizes[-1]), generator, scale))


def scaled(layer: Layer, generator: torch.Generator | None, scale: float) -> Layer:
    """Give a last layer uniform weights below ``scale / sqrt(fan_in)``, and no biases; return it.
    """
    require_generator(generator)
    require_nonnegative("scale", scale)
    bound = scale / sqrt(prod(layer.weight.shape[1:]))
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.zeros_(cast(torch.Tensor, layer.bias))
    return layer
