"""Networks that are what they claim to be, and networks that are not.

Each function returns the verdict on one claim. `VIOLATORS` break it in ways that are easily
overlooked; `SOUND` are their neighbors that keep it.
"""

import math

import torch
from torch import nn

from odl_learned import networks
from odl_learned.bridge.gradients import Gradient
from odl_learned.regularizers import certificates
from odl_learned.regularizers.certificates.lipschitz_rules import dense_kernel

SHAPE = (1, 12, 12)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def conv(before, after, size=3, mode="zeros", seed=0, bias=False):
    """A convolution that keeps the size, with normal weights."""
    layer = nn.Conv2d(before, after, size, padding=size // 2, padding_mode=mode, bias=bias).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(seed)) / 12)
    return layer


def periodic_norm(kernel, n=24):
    """The largest singular value of the symbol: the norm of the circular convolution."""
    symbol = torch.fft.fft2(kernel.detach(), s=(n, n)).permute(2, 3, 0, 1)
    return float(torch.linalg.matrix_norm(symbol, 2).amax())


def scaled(layer, factor):
    with torch.no_grad():
        layer.weight.mul_(factor)
    return layer


def shift():
    """One filter that shifts by an entry: norm one on the torus, more on mirrored images."""
    kernel = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    kernel[0, 0, 1, 2] = 1
    return kernel


class MirroredShift(nn.Module):
    """A convolution with a given kernel on mirrored images."""

    def __init__(self, kernel):
        super().__init__()
        self.weight, self.boundary = nn.Parameter(kernel), networks.Reflecting()

    def forward(self, x):
        return nn.functional.conv2d(self.boundary(x, (3, 3)), self.weight)


@certificates.lipschitz_bound.register
def _(layer: MirroredShift, shape):
    square = layer.boundary.largest_square(layer.weight.detach(), shape[1:])
    return certificates.Bound(float(square) ** 0.5, "the reflecting bound")


def mirrored(claim):
    return certificates.certify_lipschitz(
        MirroredShift(shift()), claim, shape=SHAPE, generator=generator())


def reshaped(claim):
    """A kernel divided by the norm of the matrix with one row for each output channel."""
    layer = conv(16, 16, mode="circular")
    scaled(layer, 1 / float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)))
    return certificates.certify_convolution(
        layer, claim(layer), shape=(16, 12, 12), generator=generator())


def composed(claim):
    """Two shifts, there and back, with zero padding in both: the image of no impulse inside.

    The first shift leaves the image over the boundary of an image of one pixel along the axis; the
    response to an impulse in the middle of a larger image is the impulse, minus what was added.
    """
    first, second = conv(1, 2), conv(2, 1)
    with torch.no_grad():
        first.weight.zero_()
        second.weight.zero_()
        first.weight[0, 0, 1, 2] = first.weight[1, 0, 1, 1] = 1  # x(j + 1) and x(j)
        second.weight[0, 0, 1, 0], second.weight[0, 1, 1, 1] = 1, -1
    impulse = torch.zeros(1, 1, 13, 13, dtype=torch.float64)
    impulse[0, 0, 6, 6] = 1
    response = second(first(impulse))
    norm = float(torch.fft.fft2(response.detach()).abs().max())
    return certificates.certify_product(
        [first, second], claim(norm), shape=SHAPE, generator=generator())


def stack(slope):
    """Convolutions of norm one with a leaky activation between them."""
    layers = [networks.NormalizedConvolution(a, b, 3, networks.Circular(), dimension=2,
                                             generator=generator(a))
              for a, b in ((1, 4), (4, 1))]
    return nn.Sequential(layers[0], nn.LeakyReLU(slope), layers[1]).double()


def convex_net(weight):
    """An input convex network whose last layer has one weight of this value."""
    torch.manual_seed(0)
    net = nn.Sequential(conv(1, 4), nn.Softplus(), conv(4, 4), nn.Softplus(), nn.Flatten(),
                        nn.Linear(4 * 64, 1), nn.Flatten(0)).double()
    with torch.no_grad():
        net[2].weight.abs_()
        net[5].weight.abs_()
        net[5].weight[0, :64] = weight
        net[5].bias.zero_()
    return net


def convex(weight):
    return certificates.certify_convexity(
        convex_net(weight), shape=(1, 8, 8), generator=generator())


class LogCoshRidge(nn.Module):
    """``sum psi(w * x)`` with ``psi'' in [-1, 1]``, so that it is ``|w|^2``-weakly convex."""

    def __init__(self, factor):
        super().__init__()
        kernel = torch.randn(4, 1, 3, 3, dtype=torch.float64, generator=generator())
        kernel = kernel - kernel.mean((1, 2, 3), keepdim=True)
        self.weight = nn.Parameter(kernel / periodic_norm(kernel))
        with torch.no_grad():
            self.weight.mul_(factor)

    def forward(self, x):
        t = nn.functional.conv2d(x, self.weight)
        return (torch.log(torch.cosh(8 * t)) / 32 - torch.log(torch.cosh(t))).sum((1, 2, 3))


