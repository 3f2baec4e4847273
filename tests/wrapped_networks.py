"""Small torch modules, to be wrapped as ODL operators, functionals and proximals."""

import torch
from instances import modules

from odl_learned import networks


class SteppedThreshold(torch.nn.Module):
    """The proximal of ``sigma alpha |.|_1``."""

    def __init__(self, alpha):
        super().__init__()
        self.alpha = alpha

    def forward(self, x, sigma):
        return x.sign() * (x.abs() - self.alpha * sigma).clamp(min=0)


class Integral(torch.nn.Module):
    """``x -> sum_j |net(x)_j|^2`` for every sample."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        y = self.net(x)
        return y.abs().square().flatten(1).sum(1)


def channels_net(c_in, c_out, dtype=torch.float64):
    """A network with several channels ``(N, c_in, H, W) -> (N, c_out, H, W)``."""
    torch.manual_seed(0)
    return networks.CNN(c_in, c_out, width=4, depth=2).to(dtype)


def image_net(channels):
    """A network on images, real or complex, that is far from the identity."""
    generator = torch.Generator().manual_seed(0)
    net = networks.OnImages(modules.net(channels, channels), dimension=2)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype, generator=generator))
    return net
