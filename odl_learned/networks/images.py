"""Images have no channel axis, networks have one: the way there and back."""

from math import prod

import torch
from torch import nn

from odl_learned.networks.layers import ChannelNetwork
from odl_learned.validation import require_count


def require_network(net: nn.Module) -> None:
    """Raise TypeError unless the network is a torch module."""
    if not isinstance(net, nn.Module):
        raise TypeError(
            f"net is of type {type(net).__name__}, expected a torch.nn.Module on channels, "
            "such as networks.CNN."
        )


def require_dimension(dimension: int, net: nn.Module | None = None) -> None:
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


def to_channels(x: torch.Tensor, dimension: int, components: int = 0) -> torch.Tensor:
    """Give images a channel axis: one channel for real, (real, imaginary) for complex images.

    Parameters
    ----------
    x : torch.Tensor, shape (*batch, *component axes, *shape)
        Real or complex images; the last `dimension` axes are those of the image.
    dimension : int
        Number of axes of an image, ``len(space.shape)``.
    components : int, optional
        Number of axes before them that count the components of one sample, such as the coils of
        data or a memory, and become channels; all axes before these are batch axes.

    Returns
    -------
    torch.Tensor, shape (N, C, *shape)
        Real, with N the number of samples in the batch (1 without batch axes) and C that of the
        components, one without component axes; for complex images C real parts, then C imaginary
        ones.

    Raises
    ------
    ValueError
        If x has fewer axes than those of image and components.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks
    >>> x = torch.tensor([[1 + 2j, 3 - 1j]])
    >>> channels = networks.to_channels(x, dimension=1)
    >>> print(tuple(channels.shape))
    (1, 2, 2)
    >>> print(networks.from_channels(channels, x, dimension=1))
    tensor([[1.+2.j, 3.-1.j]])
    """
    batch, channels, shape = _axes("x", x, dimension, components)
    images = x.reshape(prod(batch), prod(channels), *shape)
    return torch.cat((images.real, images.imag), dim=1) if images.is_complex() else images


def from_channels(
    channels: torch.Tensor, like: torch.Tensor, dimension: int, components: int = 0
) -> torch.Tensor:
    """Invert `to_channels`: turn channels into images of the shape and kind of `like`.

    Parameters
    ----------
    channels : torch.Tensor, shape (N, C, *shape) or (N, 2 C, *shape)
        Real; if `like` is complex, C real parts and then C imaginary ones. Those of networks in
        half precision, under ``torch.autocast``, are converted.
    like : torch.Tensor, shape (*batch, *component axes, *shape)
        The images that `to_channels` was given, or others with as many components as are wanted.
    dimension, components : int
        As there.

    Returns
    -------
    torch.Tensor of the shape and dtype of `like`

    Raises
    ------
    TypeError
        If they are no tensors.
    ValueError
        If the channels have another shape.
    """
    if not isinstance(channels, torch.Tensor):
        raise TypeError(f"channels is of type {type(channels).__name__}, expected a tensor (N, C, "
                        "*shape); let the network return one.")
    batch, wanted, shape = _axes("like", like, dimension, components)
    count = prod(wanted) * (2 if like.is_complex() else 1)
    expected = (prod(batch), count, *shape)
    if tuple(channels.shape) != expected:
        kind = "complex" if like.is_complex() else "real"
        raise ValueError(
            f"the channels have shape {tuple(channels.shape)}, expected {expected} for {kind} "
            f"images of shape {tuple(like.shape)}; give the network {count} output channel(s) and "
            "keep the size of the image."
        )
    channels = channels.to(like.real.dtype)
    if like.is_complex():
        channels = torch.complex(*channels.chunk(2, dim=1))
    return channels.reshape(like.shape)


def _axes(name, x, dimension, components):
    """The shapes of batch, components and image."""
    require_dimension(dimension)
    require_count("components", components, 0)
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            f"{name} is of type {type(x).__name__}, expected a tensor (*batch, *shape); convert "
            "arrays with torch.from_numpy."
        )
    if x.ndim < dimension + components:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected at least {dimension + components} axes, "
            f"those of the image{' and its components' if components else ''}; pass the "
            "`dimension` of the image."
        )
    split = x.ndim - dimension
    return x.shape[: split - components], x.shape[split - components : split], x.shape[split:]


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

    def __init__(self, net: nn.Module, *, dimension: int) -> None:
        super().__init__()
        require_network(net)
        require_dimension(dimension, net)
        self.net = net
        self.dimension = dimension

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (*batch, *shape) -> (*batch, *shape)
        channels = self.net(to_channels(x, self.dimension))
        return from_channels(channels, x, self.dimension)
