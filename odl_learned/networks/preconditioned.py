"""A denoiser for noise of every level around a network that sees numbers of size one."""

import torch

from odl_learned.networks.images import require_network
from odl_learned.networks.layers import ChannelNetwork, require_channels
from odl_learned.networks.noise_levels import levels_of
from odl_learned.validation import is_finite_number, require_positive, shown

#: The network is not told of less noise than this, relative to the spread of images.
LEAST = 1e-4


class PreconditionedDenoiser(ChannelNetwork):
    r"""A network F that corrects the denoiser of independent Gaussian pixels.

    .. math:: D(x, t) = m + \frac{v^2}{v^2 + t^2} (x - m)
              + \frac{v t}{\sqrt{v^2 + t^2}} F \Big( \frac{x - m}{\sqrt{v^2 + t^2}},
              \tfrac14 \log \tfrac{t}{v} \Big)

    with the mean m and the spread v of pixels. Where F is zero, as at the start, D is the exact
    denoiser of ``N(m, v^2)``. At every level, what enters F has variance one, and so has what F has
    to learn, ``x_0`` without the first two summands over the factor; with little noise D is near
    the identity, with much of it near m. The level is one more channel, the last.

    Parameters
    ----------
    net : ChannelNetwork
        F, maps ``(N, C + 1, *shape)`` to ``(N, C, *shape)``, such as a `UNet`.
    mean : float
        m, of pixels of the images of training; 0 for complex images.
    spread : float
        v, positive; their standard deviation, in complex images of each part.

    Maps ``(N, C, *shape)`` and noise levels, a number or ``(N,)``, to ``(N, C, *shape)``, real, in
    the dtype of the weights. `NoiseLevelOnImages` puts it on images.

    Raises
    ------
    TypeError
        If the network is none.
    ValueError
        If a number is out of bounds; for images of another shape, and levels that are negative, not
        finite, or neither one nor N numbers.

    Source: Karras et al., Elucidating the design space of diffusion-based generative models (2022),
    section 5 and table 1.
    """

    def __init__(self, net: ChannelNetwork, mean: float, spread: float) -> None:
        require_network(net)
        if not isinstance(net, ChannelNetwork) or net.in_channels < 2:
            raise TypeError(f"net is {shown(net)}, expected a network with one input channel more "
                            "than images have, such as networks.UNet(2, 1, (16, 32), dimension=2).")
        if not is_finite_number(mean):
            raise ValueError(f"mean is {shown(mean)}, expected a finite number.")
        require_positive("spread", spread)
        super().__init__(net.in_channels - 1, net.dimension)
        self.net, self.mean, self.spread = net, float(mean), float(spread)

    def forward(self, x: torch.Tensor, noise_level: torch.Tensor | float) -> torch.Tensor:
        require_channels(x, self.in_channels, self.dimension, next(self.net.parameters(), x))
        levels = levels_of(noise_level, x).view(-1, *[1] * (x.ndim - 1))
        total = (levels.square() + self.spread**2).sqrt()
        told = (levels / self.spread).clamp_min(LEAST).log() / 4
        difference = x - self.mean
        plane = told.expand(len(x), 1, *x.shape[2:])
        correction = self.net(torch.cat([difference / total, plane], dim=1))
        kept = (self.spread / total) ** 2
        return self.mean + kept * difference + self.spread * levels / total * correction

    def extra_repr(self) -> str:
        return f"mean={self.mean:g}, spread={self.spread:g}"
