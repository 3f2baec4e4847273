"""Native rules for ODL's own Fourier transforms, exactly as ODL defines them.

ODL approximates the integral transform: a discrete transform between multiplications by phase
factors (the shift of the grids) and by the transform of its interpolation kernel. The factors are
what ODL's own pre- and postprocessing makes of arrays of ones. Autograd transposes the map exactly,
which ODL's ``adjoint``, the inverse, does not. ODL's discrete transform is the plain sum, without
factors.
"""

import math

import numpy as np
import torch
from odl.trafos.fourier.fourier import (
    DiscreteFourierTransform,
    DiscreteFourierTransformInverse,
    FourierTransform,
    FourierTransformInverse,
)
from odl.trafos.util.ft_utils import dft_postprocess_data, dft_preprocess_data
from torch import nn

from odl_learned.bridge.layout import Held, layout_of
from odl_learned.bridge.lowering import lower


class WeightedTransform(nn.Module):
    """``x -> after . fft(before . x)`` with one of torch's transforms."""

    def __init__(self, before, transform, after, dtype):
        super().__init__()
        self.before, self.transform, self.after = Held(before), transform, Held(after)
        self.dtype = dtype

    def forward(self, x):
        before, after = self.before(), self.after()
        if x.numel() == 0:
            lead = x.shape[: x.ndim - before.ndim]
            return x.new_zeros((*lead, *after.shape), dtype=self.dtype)
        y = after * self.transform(before * x)
        return y.to(self.dtype) if self.dtype.is_complex or not y.is_complex() else y.real


class Transform:
    """One of torch's discrete transforms over fixed axes, with ODL's normalization."""

    def __init__(self, function, dims, shape, scale):
        self.function, self.dims, self.shape, self.scale = function, dims, shape, scale

    def __call__(self, x):
        sizes = [self.shape[d] for d in self.dims] if self.function is torch.fft.irfftn else None
        return self.scale * self.function(x, s=sizes, dim=self.dims)


class DiscreteTransform(nn.Module):
    """``x -> fft(x)`` with one of torch's transforms; a real range takes the real part."""

    def __init__(self, transform, ndim, target):
        super().__init__()
        self.transform, self.ndim = transform, ndim
        self.shape, self.dtype = target.shape, target.dtype

    def forward(self, x):
        if x.numel() == 0:
            return x.new_zeros((*x.shape[: x.ndim - self.ndim], *self.shape), dtype=self.dtype)
        y = self.transform(x)
        return y.to(self.dtype) if self.dtype.is_complex or not y.is_complex() else y.real


def _dims(op, ndim):
    return tuple(axis - ndim for axis in op.axes)


def _factors(op, layout, process):
    """What ODL's processing makes of ones, of the shape of a layout and in its precision."""
    real = torch.empty((), dtype=layout.dtype).real.dtype
    complex_dtype = torch.complex64 if real == torch.float32 else torch.complex128
    factors = torch.from_numpy(np.array(process(np.ones(layout.shape, dtype=complex))))
    return factors.real.to(real) if (factors.imag == 0).all() else factors.to(complex_dtype)


def _grid_factors(op, real_space, frequency_space, direction):
    def process(ones):
        return dft_postprocess_data(
            ones, real_grid=real_space.grid, recip_grid=frequency_space.grid, shift=op.shifts,
            axes=op.axes, sign=op.sign, interp="nearest", op=direction)

    return _factors(op, layout_of(frequency_space), process)


def _shift_factors(op, real_space):
    def process(ones):
        return dft_preprocess_data(ones, shift=op.shifts, axes=op.axes, sign=op.sign)

    return _factors(op, layout_of(real_space), process)


@lower.register
def _(op: FourierTransform):
    shape, dims = op.domain.shape, _dims(op, op.domain.ndim)
    function = torch.fft.fftn if op.sign == "-" else torch.fft.ifftn
    if op.halfcomplex:
        function = torch.fft.rfftn
    scale = 1 if op.sign == "-" else math.prod(shape[d] for d in dims)
    return WeightedTransform(_shift_factors(op, op.domain), Transform(function, dims, shape, scale),
                             _grid_factors(op, op.domain, op.range, "multiply"),
                             layout_of(op.range).dtype)


@lower.register
def _(op: FourierTransformInverse):
    shape, dims = op.range.shape, _dims(op, op.range.ndim)
    function = torch.fft.ifftn if op.sign == "+" else torch.fft.fftn
    if op.halfcomplex:
        function = torch.fft.irfftn
    is_forward = op.sign == "-" and not op.halfcomplex
    scale = 1 / math.prod(shape[d] for d in dims) if is_forward else 1
    return WeightedTransform(_grid_factors(op, op.range, op.domain, "divide"),
                             Transform(function, dims, shape, scale),
                             _shift_factors(op, op.range), layout_of(op.range).dtype)


@lower.register
def _(op: DiscreteFourierTransform):
    shape, dims = op.domain.shape, _dims(op, op.domain.ndim)
    function = torch.fft.fftn if op.sign == "-" else torch.fft.ifftn
    if op.halfcomplex:
        function = torch.fft.rfftn
    scale = 1 if op.sign == "-" else math.prod(shape[d] for d in dims)
    return DiscreteTransform(Transform(function, dims, shape, scale), op.domain.ndim,
                             layout_of(op.range))


@lower.register
def _(op: DiscreteFourierTransformInverse):
    shape, dims = op.range.shape, _dims(op, op.range.ndim)
    function = torch.fft.ifftn if op.sign == "+" else torch.fft.fftn
    if op.halfcomplex:
        function = torch.fft.irfftn
    scale = 1 if op.sign == "+" else 1 / math.prod(shape[d] for d in dims)
    return DiscreteTransform(Transform(function, dims, shape, scale), op.domain.ndim,
                             layout_of(op.range))
