r"""Positive maps from a network, bounded on both sides.

.. math:: \alpha(y) = a \exp\big( b \tanh(N(y) / b) \big) \in (a e^{-b}, a e^b)
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from odl_learned.networks.images import require_dimension, require_network, to_channels
from odl_learned.validation import is_finite_number, require_positive, shown


class PositiveMaps(nn.Module):
    r"""Positive numbers for every pixel of an image, from a network on channels.

    .. math:: \alpha_j = a_j \exp\big( b \tanh(N_j(y) / b) \big)

    A network that is zero at first, as `networks.UNet` is, begins with the numbers ``a_j``.

    Parameters
    ----------
    net : torch.nn.Module
        N, ``(N, c, *shape) -> (N, k, *shape)``: of one channel for real images and two for complex
        ones, with a channel for each map.
    start : sequence of k floats
        ``a_j``, positive.
    dimension : int
        Number of axes of an image.
    factor : float, optional
        ``e^b``: how many times larger or smaller than the start numbers become; above one.

    Maps images ``(*batch, *shape)`` to ``(*batch, k, *shape)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is something else; when it is called, if the network has another number of
        channels or changes the shape.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks, reconstruction
    >>> seed = torch.Generator().manual_seed(0)
    >>> net = networks.CNN(1, 2, width=2, depth=2, dimension=2, generator=seed)
    >>> maps = reconstruction.PositiveMaps(net, [0.1, 1.0], dimension=2, factor=10.0)
    >>> print([tuple(each.shape) for each in maps(torch.rand(3, 6, 6, generator=seed))])
    [(2, 6, 6), (2, 6, 6), (2, 6, 6)]
    """

    def __init__(
        self, net: nn.Module, start: Sequence[float], *, dimension: int, factor: float = 30.0
    ) -> None:
        super().__init__()
        require_network(net)
        require_dimension(dimension, net)
        if not isinstance(start, list | tuple) or not start:
            raise TypeError(f"start is {shown(start)}, expected a list of positive numbers, one "
                            "for each map.")
        for number in start:
            require_positive("a number of start", number)
        if not (is_finite_number(factor) and factor > 1):
            raise ValueError(f"factor is {shown(factor)}, expected a number above one.")
        self.net, self.dimension, self.factor = net, dimension, float(factor)
        self.start = [float(number) for number in start]

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        # (*batch, *shape) -> (*batch, k, *shape)
        batch = y.shape[: y.ndim - self.dimension]
        raw = self.net(to_channels(y, self.dimension))
        expected = (batch.numel(), len(self.start), *y.shape[len(batch) :])
        if tuple(raw.shape) != expected:
            raise ValueError(f"net returned shape {tuple(raw.shape)}, expected {expected}: a "
                             "channel for each number of start.")
        b = math.log(self.factor)
        start = raw.new_tensor(self.start).reshape(-1, *[1] * self.dimension)
        maps = start * torch.exp(b * torch.tanh(raw / b))
        return maps.reshape(*batch, *maps.shape[1:])
