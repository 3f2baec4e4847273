"""Native rules for the packed orthogonal wavelet transform and the functionals made of it.

One level acts along every axis by one orthogonal matrix ``[L; H]``, the low pass above the high
pass, on the block that is low along all axes; the result stays where it is, so that coefficients
have the shape of the image.
"""

import numpy as np
import pywt
import torch
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.proximals.lowering import column, lower_proximal, rows
from odl_learned.bridge.rules.expressions import Composition
from odl_learned.bridge.rules.functionals.indicators import Indicator
from odl_learned.bridge.rules.functionals.norms import modulus, over_entries
from odl_learned.bridge.rules.matrices import Matrix
from odl_learned.functionals import WaveletBound, WaveletDetailL1, WaveletL1
from odl_learned.operators import OrthogonalWavelet, OrthogonalWaveletAdjoint


class OnCorner(nn.Module):
    """``x -> x`` with the block at index zero replaced by a map of it."""

    def __init__(self, module, shape):
        super().__init__()
        self.module, self.shape = module, tuple(shape)

    def forward(self, x):
        if tuple(x.shape[x.ndim - len(self.shape) :]) == self.shape:
            return self.module(x)
        corner = (..., *[slice(n) for n in self.shape])
        result = x.clone()
        result[corner] = self.module(x[corner])
        return result


class WeightedMagnitudes(nn.Module):
    """``c -> sum_j w t_j |c_j|``."""

    def __init__(self, thresholds, layout):
        super().__init__()
        self.layout = layout
        self.register_buffer("thresholds", thresholds, persistent=False)

    def forward(self, c):
        return self.layout.integrate(self.thresholds * modulus(c))


class LargestExcess(nn.Module):
    """``c -> max_j |c_j| - t_j``."""

    def __init__(self, thresholds, layout):
        super().__init__()
        self.layout = layout
        self.register_buffer("thresholds", thresholds, persistent=False)

    def forward(self, c):
        return over_entries(torch.amax, modulus(c) - self.thresholds, self.layout)


class Coefficients(nn.Module):
    """A transform, its inverse and a threshold for every coefficient."""

    def __init__(self, functional):
        super().__init__()
        self.transform = lower(functional.transform)
        self.inverse = lower(functional.transform.adjoint)
        self.register_buffer("thresholds", torch.tensor(functional.thresholds), persistent=False)


class CoefficientClipping(Coefficients):
    """``z -> W* P W z`` with ``P`` the projection onto ``|c_j| <= t_j``; ``z`` itself if inside."""

    def __init__(self, bound):
        super().__init__(bound)
        self.excess = LargestExcess(torch.tensor(bound.thresholds), layout_of(bound.domain))
        self.slack = bound.slack

    def forward(self, z, sigma):
        c = self.transform(z)
        inside = self.excess(c) <= self.slack
        return torch.where(rows(inside, z), z, self.inverse(clipped(c, self.thresholds)))


class CoefficientShrinkage(Coefficients):
    """``x -> W* S W x`` with ``S`` soft thresholding at ``sigma t_j``."""

    def forward(self, x, sigma):
        c = self.transform(x)
        return self.inverse(c - clipped(c, column(sigma, c) * self.thresholds))


def clipped(c, level):
    """``c`` with magnitudes of at most the level, zero where that is zero."""
    magnitude = modulus(c)
    large = magnitude > level
    return torch.where(large, level / torch.where(large, magnitude, 1.0), 1.0) * c


def _level(transform, j, transposed):
    """Level ``j``, the finest being zero, or its transpose; along axes counted from the end."""
    layout, wavelet = layout_of(transform.domain), transform.wavelet
    shape = [n >> j for n in layout.shape]
    matrices = [np.concatenate(pywt.dwt(np.eye(n), wavelet, "periodization", 0)) for n in shape]
    steps = [
        Matrix(torch.tensor(m.T if transposed else m).to(layout.dtype), axis - layout.ndim)
        for axis, m in enumerate(matrices)
    ]
    return OnCorner(nn.Sequential(*steps), shape)


@lower.register
def _(op: OrthogonalWavelet):
    return nn.Sequential(*[_level(op, j, False) for j in range(op.nlevels)])


@lower.register
def _(op: OrthogonalWaveletAdjoint):
    return nn.Sequential(*[_level(op.transform, j, True)
                           for j in reversed(range(op.transform.nlevels))])


@lower.register(WaveletL1)
@lower.register(WaveletDetailL1)
def _(op):
    value = WeightedMagnitudes(torch.tensor(op.thresholds), layout_of(op.domain))
    return Composition(value, lower(op.transform))


@lower.register
def _(op: WaveletBound):
    layout = layout_of(op.domain)
    excess = LargestExcess(torch.tensor(op.thresholds), layout)
    return Indicator(Composition(excess, lower(op.transform)), 2 * op.slack, layout)


@lower_proximal.register(WaveletL1)
@lower_proximal.register(WaveletDetailL1)
def _(f):
    return CoefficientShrinkage(f)


@lower_proximal.register
def _(f: WaveletBound):
    return CoefficientClipping(f)
