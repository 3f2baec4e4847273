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

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held
from odl_learned.bridge.lowering import lower


class Transform(nn.Module):
    """One of torch's discrete transforms over fixed axes, with ODL's normalization.

    Parameters
    ----------
    function : callable
        Of ``torch.fft``, on n axes.
    axes, lengths : sequence of int
        The axes and their lengths in the real space.
    scale : float
        Factor of the result.
    source, target : TensorLayout
        Of domain and range.
    """

    def __init__(self, function, axes, lengths, scale, source, target):
        super().__init__()
        self.function, self.scale = function, scale
        self.dims = tuple(axis - len(source.shape) for axis in axes)
        self.lengths = lengths if function is torch.fft.irfftn else None
        self.ndim, self.shape = len(source.shape), target.shape

    def forward(self, x):
        if x.numel() == 0:
            return x.new_zeros((*x.shape[: x.ndim - self.ndim], *self.shape))
        return self.scale * self.function(x, s=self.lengths, dim=self.dims)


class WeightedTransform(nn.Module):
    """``x -> after . transform(before . x)``."""

    def __init__(self, before, transform, after):
        super().__init__()
        self.before, self.transform, self.after = Held(before), transform, Held(after)

    def forward(self, x):
        return self.after() * self.transform(self.before() * x)


class InDtype(nn.Module):
    """The values of a module in a dtype; a real one takes the real part."""

    def __init__(self, module, dtype):
        super().__init__()
        self.module, self.dtype = module, dtype

    def forward(self, x):
        y = self.module(x)
        return y.to(self.dtype) if self.dtype.is_complex or not y.is_complex() else y.real


def _transform(op):
    """The sum ``sum_j x_j exp(-2 pi i j k / N)``, or with ``+`` in the exponent, by its sign."""
    lengths = [op.domain.shape[axis] for axis in op.axes]
    function = torch.fft.fftn if op.sign == "-" else torch.fft.ifftn
    function = torch.fft.rfftn if op.halfcomplex else function
    scale = 1 if op.sign == "-" else math.prod(lengths)
    return Transform(function, op.axes, lengths, scale, layout_of(op.domain), layout_of(op.range))


def _inverse(op):
    """The same sum, divided by the number of its terms."""
    lengths = [op.range.shape[axis] for axis in op.axes]
    function = torch.fft.ifftn if op.sign == "+" else torch.fft.fftn
    function = torch.fft.irfftn if op.halfcomplex else function
    scale = 1 if op.sign == "+" else 1 / math.prod(lengths)
    return Transform(function, op.axes, lengths, scale, layout_of(op.domain), layout_of(op.range))


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
    return InDtype(WeightedTransform(_shift_factors(op, op.domain), _transform(op),
                                     _grid_factors(op, op.domain, op.range, "multiply")),
                   layout_of(op.range).dtype)


@lower.register
def _(op: FourierTransformInverse):
    return InDtype(WeightedTransform(_grid_factors(op, op.range, op.domain, "divide"),
                                     _inverse(op), _shift_factors(op, op.range)),
                   layout_of(op.range).dtype)


@lower.register
def _(op: DiscreteFourierTransform):
    return InDtype(_transform(op), layout_of(op.range).dtype)


@lower.register
def _(op: DiscreteFourierTransformInverse):
    return InDtype(_inverse(op), layout_of(op.range).dtype)
