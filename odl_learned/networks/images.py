"""Images have no channel axis, networks have one: the way there and back."""

from math import prod

import torch
from torch import nn

from odl_learned.networks.layers import ChannelNetwork


def require_network(net):
    """Raise TypeError unless the network is a torch module."""
    if not isinstance(net, nn.Module):
        raise TypeError(
            f"net is of type {type(net).__name__}, expected a torch.nn.Module on channels, "
            "such as networks.CNN."
        )


def require_dimension(dimension, net=None):
    """Raise unless the dimension of an image is a whole number and that of the network, if known.

    Parameters
    ----------
    dimension : int
        Number of axes of an image, at least 1.
    net : torch.nn.Module, optional
        A network that may say its own dimension, ``net.dimension``, as `networks.CNN` does.

    Raises
    ------
    ValueError
        If the dimension is no such number, or another one than that of the network.
    """
    if not isinstance(dimension, int) or isinstance(dimension, bool) or dimension < 1:
        raise ValueError(
            f"dimension is {dimension!r}, expected a whole number, at least 1: the number of axes "
            "of an image, len(space.shape)."
        )
    if isinstance(net, ChannelNetwork) and net.dimension != dimension:
        raise ValueError(
            f"the network is for images with {net.dimension} axes and dimension is {dimension}, "
            f"expected equal numbers; build it with {type(net).__name__}(..., "
            f"dimension={dimension}), or pass dimension={net.dimension} if that is what the images "
            "have."
        )


def to_channels(x, dimension):
    """Give images a channel axis: one channel for real, (real, imaginary) for complex images.

    Parameters
    ----------
    x : torch.Tensor, shape (*batch, *shape)
        Real or complex images; the last `dimension` axes are those of the image.
    dimension : int
        Number of axes of an image, ``len(space.shape)``; all axes before them are batch axes.

    Returns
    -------
    torch.Tensor, shape (N, 1, *shape) or (N, 2, *shape)
        Real, with N the number of images in the batch (1 without batch axes).

    Raises
    ------
    ValueError
        If x has fewer than `dimension` axes.
    """
    require_dimension(dimension)
    if x.ndim < dimension:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, expected at least {dimension} axes, those of the "
            "image; pass the `dimension` of the image."
        )
    split = x.ndim - dimension
    images = x.reshape(prod(x.shape[:split]), *x.shape[split:])
    parts = (images.real, images.imag) if images.is_complex() else (images,)
    return torch.stack(parts, dim=1)


def from_channels(channels, like, dimension):
    """Invert `to_channels`: turn channels into images of the shape and kind of `like`.

    Parameters
    ----------
    channels : torch.Tensor, shape (N, 1, *shape) or (N, 2, *shape)
        Real; two channels, the real and the imaginary part, if `like` is complex.
    like : torch.Tensor, shape (*batch, *shape)
        The images that `to_channels` was given.
    dimension : int
        Number of axes of an image, as there.

    Returns
    -------
    torch.Tensor, shape (*batch, *shape)

    Raises
    ------
    ValueError
        If the channels have another shape.
    """
    require_dimension(dimension)
    split = like.ndim - dimension
    count = 2 if like.is_complex() else 1
    expected = (prod(like.shape[:split]), count, *like.shape[split:])
    if tuple(channels.shape) != expected:
        kind = "complex" if like.is_complex() else "real"
        raise ValueError(
            f"the channels have shape {tuple(channels.shape)}, expected {expected} for {kind} "
            f"images of shape {tuple(like.shape)}; give the network {count} output channel(s) and "
            "keep the size of the image."
        )
    images = torch.complex(channels[:, 0], channels[:, 1]) if count == 2 else channels[:, 0]
    return images.reshape(like.shape)


class OnImages(nn.Module):
    """A channel network acting on images: ``x -> from_channels(net(to_channels(x)))``.

    Parameters
    ----------
    net : torch.nn.Module
        Maps ``(N, C, *shape)`` to ``(N, C, *shape)`` with C = 1 for real images and C = 2, the
        real and the imaginary part, for complex images.
    dimension : int
        Number of axes of an image, ``len(space.shape)``: 1 for signals, 3 for volumes. All axes
        before them are batch axes, so that a wrong number would take samples for pixels.

    Maps ``(*batch, *shape)`` to ``(*batch, *shape)`` in the same dtype, with any number of batch
    axes, also none.

    Raises
    ------
    ValueError
        If the dimension is not that of the network, the input has too few axes, or the network
        another output shape.
    TypeError
        If the network is no module.
    """

    def __init__(self, net, *, dimension):
        super().__init__()
        require_network(net)
        require_dimension(dimension, net)
        self.net = net
        self.dimension = dimension

    def forward(self, x):  # (*batch, *shape) -> (*batch, *shape)
        channels = self.net(to_channels(x, self.dimension))
        return from_channels(channels, x, self.dimension)
