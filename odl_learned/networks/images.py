"""Images have no channel axis, networks have one: the way there and back."""

from math import prod

import torch
from torch import nn


def to_channels(x, dimension=2):
    """Give images a channel axis: one channel for real, (real, imaginary) for complex images.

    Parameters
    ----------
    x : torch.Tensor, shape (*batch, *shape)
        Real or complex images; the last `dimension` axes are those of the image.
    dimension : int
        Dimension of the image.

    Returns
    -------
    torch.Tensor, shape (N, 1, *shape) or (N, 2, *shape)
        Real, with N the number of images in the batch (1 without batch axes).

    Raises
    ------
    ValueError
        If x has fewer than `dimension` axes.
    """
    if x.ndim < dimension:
        raise ValueError(
            f"x has shape {tuple(x.shape)}, expected at least {dimension} axes, those of the "
            "image; pass the `dimension` of the image."
        )
    split = x.ndim - dimension
    images = x.reshape(prod(x.shape[:split]), *x.shape[split:])
    parts = (images.real, images.imag) if images.is_complex() else (images,)
    return torch.stack(parts, dim=1)


def from_channels(channels, like, dimension=2):
    """Invert `to_channels`: turn channels into images of the shape and kind of `like`.

    Parameters
    ----------
    channels : torch.Tensor, shape (N, 1, *shape) or (N, 2, *shape)
        Real; two channels, the real and the imaginary part, if `like` is complex.
    like : torch.Tensor, shape (*batch, *shape)
        The images that `to_channels` was given.
    dimension : int
        Dimension of the image.

    Returns
    -------
    torch.Tensor, shape (*batch, *shape)

    Raises
    ------
    ValueError
        If the channels have another shape.
    """
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
        Dimension of the image.

    Maps ``(*batch, *shape)`` to ``(*batch, *shape)`` in the same dtype, with any number of batch
    axes, also none.

    Raises
    ------
    ValueError
        If the input has too few axes or the network another output shape.
    TypeError
        If the network is no module.
    """

    def __init__(self, net, *, dimension=2):
        super().__init__()
        if not isinstance(net, nn.Module):
            raise TypeError(
                f"net is of type {type(net).__name__}, expected a torch.nn.Module on channels, "
                "such as networks.CNN."
            )
        self.net = net
        self.dimension = dimension

    def forward(self, x):  # (*batch, *shape) -> (*batch, *shape)
        channels = self.net(to_channels(x, self.dimension))
        return from_channels(channels, x, self.dimension)
