"""Native rules for the sampled Fourier transform of one coil or several, and its normal operator.

With ``c = n // 2`` the centred transform ``F = fftshift . fft . ifftshift`` of one axis is
``(F x)_k = n^-1/2 sum_j x_j exp(-2 pi i (k - c)(j - c) / n)``, so that for even ``n``

    F x = s_c . fft(s . x),   s_j = (-1)^j,   s_c = (-1)^c s,

by ``exp(-2 pi i (k - c)(j - c) / n) = exp(-2 pi i k j / n) (-1)^k (-1)^j (-1)^c`` for ``c = n/2``:
two multiplications by signs in place of two shifts, and the second one is free, folded into the
sampling weights. Odd axes are shifted as usual; with several coils, they take the phases

    F x = b . fft(a . x),   a_j = exp(2 pi i c j / n),   b_k = exp(2 pi i c (k - c) / n),

of which the signs are a special case: ``a`` is folded into the sensitivities, ``b`` into the
weights. The normal operator needs neither, since ``F^-1 S^2 F`` is a circular convolution and
commutes with shifts: with ``M`` the squared weights from the zero frequency on,
``F^-1 S^2 F = ifft . M . fft``, and axes along which ``M`` is constant need no transform.
"""

import math

import numpy as np
import torch
from torch import nn

from odl_learned.bridge.expressions import fused_compositions
from odl_learned.bridge.generic import LinearMap
from odl_learned.bridge.graphs import outside_graphs
from odl_learned.bridge.lowering import lower
from odl_learned.operators import MultiCoilFourier, MultiCoilFourierAdjoint
from odl_learned.operators.fourier import SampledFourier, SampledFourierAdjoint


class CentredFourier(nn.Module):
    """``x -> S F x`` with the unitary centred transform over the last axes."""

    def __init__(self, weights, scale=1.0):
        super().__init__()
        self.dims = tuple(range(-weights.ndim, 0))
        self.is_even = all(n % 2 == 0 for n in weights.shape)
        signs = _signs(weights.shape)
        folded = signs * (-1) ** sum(n // 2 for n in weights.shape) * weights
        self.register_buffer("signs", signs.to(weights.dtype), persistent=False)
        self.register_buffer("weights", scale * (folded if self.is_even else weights),
                             persistent=False)

    def forward(self, x):
        if x.numel() == 0:
            return x
        if self.is_even:
            return self.weights * torch.fft.fftn(self.signs * x, dim=self.dims, norm="ortho")
        x = torch.fft.ifftshift(x, dim=self.dims)
        x = torch.fft.fftshift(torch.fft.fftn(x, dim=self.dims, norm="ortho"), dim=self.dims)
        return self.weights * x


class CentredFourierTranspose(CentredFourier):
    """``y -> F^H S y``."""

    def forward(self, y):
        if y.numel() == 0:
            return y
        if self.is_even:
            return self.signs * torch.fft.ifftn(self.weights * y, dim=self.dims, norm="ortho")
        y = torch.fft.ifftshift(self.weights * y, dim=self.dims)
        return torch.fft.fftshift(torch.fft.ifftn(y, dim=self.dims, norm="ortho"), dim=self.dims)


class FourierNormal(nn.Module):
    """``x -> F^-1 W F x`` with real weights ``W`` that start at the zero frequency."""

    def __init__(self, weights):
        super().__init__()
        weights, self.dims = _without_constant_axes(weights)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x):
        if x.numel() == 0:
            return x
        if not self.dims:
            return self.weights * x
        return torch.fft.ifftn(self.weights * torch.fft.fftn(x, dim=self.dims), dim=self.dims)


class CoilFourier(nn.Module):
    """``x -> (S F s_c x)_c``, image by image, so that the work on each stays in the cache."""

    def __init__(self, sensitivities, weights, scale=1.0):
        super().__init__()
        before, after = _phases(weights.shape)
        folded = (before * sensitivities).to(sensitivities.dtype)
        self.register_buffer("sensitivities", folded, persistent=False)
        self.register_buffer("conjugates", folded.conj().resolve_conj(), persistent=False)
        self.register_buffer("weights", _folded(scale * after * weights, weights.dtype),
                             persistent=False)

    def forward(self, x):
        return outside_graphs(LinearMap.apply, x, self.analyze, self.synthesize)

    def analyze(self, x):
        """``(*batch, *s) -> (*batch, C, *s)``, without derivatives."""
        coils, *shape = self.sensitivities.shape
        y = x.new_empty((*x.shape[: x.ndim - len(shape)], coils, *shape))
        for image, data in zip(x.reshape(-1, *shape), y.view(-1, coils, *shape)):
            for sensitivity, target in zip(self.sensitivities, data):
                values = torch.fft.fftn(sensitivity * image, norm="ortho")
                torch.mul(values, self.weights, out=target)
        return y

    def synthesize(self, y):
        """``(*batch, C, *s) -> (*batch, *s)``, the Hermitian transpose."""
        coils, *shape = self.sensitivities.shape
        x = y.new_zeros((*y.shape[: y.ndim - len(shape) - 1], *shape))
        weights = self.weights.conj()
        for image, data in zip(x.view(-1, *shape), y.reshape(-1, coils, *shape)):
            for conjugate, source in zip(self.conjugates, data):
                values = torch.fft.ifftn(weights * source, norm="ortho")
                image.addcmul_(conjugate, values)
        return x


