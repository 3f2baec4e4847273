r"""Filters of ridge regularizers: products of small convolutions, of norm one, without mean."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import nn

from odl_learned.networks.boundaries import Boundary
from odl_learned.networks.layers import require_sizes
from odl_learned.validation import shown

COMPOSE = {1: nn.functional.conv_transpose1d, 2: nn.functional.conv_transpose2d,
           3: nn.functional.conv_transpose3d}  # fmt: skip
CORRELATE = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}


class ComposedFilters(nn.Module):
    r"""A bank of K filters, a product of convolutions with a few channels between them.

    .. math:: W = \frac{V_m \cdots V_1}{|V_m \cdots V_1|}, \qquad |W| \le 1
              \text{ for images of every size,}

    with ``V_m`` free of mean in every filter. Images are padded once, before the first of them, so
    that W is one convolution, whose norm is bounded for the boundary in use by
    `networks.Boundary.largest_square`; with zeros in every layer it would not be.

    It begins with cosines: the last kernels are those of the cosine transform of a patch, the first
    ones an impulse and binomial filters of growing width.

    Parameters
    ----------
    channels : sequence of int
        ``(1, ..., K)``, such as ``(1, 4, 8, 60)``, or ``(1, 24)`` for K free filters.
    size : int
        Entries of every kernel along each axis, odd; the filters have ``m (size - 1) + 1``.
    boundary : networks.Boundary
        How images go on.
    dimension : int
        Number of axes of an image: 1, 2 or 3.

    Raises
    ------
    ValueError
        For channels that do not begin with one, sizes that are even or below 3.
    TypeError
        If the boundary is none.

    Source: Goujon, Neumayer, Unser, Learning weakly convex regularizers for convergent image
    reconstruction algorithms (2024), section 4.
    """

    def __init__(
        self, channels: Sequence[int], size: int, boundary: Boundary, *, dimension: int
    ) -> None:
        super().__init__()
        if not isinstance(channels, list | tuple) or len(channels) < 2 or channels[0] != 1:
            raise ValueError(f"channels is {shown(channels)}, expected (1, ..., K): one channel at "
                             "first, such as (1, 24).")
        require_sizes({f"channels[{i}]": n for i, n in enumerate(channels)} | {"size": size},
                      dimension)  # fmt: skip
        if size < 3 or size % 2 == 0:
            raise ValueError(f"size is {size}, expected an odd number, at least 3, so that filters "
                             "have a center.")
        if not isinstance(boundary, Boundary):
            raise TypeError(f"boundary is {shown(boundary)}, expected networks.Reflecting(), "
                            "networks.Inside(), networks.Circular() or networks.Zero().")
        self.channels, self.size, self.boundary = tuple(channels), size, boundary
        self.dimension = dimension
        pairs = list(zip(channels, channels[1:]))
        first = [_binomials(after, before, size, dimension) for before, after in pairs[:-1]]
        last = cosine_kernels(channels[-1], channels[-2], size, dimension)
        self.kernels = nn.ParameterList([*first, last])

    @property
    def support(self) -> int:
        """Entries of the filters along each axis."""
        return len(self.kernels) * (self.size - 1) + 1

    def kernel(self) -> torch.Tensor:
        """Return the filters ``(K, 1, *support)``, of norm one together, differentiable."""
        axes = tuple(range(2, 2 + self.dimension))
        last = self.kernels[-1]
        kernel = last - last.mean(axes, keepdim=True)
        for factor in reversed(self.kernels[:-1]):
            kernel = COMPOSE[self.dimension](kernel, factor)
        size = self.boundary.largest_square(kernel).sqrt()
        # Rounding of single precision is in the constants of the functional, not here.
        return kernel / size.to(kernel.dtype)

    def respond(self, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """Return responses ``(B, K, *)`` of real images ``(B, *shape)``."""
        x = self.boundary(x, kernel.shape[2:])
        return CORRELATE[self.dimension](x[:, None], kernel)

    def transpose(self, p: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        """Return the transpose of `respond`, ``(B, *shape)``."""
        sizes = tuple(kernel.shape[2:])
        if self.dimension == 2:
            # The transpose of a convolution with one input channel is slow in torch; a product of
            # matrices, whose rows are shifted and added up, takes a quarter of its time.
            shifted = kernel.flatten(1).T @ p.flatten(2)
            full = tuple(n + s - 1 for n, s in zip(p.shape[2:], sizes))
            x = nn.functional.fold(shifted, full, sizes)
        else:
            x = COMPOSE[self.dimension](p, kernel)
        return self.boundary.fold(x[:, 0], sizes)


def cosine_kernels(out, before, size, dimension):
    """Kernels ``(out, before, size, ...)``: cosines of patches, for one channel after the other."""
    i, k = torch.arange(size) + 0.5, torch.arange(size)
    rows = torch.cos(math.pi / size * i * k[:, None])
    rows = rows / rows.norm(dim=1, keepdim=True)
    places = sorted(itertools.product(range(size), repeat=dimension), key=lambda p: (sum(p), p))
    kernel = torch.zeros(out, before, *[size] * dimension)
    generator = torch.Generator().manual_seed(0)
    for k in range(out):
        channel, number = divmod(k, len(places) - 1)
        if channel >= before:  # more filters than cosines
            kernel[k] = torch.randn(kernel[k].shape, generator=generator) / size
            continue
        patch = torch.ones(())
        for frequency in places[number + 1]:
            patch = patch[..., None] * rows[frequency]
        kernel[k, channel] = patch
    return kernel


def _binomials(after, before, size, dimension):
    """Kernels ``(after, before, size, ...)``: an impulse, and binomials of growing width."""
    kernel = torch.zeros(after, before, *[size] * dimension)
    generator = torch.Generator().manual_seed(0)
    for k in range(after):
        width = min(k, size // 2)
        row = torch.tensor([float(math.comb(2 * width, j)) for j in range(2 * width + 1)])
        row = nn.functional.pad(row / row.sum(), [size // 2 - width] * 2)
        patch = torch.ones(())
        for _ in range(dimension):
            patch = patch[..., None] * row
        kernel[k, min(k, before - 1)] = patch
        if k > size // 2:
            kernel[k] += 0.1 * torch.randn(kernel[k].shape, generator=generator)
    return kernel
