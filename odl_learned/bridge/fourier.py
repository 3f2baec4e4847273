"""Native rule for the sampled Fourier transform, with the two shifts folded into the samples.

With ``c = n // 2`` the centred transform ``F = fftshift . fft . ifftshift`` of one axis is
``(F x)_k = n^-1/2 sum_j x_j exp(-2 pi i (k - c)(j - c) / n)``, so that for even ``n``

    F x = s_c . fft(s . x),   s_j = (-1)^j,   s_c = (-1)^c s,

by ``exp(-2 pi i (k - c)(j - c) / n) = exp(-2 pi i k j / n) (-1)^k (-1)^j (-1)^c`` for ``c = n/2``:
two multiplications by signs in place of two shifts, and the second one is free, folded into the
sampling weights. Odd axes are shifted as usual.
"""

import torch
from torch import nn

from odl_learned.bridge.lowering import lower
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
