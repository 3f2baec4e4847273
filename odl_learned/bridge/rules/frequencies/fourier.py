"""Native rules for the sampled Fourier transform, and for its normal operator.

With ``c = n // 2`` the centred transform ``F = fftshift . fft . ifftshift`` of one axis is
``(F x)_k = n^-1/2 sum_j x_j exp(-2 pi i (k - c)(j - c) / n)``, so that for even ``n``

    F x = s_c . fft(s . x),   s_j = (-1)^j,   s_c = (-1)^c s,

by ``exp(-2 pi i (k - c)(j - c) / n) = exp(-2 pi i k j / n) (-1)^k (-1)^j (-1)^c`` for ``c = n/2``:
two multiplications by signs in place of two shifts, and the second one is free, folded into the
sampling weights. Odd axes are shifted as usual. The normal operator needs neither, since
``F^-1 S^2 F`` is a circular convolution and commutes with shifts: with ``W`` the squared weights
from the zero frequency on, ``F^-1 S^2 F = ifft . W . fft``, and axes along which ``W`` is constant
need no transform.
"""

import torch
from torch import nn

from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import fused_compositions
from odl_learned.operators.transforms.fourier import SampledFourier, SampledFourierAdjoint


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
        weights, self.dims = without_constant_axes(weights)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x):
        if x.numel() == 0:
            return x
        if not self.dims:
            return self.weights * x
        return torch.fft.ifftn(self.weights * torch.fft.fftn(x, dim=self.dims), dim=self.dims)


def without_constant_axes(weights):
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


def sampling_weights(op, space):
    """The weights of a sampled transform as a real tensor of the precision of a space."""
    real = torch.empty((), dtype=getattr(torch, str(space.dtype_identifier))).real.dtype
    return torch.tensor(op.weights, dtype=real)


@lower.register
def _(op: SampledFourier):
    return CentredFourier(sampling_weights(op, op.domain))


@lower.register
def _(op: SampledFourierAdjoint):
    forward_op = op.forward_op
    return CentredFourierTranspose(sampling_weights(forward_op, op.range), forward_op.weight_ratio)


def normal_weights(left, right):
    """``(w_Y / w_X) S_left S_right`` from the zero frequency on."""
    weights = left.forward_op.weight_ratio * sampling_weights(left.forward_op, left.range)
    return torch.fft.ifftshift(weights * sampling_weights(right, right.domain))


def _fourier_normal(left, right):
    return FourierNormal(normal_weights(left, right))


fused_compositions[SampledFourierAdjoint, SampledFourier] = _fourier_normal
