r"""Layers that are 1-Lipschitz by construction: convolutions, sorting, averages.

A stack of them is 1-Lipschitz, too, and ``(1 + N) / 2`` with such a stack N is firmly
nonexpansive, what plug-and-play methods need to converge. `regularizers.certificates` proves it
for what is at hand.
"""

import abc
import math

import torch
from torch import nn

from odl_learned.networks.boundaries import ROUNDING, Boundary
from odl_learned.networks.images import require_network
from odl_learned.networks.layers import (
    ChannelNetwork,
    require_channels,
    require_generator,
    require_sizes,
)

CORRELATE = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}


class BoundedConvolution(ChannelNetwork, abc.ABC):
    """Abstract: a convolution with bias whose kernel is computed from parameters.

    Parameters
    ----------
    in_channels, out_channels, size : int
    boundary : Boundary
    dimension : int
    """

    def __init__(
        self, in_channels: int, out_channels: int, size: int, boundary: Boundary, dimension: int
    ) -> None:
        require_sizes({"in_channels": in_channels, "out_channels": out_channels, "size": size},
                      dimension)  # fmt: skip
        if not isinstance(boundary, Boundary):
            raise TypeError(f"boundary is of type {type(boundary).__name__}, expected "
                            "networks.Circular(), networks.Zero() or networks.Reflecting().")
        super().__init__(in_channels, dimension)
        self.out_channels, self.size, self.boundary = out_channels, size, boundary
        self.bias = nn.Parameter(torch.zeros(out_channels))

    @abc.abstractmethod
    def kernel(self) -> torch.Tensor:
        """Return the kernel ``(out_channels, in_channels, size, ...)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, in, *shape) -> (N, out, *shape)
        require_channels(x, self.in_channels, self.dimension, self.bias)
        padded = self.boundary(x, (self.size,) * self.dimension)
        return CORRELATE[self.dimension](padded, self.kernel(), self.bias)


class NormalizedConvolution(BoundedConvolution):
    r"""A convolution divided by a bound of its norm, that of its boundary.

    .. math:: K = \frac{W}{|W|_{\text{bound}}}, \qquad |K| \le 1
              \text{ for images of every size.}

    The bound is computed from all frequencies whenever the weights are used, so that there is no
    power iteration to converge and nothing to update after a step (`networks.Boundary`).

    Parameters
    ----------
    in_channels, out_channels, size : int
        Channels, and entries of the kernel along every axis.
    boundary : networks.Boundary
    dimension : int
        Number of axes of an image: 1, 2 or 3.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, in_channels, *shape)`` to ``(N, out_channels, *shape)``, in the dtype of the weights.

    Raises
    ------
    ValueError
        For sizes below 1, or an input of another shape or too small for the kernel.
    TypeError
        If the boundary is none, or for an input of another dtype.

    Source: Sedghi et al., The singular values of convolutional layers (2019), for the circular one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        boundary: Boundary,
        *,
        dimension: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, size, boundary, dimension)
        require_generator(generator)
        shape = (out_channels, in_channels, *[size] * dimension)
        self.weight = nn.Parameter(torch.randn(shape, generator=generator))

    def kernel(self) -> torch.Tensor:
        """Return the kernel of norm at most one, also after rounding to the dtype of the weights.

        Rounding changes entries by at most ``eps |k|``, a change of norm at most ``eps sum_t
        |k_t|_F <= eps sqrt(T) |k|_F``, with T taps; and ``|k|_F^2``, a mean over frequencies, is at
        most ``min(in, out)`` times the squared norm.
        """
        square = self.boundary.largest_square(self.weight)
        size = square.sqrt() * rounding_slack(self.weight, self.weight.dtype)
        return (self.weight.double() / size).to(self.weight.dtype)


def rounding_slack(kernel: torch.Tensor, dtype: torch.dtype) -> float:
    """Return a factor that bounds how the norm of a kernel grows when it is rounded to a dtype.

    See `NormalizedConvolution.kernel`; what its computation in double precision adds is included.
    """
    terms = math.prod(kernel.shape[2:]) * min(kernel.shape[:2])
    return 1 + torch.finfo(dtype).eps * (2 + math.sqrt(terms)) + ROUNDING


class GroupSort(nn.Module):
    """Sort the channels in groups, an activation that keeps norms: ``(a, b) -> (min, max)``.

    Locally it permutes channels, so that all singular values of its derivative are one; with
    groups of two it is the maximum-minimum activation.

    Parameters
    ----------
    group : int
        Channels of a group, at least 2; it divides the number of channels.

    Maps ``(N, C, *shape)`` to the same shape.

    Raises
    ------
    ValueError
        If the size of a group is below 2 or does not divide the number of channels.

    Source: Anil, Lucas, Grosse, Sorting out Lipschitz function approximation (2019).
    """

    def __init__(self, group: int = 2) -> None:
        super().__init__()
        if not isinstance(group, int) or isinstance(group, bool) or group < 2:
            raise ValueError(f"group is {group!r}; expected a whole number, at least 2, such as 2.")
        self.group = group

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (N, C, *shape) -> (N, C, *shape)
        if not isinstance(x, torch.Tensor) or x.ndim < 2 or x.shape[1] % self.group:
            given = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ValueError(f"x is {given}, expected a tensor (N, C, ...) with C a multiple of "
                             f"group = {self.group}; choose other widths.")
        if x.is_complex():
            raise TypeError("x is complex, expected real numbers, which have an order; pass real "
                            "and imaginary parts as channels.")
        groups = x.unflatten(1, (-1, self.group))
        if self.group == 2:
            first, second = groups.unbind(2)
            parts = (torch.minimum(first, second), torch.maximum(first, second))
            return torch.stack(parts, 2).flatten(1, 2)
        return groups.sort(dim=2).values.flatten(1, 2)


class Averaged(nn.Module):
    r"""The average of a network with the identity, ``D(x) = (x + N(x)) / 2``.

    It is firmly nonexpansive if and only if N is 1-Lipschitz; see
    `regularizers.certificates.certify_firmly_nonexpansive`, which finds out.

    Parameters
    ----------
    net : torch.nn.Module
        Maps tensors to tensors of the same shape.

    Raises
    ------
    TypeError
        If the network is no module.
    ValueError
        If its output has another shape.

    Source: Bauschke, Combettes, Convex analysis and monotone operator theory (2011), Prop. 4.4.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        require_network(net)
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.net(x)
        if y.shape != x.shape:
            raise ValueError(f"the network returned the shape {tuple(y.shape)}, expected "
                             f"{tuple(x.shape)}, that of its input; choose its channels so.")
        return (x + y) / 2
