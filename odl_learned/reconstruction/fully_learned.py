"""AUTOMAP: a reconstruction that learns everything, the inverse of the operator included."""

from math import prod
from typing import cast

import torch
from torch import nn

from odl_learned.networks.layers import (
    CONVOLUTIONS,
    TRANSPOSED,
    require_generator,
    require_like_weights,
    require_sizes,
)
from odl_learned.reconstruction.tensor_maps import require_tensor
from odl_learned.validation import require_image_shape


class AUTOMAP(nn.Module):
    r"""Dense layers from data to image, and convolutions behind them; no forward operator.

    .. math:: v = \tanh (W_2 \tanh (W_1 y + b_1) + b_2), \qquad
              u = G \, \rho (C_2 \, \rho (C_1 v)),

    with ``W_1`` and ``W_2`` dense matrices onto the pixels of the image, ``C_1`` and ``C_2``
    convolutions of width 5, ``rho`` the ReLU, and ``G`` a transposed convolution of width 7.
    Complex data and images are twice as many real numbers. Since nothing is known of the operator,
    weights grow with the product of both sizes, and a network belongs to one geometry.

    Parameters
    ----------
    data_shape, image_shape : tuple of int
        Shapes of the data, ``Y.shape``, and of the image, ``X.shape``, of 1 to 3 axes.
    width : int
        Channels of the convolutions; 64 in the paper.
    data_parts, image_parts : int, optional
        1 for real and 2 for complex data or images.
    largest : int, optional
        Largest number of dense weights, 2^28 if left away: a gigabyte in single precision.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps data ``(*batch, *data_shape)`` to images ``(*batch, *image_shape)``.

    Raises
    ------
    ValueError
        If there would be more dense weights than ``largest``, sizes are wrong, or data of another
        shape are passed.
    TypeError
        If data are real or complex against what was said.

    Source: Zhu et al., Image reconstruction by domain-transform manifold learning (2018), figure 1.
    """

    def __init__(
        self,
        data_shape: tuple[int, ...],
        image_shape: tuple[int, ...],
        width: int,
        *,
        data_parts: int = 1,
        image_parts: int = 1,
        largest: int = 2**28,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        data_shape = require_image_shape(data_shape, name="data_shape")
        image_shape = require_image_shape(image_shape, name="image_shape")
        require_sizes({"width": width, "largest": largest}, len(image_shape))
        require_generator(generator)
        for name, parts in (("data_parts", data_parts), ("image_parts", image_parts)):
            if not isinstance(parts, int) or parts not in (1, 2):
                raise ValueError(f"{name} is {parts!r}; expected 1 for real or 2 for complex.")
        self.data_shape, self.image_shape = data_shape, image_shape
        self.data_parts, self.image_parts = data_parts, image_parts
        numbers = data_parts * prod(data_shape), image_parts * prod(image_shape)
        weights = numbers[1] * sum(numbers)
        if weights > largest:
            raise ValueError(
                f"data of shape {data_shape} and images of shape {image_shape} need {weights:,} "
                f"dense weights, {4 * weights / 2**30:.3g} GiB in single precision; expected at "
                f"most largest = {largest:,}. Take smaller images, a method that knows the "
                "operator, or pass a larger limit."
            )
        dimension = len(image_shape)
        self.dense = nn.Sequential(nn.Linear(numbers[0], numbers[1]), nn.Tanh(),
                                   nn.Linear(numbers[1], numbers[1]), nn.Tanh())  # fmt: skip
        convolution, transposed = CONVOLUTIONS[dimension], TRANSPOSED[dimension]
        self.refine = nn.Sequential(
            convolution(image_parts, width, 5, padding=2), nn.ReLU(),
            convolution(width, width, 5, padding=2), nn.ReLU(),
            transposed(width, image_parts, 7, padding=3))
        for layer in (*self.dense, *self.refine):
            if hasattr(layer, "weight"):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *data_shape) -> (*batch, *image_shape)
        require_tensor("data", data)
        batch = data.shape[: data.ndim - len(self.data_shape)]
        if data.ndim < len(self.data_shape) or data.shape[len(batch) :] != self.data_shape:
            raise ValueError(f"data has shape {tuple(data.shape)}, expected (*batch, "
                             f"{', '.join(map(str, self.data_shape))}), the one geometry that this "
                             "network was made for.")
        if data.is_complex() != (self.data_parts == 2):
            expected = "complex" if self.data_parts == 2 else "real"
            raise TypeError(f"data has dtype {data.dtype}, expected {expected} numbers; build the "
                            f"network with data_parts={1 + data.is_complex()}.")
        flat = data.reshape(batch.numel(), *self.data_shape).flatten(1)
        if self.data_parts == 2:
            flat = torch.cat([flat.real, flat.imag], dim=1)
        require_like_weights("data", flat, cast(torch.Tensor, self.dense[0].weight))
        channels = self.dense(flat).reshape(len(flat), self.image_parts, *self.image_shape)
        image = self.refine(channels).to(flat.dtype)  # from torch.autocast, half precision
        image = torch.complex(image[:, 0], image[:, 1]) if self.image_parts == 2 else image[:, 0]
        return image.reshape(*batch, *self.image_shape)