class CoilFourierTranspose(CoilFourier):
    """``y -> sum_c conj(s_c) F^-1 S y_c``."""

    def forward(self, y):
        return outside_graphs(LinearMap.apply, y, self.synthesize, self.analyze)


class CoilFourierNormal(nn.Module):
    """``x -> sum_c conj(s_c) F^-1 W F s_c x`` with real ``W`` from the zero frequency on."""

    def __init__(self, sensitivities, weights):
        super().__init__()
        weights, self.dims = _without_constant_axes(weights)
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("sensitivities", sensitivities, persistent=False)
        self.register_buffer("conjugates", sensitivities.conj().resolve_conj(), persistent=False)

    def forward(self, x):
        return outside_graphs(LinearMap.apply, x, self.apply_normal, self.apply_normal)

    def apply_normal(self, x):
        """The operator without derivatives; it is its own transpose."""
        shape = self.sensitivities.shape[1:]
        result = torch.zeros_like(x, memory_format=torch.contiguous_format)
        for image, total in zip(x.reshape(-1, *shape), result.view(-1, *shape)):
            for sensitivity, conjugate in zip(self.sensitivities, self.conjugates):
                values = sensitivity * image
                if self.dims:
                    values = torch.fft.fftn(values, dim=self.dims).mul_(self.weights)
                    values = torch.fft.ifftn(values, dim=self.dims)
                else:
                    values *= self.weights
                total.addcmul_(conjugate, values)
        return result


def _phases(shape):
    """The phases ``a`` and ``b`` of all axes multiplied, in double precision."""
    before = after = torch.ones((), dtype=torch.complex128)
    for n in shape:
        j, c = torch.arange(n, dtype=torch.float64), n // 2
        before = before.unsqueeze(-1) * torch.exp(2j * math.pi * (c * j % n) / n)
        after = after.unsqueeze(-1) * torch.exp(2j * math.pi * (c * (j - c) % n) / n)
    return before, after


def _folded(weights, dtype):
    """Weights with their phases: real ones, where these are signs."""
    if all(n % 2 == 0 for n in weights.shape):
        return weights.real.to(dtype)
    return weights.to(torch.promote_types(dtype, torch.complex64))


def _without_constant_axes(weights):
    """The weights with length one along axes where they do not change, and the other axes."""
    dims = []
    for axis in range(-weights.ndim, 0):
        first = weights.narrow(axis, 0, 1)
        if (weights == first).all():
            weights = first
        else:
            dims.append(axis)
    return weights.contiguous(), tuple(dims)


def _signs(shape):
    """``(-1)^(j_1 + ... + j_d)``."""
    signs = torch.ones(())
    for n in shape:
        signs = signs.unsqueeze(-1) * (-1.0) ** torch.arange(n)
    return signs


def _weights(op, space):
    real = torch.empty((), dtype=getattr(torch, str(space.dtype_identifier))).real.dtype
    return torch.tensor(op.weights, dtype=real)


@lower.register
def _(op: SampledFourier):
    return CentredFourier(_weights(op, op.domain))


@lower.register
def _(op: SampledFourierAdjoint):
    forward_op = op.forward_op
    return CentredFourierTranspose(_weights(forward_op, op.range), forward_op.weight_ratio)


def _sensitivities(op):
    return torch.from_numpy(np.array(op.sensitivities))


@lower.register
def _(op: MultiCoilFourier):
    return CoilFourier(_sensitivities(op), _weights(op, op.domain))


@lower.register
def _(op: MultiCoilFourierAdjoint):
    op = op.forward_op
    return CoilFourierTranspose(_sensitivities(op), _weights(op, op.domain), op.weight_ratio)


def _normal_weights(left, right):
    """``(w_Y / w_X) S_left S_right`` from the zero frequency on."""
    weights = left.forward_op.weight_ratio * _weights(left.forward_op, left.range)
    return torch.fft.ifftshift(weights * _weights(right, right.domain))


def _fourier_normal(left, right):
    return FourierNormal(_normal_weights(left, right))


def _coil_normal(left, right):
    if not np.array_equal(left.forward_op.sensitivities, right.sensitivities):
        return None
    return CoilFourierNormal(_sensitivities(right), _normal_weights(left, right))


fused_compositions[SampledFourierAdjoint, SampledFourier] = _fourier_normal
fused_compositions[MultiCoilFourierAdjoint, MultiCoilFourier] = _coil_normal
