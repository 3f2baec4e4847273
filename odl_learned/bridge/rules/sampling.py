"""Native rules for picking entries: sampling, its adjoint, flattening, resizing, quarter turns.

ODL's sampling takes the entries ``x[i_1], ..., x[i_n]`` of the flattened array; its adjoint adds
``g_k`` to the entry ``i_k``, as often as the entry was sampled. Resizing copies entries as well,
along one axis after the other, except with the padding modes ``constant`` and ``order1``.
"""

import numpy as np
import torch
from odl.core.discr.discr_ops import ResizingOperator
from odl.core.operator.tensor_ops import (
    FlatteningOperator,
    SamplingOperator,
    WeightedSumSamplingOperator,
)
from odl.core.util.numerics import resize_array
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import local_rules, lower
from odl_learned.bridge.rules.expressions import Composition, Scale
from odl_learned.bridge.rules.matrices import Matrix
from odl_learned.operators import QuarterTurn


class Gather(nn.Module):
    """``x -> (x_{i_1}, ..., x_{i_n})``, indices into the flattened array."""

    def __init__(self, indices, ndim):
        super().__init__()
        self.ndim = ndim
        self.register_buffer("indices", indices, persistent=False)

    def forward(self, x):
        return x.flatten(-self.ndim).index_select(-1, self.indices)


class Scatter(nn.Module):
    """``g -> sum_k g_k e_{i_k}``, an array of the given shape."""

    def __init__(self, indices, shape):
        super().__init__()
        self.shape, self.size = tuple(shape), int(np.prod(shape))
        self.register_buffer("indices", indices, persistent=False)

    def forward(self, g):
        lead = g.shape[:-1]
        total = torch.zeros_like(g[..., :1]).expand(*lead, self.size)
        return total.index_add(-1, self.indices, g).reshape(*lead, *self.shape)


class Reshape(nn.Module):
    """An array of one shape as one of another, in the order of ODL's arrays."""

    def __init__(self, source, target):
        super().__init__()
        self.source, self.target = tuple(source), tuple(target)

    def forward(self, x):
        return x.reshape(*x.shape[: x.ndim - len(self.source)], *self.target)


class GatherAxis(nn.Module):
    """``x -> x[i_1], ..., x[i_n]`` along one axis, counted from the end."""

    def __init__(self, indices, axis):
        super().__init__()
        self.axis = axis
        self.register_buffer("indices", indices, persistent=False)

    def forward(self, x):
        return x.index_select(self.axis, self.indices)


class Pad(nn.Module):
    """A constant added, or entries left out, before and after every axis."""

    def __init__(self, widths, constant):
        super().__init__()
        self.widths = [int(w) for width in reversed(widths) for w in width]
        self.constant = constant

    def transpose(self):
        """What was added is left out, and zeros stand for what was left out."""
        pairs = list(zip(self.widths[::2], self.widths[1::2]))
        return Pad([(-before, -after) for before, after in reversed(pairs)], 0)

    def forward(self, x):
        if self.constant == 0:
            return nn.functional.pad(x, self.widths)
        return nn.functional.pad(x - self.constant, self.widths) + self.constant


class Transpose(nn.Module):
    """``y -> M^H y`` with a linear module ``M`` on tensors of one shape, by autograd."""

    def __init__(self, module, source, target):
        super().__init__()
        self.module, self.source, self.target = module, source, target

    def forward(self, y):
        zero = self.source.zeros(self.target.batch_shape(y), y.device)
        (x,) = torch.func.vjp(self.module, zero)[1](y)
        return x


class Turn(nn.Module):
    """``k`` quarter turns of the first two of the last ``ndim`` axes."""

    def __init__(self, k, ndim):
        super().__init__()
        self.k, self.axes = k, (-ndim, 1 - ndim)

    def forward(self, x):
        return torch.rot90(x, self.k, self.axes)


@lower.register
def _(op: SamplingOperator):
    weight = _cell_volume(op.domain) if op.variant == "integrate" else 1.0
    return Composition(Scale(weight), Gather(_indices(op, op.domain), op.domain.ndim))


@lower.register
def _(op: WeightedSumSamplingOperator):
    weight = 1 / _cell_volume(op.range) if op.variant == "dirac" else 1.0
    return Composition(Scale(weight), Scatter(_indices(op, op.range), op.range.shape))


@lower.register
def _(op: FlatteningOperator):
    return Reshape(op.domain.shape, op.range.shape)


def _unflattening(op):
    return Reshape(op.domain.shape, op.range.shape)


local_rules["FlatteningOperatorInverse"] = _unflattening


@lower.register
def _(op: ResizingOperator):
    sizes = list(zip(op.domain.shape, op.range.shape, op.offset))
    if op.pad_mode == "constant":
        before = [offset if new >= old else -offset for old, new, offset in sizes]
        widths = [(b, new - old - b) for b, (old, new, _) in zip(before, sizes)]
        return Pad(widths, np.asarray(op.pad_const).item())
    return nn.Sequential(*[
        _resize_axis(op, old, new, offset, axis - op.domain.ndim)
        for axis, (old, new, offset) in enumerate(sizes) if old != new
    ])


def _resize_axis(op, old, new, offset, axis):
    """One axis after the other: as ODL pads, the corners come from edges already padded."""
    def resized(array):
        return resize_array(array, (new, *array.shape[1:]), (offset, *[0] * (array.ndim - 1)),
                            op.pad_mode)

    if op.pad_mode == "order1" and new > old:
        matrix = torch.from_numpy(resized(np.eye(old)))
        return Matrix(matrix.to(layout_of(op.range).dtype), axis)
    return GatherAxis(torch.from_numpy(resized(np.arange(float(old))).astype(np.int64)), axis)


def _resizing_adjoint(op):
    forward_op = op.adjoint
    forward = lower(forward_op)
    if isinstance(forward, Pad):
        return forward.transpose()
    return Transpose(forward, layout_of(forward_op.domain), layout_of(forward_op.range))


local_rules["ResizingOperatorAdjoint"] = _resizing_adjoint


@lower.register
def _(op: QuarterTurn):
    return Turn(op.k, op.domain.ndim)


def _cell_volume(space):
    return float(getattr(space, "cell_volume", 1.0))


def _indices(op, space):
    flat = np.ravel_multi_index([np.asarray(i) for i in op.sampling_points], space.shape)
    return torch.from_numpy(np.atleast_1d(flat).astype(np.int64))
