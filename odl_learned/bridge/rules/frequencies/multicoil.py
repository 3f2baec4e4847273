"""Native rules for the Fourier transform of several coils, and for its normal operator.

With ``c = n // 2``, the centred transform of one axis, even or odd, is

    F x = n^-1/2 b . fft(a . x),   a_j = exp(2 pi i c j / n),   b_k = exp(2 pi i c (k - c) / n),

by ``(k - c)(j - c) = k j - c j - c (k - c)``. The phases ``a`` are folded into the sensitivities,
``b`` and the factors ``n^-1/2`` into the sampling weights; no shift is left. One image and coil is
computed at a time, so that the work on it stays in the cache.
"""

import math

import numpy as np
import torch
from torch import nn

from odl_learned.bridge.graphs import outside_graphs
from odl_learned.bridge.layouts.arrays import tensor_of
from odl_learned.bridge.loops.generic import LinearMap
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import fused_compositions
from odl_learned.bridge.rules.frequencies.fourier import (
    normal_weights,
    sampling_weights,
    without_constant_axes,
)
from odl_learned.operators import MultiCoilFourier, MultiCoilFourierAdjoint

#: Largest share of sampled lines with which it pays to transform only these along the other axes.
LARGEST_SHARE = 0.4


class CoilFourier(nn.Module):
    """``x -> (S F s_c x)_c``; sensitivities and weights have their factors."""

    def __init__(self, sensitivities, weights):
        super().__init__()
        self.shape = tuple(sensitivities.shape[1:])
        self.register_buffer("sensitivities", sensitivities, persistent=False)
        self.register_buffer("conjugates", sensitivities.conj().resolve_conj(), persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x):
        return outside_graphs(LinearMap.apply, x, self.analyze, self.synthesize)

    def analyze(self, x):
        """``(*batch, *s) -> (*batch, C, *s)``, without derivatives."""
        y = x.new_empty((*self._lead(x), len(self.sensitivities), *self.shape))
        for image, data in zip(self._images(x), y.view(-1, *y.shape[-len(self.shape) - 1 :])):
            self.analyze_image(image, data)
        return y

    def synthesize(self, y):
        """``(*batch, C, *s) -> (*batch, *s)``, the Hermitian transpose."""
        x = y.new_zeros((*self._lead(y)[:-1], *self.shape))
        for image, data in zip(self._images(x), y.reshape(-1, *y.shape[-len(self.shape) - 1 :])):
            self.synthesize_image(data, image)
        return x

    def analyze_image(self, image, data):
        """Write the data ``(C, *s)`` of one image."""
        for sensitivity, target in zip(self.sensitivities, data):
            values = torch.fft.fftn(sensitivity * image)
            torch.mul(values, self.weights, out=target)

    def synthesize_image(self, data, image):
        """Add what the data of one image give to zeros."""
        weights = self.weights.conj()
        for conjugate, source in zip(self.conjugates, data):
            image.addcmul_(conjugate, torch.fft.ifftn(weights * source, norm="forward"))

    def _lead(self, x):
        return x.shape[: x.ndim - len(self.shape)]

    def _images(self, x):
        return x.reshape(-1, *self.shape)


class CoilFourierLines(CoilFourier):
    """The same where few lines are sampled: all the others are left out as soon as they can be.

    After the transform along the axis across the lines, stored last, the others take only lines
    that are sampled.
    """

    def __init__(self, sensitivities, weights, axis, lines):
        super().__init__(sensitivities.movedim(axis, -1).contiguous(),
                         weights.index_select(axis, lines).contiguous())
        self.shape, self.axis = tuple(weights.shape), axis
        self.others = tuple(i for i in range(-weights.ndim, 0) if i != axis)
        self.register_buffer("lines", lines, persistent=False)

    def analyze_image(self, image, data):
        image = image.movedim(self.axis, -1).contiguous()
        here, last = self._lines_along(self.axis), self._lines_along(-1)
        for sensitivity, target in zip(self.sensitivities, data):
            values = torch.fft.fft(sensitivity * image).gather(-1, last)
            values = values.movedim(-1, self.axis).contiguous()
            values = torch.fft.fftn(values, dim=self.others).mul_(self.weights)
            target.zero_().scatter_(self.axis, here, values)

    def synthesize_image(self, data, image):
        image, weights = image.movedim(self.axis, -1), self.weights.conj()
        total = torch.zeros_like(image, memory_format=torch.contiguous_format)
        values = torch.zeros_like(total)
        here, last = self._lines_along(self.axis), self._lines_along(-1)
        for conjugate, source in zip(self.conjugates, data):
            source = weights * source.gather(self.axis, here)
            source = torch.fft.ifftn(source, dim=self.others, norm="forward")
            values.scatter_(-1, last, source.movedim(self.axis, -1))
            total.addcmul_(conjugate, torch.fft.ifft(values, norm="forward"))
        image.copy_(total)

    def _lines_along(self, axis):
        """Indices of the sampled lines along an axis, for gather and scatter: these copy faster
        than a selection of whole lines."""
        shape = list(self.weights.movedim(self.axis, axis).shape)
        index = self.lines.reshape([len(self.lines)] + [1] * (-1 - axis))
        return index.expand(shape)


