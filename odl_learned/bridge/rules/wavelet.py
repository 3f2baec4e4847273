"""Native rule for ODL's wavelet transform and its inverse: one matrix per level and axis.

One level of the discrete wavelet transform of ``n`` entries is a linear map ``W = [L; H]``, the low
pass above the high pass, each filtered and downsampled by two. In several dimensions it acts along
one axis after the other, and the next level acts on the block that is low along all axes. The
boundary enters through the matrices alone, which PyWavelets makes from the identity, so that every
padding mode is exact. An orthogonal wavelet with zero padding, or periodized with even lengths, has
``W^T W = 1``. Autograd transposes the map as it is, also where ODL's ``adjoint`` is an inverse.
"""

import math

import numpy as np
import pywt
import torch
from odl.trafos import WaveletTransform, WaveletTransformInverse
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.matrices import Matrix


class WaveletAnalysis(nn.Module):
    """``x -> (a_J, d_J, ..., d_1)`` as one vector, in PyWavelets' order.

    ``levels`` holds the matrices ``W`` of every axis, finest level first.
    """

    def __init__(self, levels, axes, ndim):
        super().__init__()
        self.axes, self.ndim = axes, ndim
        self.levels = nn.ModuleList(
            nn.Sequential(*[Matrix(w, axis) for w, axis in zip(level, axes)]) for level in levels)
        self.halves = [[w.shape[0] // 2 for w in level] for level in levels]

    def forward(self, x):
        parts = []
        for level, halves in zip(self.levels, self.halves):
            y = level(x)
            blocks = [_block(y, self.axes, halves, band) for band in _bands(len(self.axes))]
            x, details = blocks[0], [part.flatten(-self.ndim) for part in blocks[1:]]
            parts = details + parts
        return torch.cat([x.flatten(-self.ndim), *parts], dim=-1)


class WaveletSynthesis(nn.Module):
    """``(a_J, d_J, ..., d_1) -> x``, one matrix ``[L' H']`` per level and axis, coarsest first."""

    def __init__(self, levels, axes, shape):
        super().__init__()
        self.axes, self.shape = axes, tuple(shape)
        self.levels = nn.ModuleList(
            nn.Sequential(*[Matrix(w, axis) for w, axis in zip(level, axes)]) for level in levels)
        self.shapes = [_with_sizes(self.shape, axes, [w.shape[1] // 2 for w in level])
                       for level in levels]

    def forward(self, c):
        first = self.shapes[0] if self.shapes else self.shape
        lead = c.shape[:-1]
        x = c[..., : math.prod(first)].reshape(*lead, *first)
        start = math.prod(first)
        for level, shape in zip(self.levels, self.shapes):
            blocks = [x]
            for _ in range(2 ** len(self.axes) - 1):
                stop = start + math.prod(shape)
                blocks.append(c[..., start:stop].reshape(*lead, *shape))
                start = stop
            x = level(_assemble(blocks, self.axes))
        return x


def _bands(count):
    """``aa, ad, da, dd``: low (0) or high (1) along every axis, in alphabetical order."""
    return [[(k >> (count - 1 - i)) & 1 for i in range(count)] for k in range(2**count)]


def _block(y, axes, halves, band):
    for axis, half, is_high in zip(axes, halves, band):
        y = y.narrow(axis, half * is_high, half)
    return y


def _assemble(blocks, axes):
    """Inverse of cutting into blocks: the last axis varies fastest."""
    for axis in reversed(axes):
        blocks = [torch.cat(pair, dim=axis) for pair in zip(blocks[::2], blocks[1::2])]
    return blocks[0]


def _with_sizes(shape, axes, sizes):
    shape = list(shape)
    for axis, size in zip(axes, sizes):
        shape[axis] = size
    return tuple(shape)


def _axes(op, ndim):
    return [axis % ndim - ndim for axis in op.axes]


def _lengths(op, space):
    """Lengths of the transformed axes on every level, the finest first."""
    lengths = [[space.shape[axis] for axis in op.axes]]
    for _ in range(op.nlevels):
        filter_length = op.pywt_wavelet.dec_len
        lengths.append([pywt.dwt_coeff_len(n, filter_length, op.pywt_pad_mode)
                        for n in lengths[-1]])
    return lengths


def _analysis_matrix(op, n, dtype):
    blocks = pywt.dwt(np.eye(n), op.pywt_wavelet, op.pywt_pad_mode, axis=0)
    return torch.from_numpy(np.concatenate(blocks)).to(dtype)


def _synthesis_matrix(op, n, m, dtype):
    """From ``m`` low and ``m`` high entries to ``n``; an odd ``n`` drops the last of ``n + 1``."""
    unit, zero = np.eye(m), np.zeros((m, m))
    blocks = [pywt.idwt(low, high, op.pywt_wavelet, op.pywt_pad_mode, axis=0)
              for low, high in ((unit, zero), (zero, unit))]
    return torch.from_numpy(np.concatenate(blocks, axis=1)[:n].copy()).to(dtype)


@lower.register
def _(op: WaveletTransform):
    dtype, ndim = layout_of(op.domain).dtype, op.domain.ndim
    levels = [[_analysis_matrix(op, n, dtype) for n in sizes]
              for sizes in _lengths(op, op.domain)[:-1]]
    return WaveletAnalysis(levels, _axes(op, ndim), ndim)


@lower.register
def _(op: WaveletTransformInverse):
    dtype = layout_of(op.range).dtype
    lengths = _lengths(op, op.range)
    levels = [[_synthesis_matrix(op, n, m, dtype) for n, m in zip(fine, coarse)]
              for fine, coarse in zip(lengths, lengths[1:])]
    return WaveletSynthesis(levels[::-1], _axes(op, op.range.ndim), op.range.shape)
