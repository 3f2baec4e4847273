"""Native rules for Fourier multipliers and for the extension by reflection."""

import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.operators.extensions import ReflectedExtension, ReflectedExtensionAdjoint
from odl_learned.operators.transforms.fourier_multiplier import FourierMultiplier


class Multiplier(nn.Module):
    """``x -> F^-1 (m . F x)`` along some axes, counted from the end."""

    def __init__(self, multiplier, dims):
        super().__init__()
        self.dims = dims
        self.register_buffer("multiplier", multiplier, persistent=False)

    def forward(self, x):
        if x.numel() == 0:
            return x
        return torch.fft.ifftn(self.multiplier * torch.fft.fftn(x, dim=self.dims), dim=self.dims)


class RealMultiplier(Multiplier):
    """The same for real images, with half of the spectrum."""

    def forward(self, x):
        if x.numel() == 0:
            return x
        sizes = [x.shape[dim] for dim in self.dims]
        spectrum = self.multiplier * torch.fft.rfftn(x, dim=self.dims)
        return torch.fft.irfftn(spectrum, s=sizes, dim=self.dims)


class Repeat(nn.Module):
    """``x -> x[..., i_1, ..., i_d]`` with one vector of indices for each axis."""

    def __init__(self, sources):
        super().__init__()
        self.dims = range(-len(sources), 0)
        for dim, source in zip(self.dims, sources, strict=True):
            self.register_buffer(f"source_{-dim}", torch.from_numpy(source), persistent=False)

    def forward(self, x):
        for dim in self.dims:
            x = x.index_select(dim, getattr(self, f"source_{-dim}"))
        return x


class Fold(Repeat):
    """The transpose of `Repeat`, times a number: ``shape`` is that of the result."""

    def __init__(self, sources, shape, scale):
        super().__init__(sources)
        self.shape, self.scale = shape, scale

    def forward(self, y):
        for dim in self.dims:
            zeros = y.new_zeros((*y.shape[:dim], self.shape[dim], *y.shape[y.ndim + dim + 1 :]))
            y = zeros.index_add(dim, getattr(self, f"source_{-dim}"), y)
        return y if self.scale == 1 else self.scale * y


@lower.register
def _(op: FourierMultiplier):
    dims = tuple(axis - op.domain.ndim for axis in op.axes)
    dtype = layout_of(op.domain).dtype.to_complex()
    multiplier = torch.tensor(op.multiplier, dtype=dtype)
    return (RealMultiplier if op.is_real else Multiplier)(multiplier, dims)


@lower.register
def _(op: ReflectedExtension):
    return Repeat(op.sources)


@lower.register
def _(op: ReflectedExtensionAdjoint):
    return Fold(op.extension.sources, tuple(op.range.shape), op.weight_ratio)