class CoilTranspose(nn.Module):
    """``y -> sum_c conj(s_c) F^-1 S y_c``, the Hermitian transpose."""

    def __init__(self, coils):
        super().__init__()
        self.coils = coils

    def forward(self, y):
        return outside_graphs(LinearMap.apply, y, self.coils.synthesize, self.coils.analyze)


class CoilFourierNormal(nn.Module):
    """``x -> sum_c conj(s_c) F^-1 W F s_c x`` with real ``W`` from the zero frequency on.

    Everything is stored with the axes that are transformed last, where transforms are fast.
    """

    def __init__(self, sensitivities, weights):
        super().__init__()
        weights, self.dims = without_constant_axes(weights)
        shape = sensitivities.shape[1:]
        weights = weights / math.prod(shape[i] for i in self.dims)
        axes = range(-weights.ndim, 0)
        self.order = (*(i for i in axes if i not in self.dims), *self.dims)
        sensitivities = sensitivities.permute(0, *self.order).contiguous()
        self.register_buffer("weights", weights.permute(self.order).contiguous(), persistent=False)
        self.register_buffer("sensitivities", sensitivities, persistent=False)
        self.register_buffer("conjugates", sensitivities.conj().resolve_conj(), persistent=False)

    def forward(self, x):
        return outside_graphs(LinearMap.apply, x, self.apply_normal, self.apply_normal)

    def apply_normal(self, x):
        """The operator without derivatives; it is its own transpose."""
        shape = x.shape[x.ndim - len(self.order) :]
        result = torch.empty_like(x, memory_format=torch.contiguous_format)
        for image, target in zip(x.reshape(-1, *shape), result.view(-1, *shape)):
            target.permute(self.order).copy_(self.apply_image(image.permute(self.order)))
        return result

    def apply_image(self, image):
        """The operator on one image, with the transformed axes last."""
        image = image.contiguous()
        total, dims = torch.zeros_like(image), tuple(range(-len(self.dims), 0))
        for sensitivity, conjugate in zip(self.sensitivities, self.conjugates):
            values = sensitivity * image
            if dims:
                values = torch.fft.fftn(values, dim=dims).mul_(self.weights)
                values = torch.fft.ifftn(values, dim=dims, norm="forward")
            else:
                values *= self.weights
            total.addcmul_(conjugate, values)
        return total


def coil_fourier(sensitivities, weights, scale):
    """Return the module ``x -> (scale S F s_c x)_c`` for weights and sensitivities as they are."""
    before, after = _phases(weights.shape)
    scale = scale / math.sqrt(weights.numel())
    folded = (scale * after * weights).to(torch.promote_types(weights.dtype, torch.complex64))
    if all(n % 2 == 0 for n in weights.shape):
        folded = (scale * after.real * weights).to(weights.dtype)
    sensitivities = (before * sensitivities).to(sensitivities.dtype)
    shares = {}
    for axis in range(-weights.ndim, 0):
        lines = (weights != 0).movedim(axis, -1).flatten(0, -2).any(0).nonzero().squeeze(-1)
        shares[axis] = len(lines) / weights.shape[axis], lines
    axis = min(shares, key=lambda i: shares[i][0])
    share, lines = shares[axis]
    if weights.ndim > 1 and 0 < share <= LARGEST_SHARE:
        return CoilFourierLines(sensitivities, folded, axis, lines)
    return CoilFourier(sensitivities, folded)


def _phases(shape):
    """The phases ``a`` and ``b`` of all axes multiplied, in double precision."""
    before = after = torch.ones((), dtype=torch.complex128)
    for n in shape:
        j, c = torch.arange(n, dtype=torch.float64), n // 2
        before = before.unsqueeze(-1) * torch.exp(2j * math.pi * (c * j % n) / n)
        after = after.unsqueeze(-1) * torch.exp(2j * math.pi * (c * (j - c) % n) / n)
    return before, after


def _sensitivities(op):
    return tensor_of(np.array(op.sensitivities))


@lower.register
def _(op: MultiCoilFourier):
    return coil_fourier(_sensitivities(op), sampling_weights(op, op.domain), 1.0)


@lower.register
def _(op: MultiCoilFourierAdjoint):
    op = op.forward_op
    weights = sampling_weights(op, op.domain)
    return CoilTranspose(coil_fourier(_sensitivities(op), weights, op.weight_ratio))


def _coil_normal(left, right):
    if not np.array_equal(left.forward_op.sensitivities, right.sensitivities):
        return None
    return CoilFourierNormal(_sensitivities(right), normal_weights(left, right))


fused_compositions[MultiCoilFourierAdjoint, MultiCoilFourier] = _coil_normal
