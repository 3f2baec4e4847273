r"""Lipschitz bounds from how networks are built, one rule for each kind of layer.

.. math:: |N(x) - N(y)| \le L |x - y|

in the Euclidean norm over all channels and pixels, for real and for complex images.
"""

import math

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from odl_learned import networks
from odl_learned.networks.boundaries import Boundary
from odl_learned.networks.lipschitz import BoundedConvolution
from odl_learned.regularizers.certificates.construction import (
    is_softplus,
    rules_of_construction,
    unknown,
)
from odl_learned.regularizers.certificates.measured import require_shape_of_sample
from odl_learned.regularizers.certificates.verdicts import Bound

PADDINGS = {"circular": networks.Circular(), "zeros": networks.Zero()}


@rules_of_construction
def lipschitz_bound(module: nn.Module, shape: tuple[int, ...]) -> Bound:
    """Return a `Bound` of the Lipschitz constant of a module on samples of a shape.

    Rules are registered by class: ``lipschitz_bound.register``, and hold for modules whose forward
    is that of the class. Without a rule the bound is infinite.

    Parameters
    ----------
    module : torch.nn.Module
        In double precision, see `certify_lipschitz`.
    shape : tuple of int
        Of one sample, without batch axis.
    """
    return Bound(math.inf, unknown(module))


def convolution_square(kernel: torch.Tensor, boundary: Boundary, shape: tuple[int, ...]) -> float:
    """Return a bound of the squared norm of a convolution on channels ``shape``, as a float."""
    require_shape_of_sample(shape)
    if len(shape) != kernel.ndim - 1:
        raise ValueError(f"shape is {shape}, expected {kernel.ndim - 1} numbers, channels and then "
                         "the image, without batch axis.")
    with torch.no_grad():
        return float(boundary.largest_square(kernel, shape[1:]))


def dense_kernel(layer: _ConvNd) -> torch.Tensor:
    """Return the kernel ``(out, in, *size)`` of torch's convolution, without groups or dilation."""
    weight = layer.weight.detach().double()
    if layer.groups > 1:
        blocks = weight.chunk(layer.groups)
        rows = [torch.cat([torch.zeros_like(block)] * g + [block]
                          + [torch.zeros_like(block)] * (layer.groups - 1 - g), 1)
                for g, block in enumerate(blocks)]  # fmt: skip
        weight = torch.cat(rows)
    for axis, step in enumerate(layer.dilation, start=2):
        if step > 1:
            size = weight.shape[axis]
            spread = weight.new_zeros(
                *weight.shape[:axis], (size - 1) * step + 1, *weight.shape[axis + 1 :])
            spread.index_copy_(axis, torch.arange(size) * step, weight)
            weight = spread
    return weight


@lipschitz_bound.register(nn.Conv1d | nn.Conv2d | nn.Conv3d)
def _(layer, shape):
    # Strides drop entries. A padding that copies entries is a linear map P before a convolution of
    # what it returns; |P|^2 is the largest number of copies.
    kernel, mode = dense_kernel(layer), layer.padding_mode
    if mode == "zeros" or (mode == "circular" and _keeps_size(layer)):
        square = convolution_square(kernel, PADDINGS[mode], shape)
        return Bound(math.sqrt(square), f"symbol of the convolution, padding {mode}")
    widths = list(layer._reversed_padding_repeated_twice)
    copies = _copies(mode, shape[1:], widths)
    padded = tuple(n + sum(widths[2 * i : 2 * i + 2]) for i, n in enumerate(reversed(shape[1:])))
    square = convolution_square(kernel, networks.Zero(), (shape[0], *reversed(padded)))
    return Bound(math.sqrt(square * copies),
                 f"symbol of the convolution and {copies:.0f} copies by padding {mode}")


def _keeps_size(layer):
    """Whether the padding is that of a circular map of images, one period long."""
    pads = layer._reversed_padding_repeated_twice[::-1]
    spans = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size)]
    return all(sum(pads[2 * i : 2 * i + 2]) == span for i, span in enumerate(spans))


def _copies(mode, shape, widths):
    """The largest number of copies of an entry that a padding of torch makes."""
    index = torch.arange(math.prod(shape), dtype=torch.float64).reshape(1, 1, *shape)
    padded = nn.functional.pad(index, widths, mode=mode).flatten().long()
    return float(torch.bincount(padded).amax())