@certificates.convexity_bound.register
def _(module: LogCoshRidge):
    size = float(networks.Zero().largest_square(module.weight.detach(), (8, 8)))
    return certificates.Bound(-size, "weak convexity of the potential times |w|^2")


def ridge(factor):
    return certificates.certify_convexity(
        LogCoshRidge(factor), -1.0, shape=(1, 8, 8), generator=generator())


class SmoothPotential(nn.Module):
    """``1/2 |tanh(W x)|^2``."""

    def __init__(self):
        super().__init__()
        self.layer = conv(1, 3)

    def forward(self, x):
        return 0.5 * torch.tanh(12 * self.layer(x)).square().sum((1, 2, 3))


class ClippedStep(nn.Module):
    """A gradient step, clipped to [0, 1]."""

    def __init__(self):
        super().__init__()
        self.gradient = Gradient(SmoothPotential(), Plain())

    def forward(self, x):
        return (x - self.gradient(x)).clamp(0, 1)


class Plain:
    """A space without weights."""

    def unweigh(self, x):
        return x


def symmetric(module):
    return certificates.certify_symmetric_jacobian(module, shape=SHAPE, generator=generator())


class Mean(nn.Module):
    """The gradient of a mean over the batch."""

    def forward(self, x):
        return x / len(x)


def separate(module):
    return certificates.certify_separate_samples(module, shape=SHAPE, generator=generator())


class Descent(nn.Module):
    """``x - t K^T K x``, a gradient step of ``1/2 |K x|^2``, with ``|K| = 1`` on the torus."""

    def __init__(self, step):
        super().__init__()
        self.layer, self.step = conv(1, 2, mode="circular"), step
        scaled(self.layer, 1 / periodic_norm(self.layer.weight, 12))

    def forward(self, x):
        y = self.layer(x)
        _, transpose = torch.func.vjp(self.layer, x)
        return x - self.step * transpose(y)[0]


@certificates.lipschitz_bound.register
def _(module: Descent, shape):
    L = certificates.lipschitz_bound(module.layer, shape).value ** 2
    return certificates.Bound(max(1.0, abs(1 - module.step * L) * (1 + 1e-12)), "1 - t L")


def unconverged():
    """torch's spectral normalization after one step of its power iteration."""
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(40, 40, bias=False),
                                                    n_power_iterations=1)
    return layer.double().eval()


def normalized_batch():
    net = nn.Sequential(conv(1, 4), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 1)).double()
    return net


def lipschitz(module, claim=1.0, shape=SHAPE):
    return certificates.certify_lipschitz(module, claim, shape=shape, generator=generator())


def firm(module):
    return certificates.certify_firmly_nonexpansive(module, shape=SHAPE, generator=generator())


VIOLATORS = {
    "mirrored images judged by the symbol": lambda: mirrored(periodic_norm(shift())),
    "norm of the reshaped kernel": lambda: reshaped(lambda layer: 1.0),
    "composed impulse with zero padding": lambda: composed(lambda norm: max(norm, 1e-6)),
    "a slope of 8": lambda: lipschitz(stack(8.0)),
    "one negative output weight": lambda: convex(-0.1),
    "a kernel times 1.5": lambda: ridge(1.5),
    "a free network as a gradient": lambda: symmetric(
        nn.Sequential(conv(1, 8), nn.ReLU(), conv(8, 1))),
    "a gradient that depends on the batch": lambda: separate(Mean()),
    "clipping after the step": lambda: symmetric(ClippedStep()),
    "a step above 2 / L": lambda: lipschitz(Descent(2.5)),
    "spectral norm that has not converged": lambda: lipschitz(unconverged(), shape=(40,)),
    "an undersized margin": lambda: certificates.certify_convolution(
        conv(3, 3, mode="circular"), 0.999 * periodic_norm(conv(3, 3).weight, 12),
        shape=(3, 12, 12), generator=generator()),
    "batch normalization in training": lambda: separate(normalized_batch()),
    "an average of a network of norm 8": lambda: firm(networks.Averaged(stack(8.0))),
}

SOUND = {
    "mirrored images judged by their bound": lambda: mirrored(math.sqrt(2.001)),
    "norm of the symbol": lambda: reshaped(
        lambda layer: periodic_norm(layer.weight, 12) * (1 + 1e-9)),
    "product of the norms with zero padding": lambda: composed(lambda norm: 3.0),
    "a slope of 0.9": lambda: lipschitz(stack(0.9)),
    "no negative weight": lambda: convex(0.1),
    "a kernel of norm one": lambda: ridge(0.999),
    "a gradient": lambda: symmetric(Gradient(SmoothPotential(), Plain())),
    "layers that see one sample": lambda: separate(normalized_batch().eval()),
    "an average of a network of norm one": lambda: firm(networks.Averaged(stack(0.5))),
    "a step of 2 / L": lambda: lipschitz(Descent(2.0 - 1e-9)),
    "an exact margin": lambda: certificates.certify_convolution(
        conv(3, 3, mode="circular"), periodic_norm(dense_kernel(conv(3, 3)), 12) * (1 + 1e-9),
        shape=(3, 12, 12), generator=generator()),
}