@lipschitz_bound.register(nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
def _(layer, shape):
    # The adjoint of a convolution with zero padding, for images of every size.
    if layer.groups > 1:
        return Bound(math.inf, "no rule for transposed convolutions in groups")
    with torch.no_grad():
        square = float(networks.Zero().largest_square(layer.weight))
    return Bound(math.sqrt(square), "symbol of the convolution")


@lipschitz_bound.register
def _(layer: BoundedConvolution, shape):
    with torch.no_grad():
        square = convolution_square(layer.kernel(), layer.boundary, shape)
    return Bound(math.sqrt(square), f"symbol for {type(layer.boundary).__name__}")


@lipschitz_bound.register
def _(layer: nn.Linear, shape):
    value = float(torch.linalg.matrix_norm(layer.weight.detach().double(), 2))
    return Bound(value * (1 + 1e-12), "norm of the matrix")


def _activation(*kinds: type, constant=1.0):
    """Register one Lipschitz constant, a number or a function of the module, for classes."""
    for kind in kinds:
        @lipschitz_bound.register(kind)
        def _(module, shape, kind=kind):
            value = constant(module) if callable(constant) else constant
            return Bound(value, f"slopes of {kind.__name__}")


_activation(nn.Identity, nn.ReLU, nn.Tanh, nn.Hardtanh, nn.ReLU6, nn.Softshrink,
           nn.LogSigmoid, nn.Softsign, nn.Flatten, nn.Unflatten, networks.GroupSort)  # fmt: skip
_activation(nn.Softplus, constant=lambda m: 1.0 if is_softplus(m) else math.inf)
_activation(nn.Sigmoid, constant=0.25)
_activation(nn.LeakyReLU, constant=lambda m: max(1.0, abs(m.negative_slope)))
_activation(nn.PReLU, constant=lambda m: max(1.0, float(m.weight.detach().abs().max())))
_activation(nn.ELU, constant=lambda m: max(1.0, abs(m.alpha)))
_activation(networks.ConvexSpline, constant=lambda m: float(m.slopes().detach().max()))
_activation(nn.Dropout, constant=lambda m: math.inf if m.training else 1.0)


@lipschitz_bound.register(nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
def _(layer, shape):
    if layer.training or layer.running_var is None:
        return Bound(math.inf, "batch normalization by the statistics of the batch")
    scale = (layer.running_var.double() + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight.detach().double().abs()
    return Bound(float(scale.max()) * (1 + 1e-12), "gains of the batch normalization")


@lipschitz_bound.register
def _(net: nn.Sequential, shape):
    return chained(list(net), shape)


def chained(parts, shape):
    """The product of the bounds of modules that are applied one after the other."""
    value, reasons = 1.0, []
    for part in parts:
        bound = lipschitz_bound(part, shape)
        value, reasons = _product(value, bound.value), [*reasons, bound.because]
        if not value < math.inf:
            return Bound(math.inf, bound.because)
        with torch.no_grad():
            like = torch.zeros(1, *shape, dtype=torch.float64)
            shape = tuple(part(like).shape[1:])
    return Bound(value, "product of " + ", ".join(dict.fromkeys(reasons)))


def _product(a, b):
    return 0.0 if 0 in (a, b) else a * b


@lipschitz_bound.register
def _(net: networks.Averaged, shape):
    bound = lipschitz_bound(net.net, shape)
    return Bound((1 + bound.value) / 2, f"an average with the identity, {bound.because}")


@lipschitz_bound.register
def _(net: networks.CNN, shape):
    return chained(list(net.layers), shape)


@lipschitz_bound.register
def _(net: networks.ResidualCNN, shape):
    bound = lipschitz_bound(net.residual, shape)
    return Bound(1 + bound.value, f"a residual, {bound.because}")


@lipschitz_bound.register
def _(net: networks.DnCNN, shape):
    bound = lipschitz_bound(net.noise, shape)
    return Bound(1 + bound.value, f"a residual, {bound.because}")


@lipschitz_bound.register
def _(net: networks.Residual, shape):
    bound = lipschitz_bound(net.net, shape)
    return Bound(1 + bound.value, f"a residual, {bound.because}")


@lipschitz_bound.register
def _(net: networks.OnImages, shape):
    parts = getattr(net.net, "in_channels", 1)
    components = shape[: len(shape) - net.dimension]
    if components or parts not in (1, 2):
        return Bound(math.inf, "no rule for images with components")
    return lipschitz_bound(net.net, (parts, *shape))
