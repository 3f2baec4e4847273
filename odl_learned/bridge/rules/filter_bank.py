"""Native rules for filter banks and fields of experts: one convolution with K output channels."""

import torch
from odl import Operator
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import Composition
from odl_learned.bridge.rules.functionals.norms import square_modulus
from odl_learned.bridge.rules.weighted_adjoints import between_weights
from odl_learned.functionals import FieldsOfExperts
from odl_learned.operators import FilterBank, FilterBankAdjoint

CORRELATE = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}
TRANSPOSE = {1: nn.functional.conv_transpose1d, 2: nn.functional.conv_transpose2d,
             3: nn.functional.conv_transpose3d}


class Responses(nn.Module):
    """``u -> (f_1 * u, ..., f_K * u)`` on ``(*batch, *shape)``, reflected at the boundary."""

    def __init__(self, filters, paddings):
        super().__init__()
        self.paddings, self.ndim = paddings, len(paddings)
        self.register_buffer("filters", filters.unsqueeze(1), persistent=False)  # (K, 1, *s)

    def forward(self, u):
        for axis, (before, after) in zip(range(-self.ndim, 0), self.paddings):
            u = reflected(u, axis, before, after)
        return on_real_parts(self.correlate, u, self.ndim)

    def correlate(self, u):
        """One correlation of a real batch without padding, ``(B, *shape) -> (B, K, *shape)``."""
        return CORRELATE[self.ndim](u.unsqueeze(1), self.filters)


class SummedResponses(nn.Module):
    """``(v_1, ..., v_K) -> P^T sum_k F_k^T v_k``, the transpose of `Responses`."""

    def __init__(self, filters, paddings):
        super().__init__()
        self.paddings, self.ndim = paddings, len(paddings)
        self.register_buffer("filters", filters.unsqueeze(1), persistent=False)  # (K, 1, *s)

    def forward(self, v):
        u = on_real_parts(self.transpose, v, self.ndim + 1)
        for axis, (before, after) in zip(range(-self.ndim, 0), self.paddings):
            u = folded(u, axis, before, after)
        return u

    def transpose(self, v):
        """``(B, K, *shape) -> (B, *padded shape)``."""
        return TRANSPOSE[self.ndim](v, self.filters).squeeze(1)


class Experts(nn.Module):
    """``p -> sum_k alpha_k sum_j w sqrt(|p_kj|^2 + nu^2)``."""

    def __init__(self, alphas, nu, layout):
        super().__init__()
        self.nu, self.layout = nu, layout
        self.register_buffer("alphas", alphas.reshape(-1, *[1] * layout.ndim), persistent=False)

    def forward(self, p):
        length = (square_modulus(p) + self.nu**2).sqrt()
        return self.layout.integrate((self.alphas * length).sum(-self.layout.ndim - 1))


def on_real_parts(function, x, ndim):
    """Apply a map of ``(B, ...)`` to ``(*batch, ...)``, to both parts of complex numbers."""
    if x.is_complex():
        return torch.complex(on_real_parts(function, x.real, ndim),
                             on_real_parts(function, x.imag, ndim))
    lead = x.shape[: x.ndim - ndim]
    y = function(x.reshape(lead.numel(), *x.shape[x.ndim - ndim :]))
    return y.reshape(*lead, *y.shape[1:])


def reflected(x, axis, before, after):
    """``x`` with its mirror image before and after it, edge values repeated."""
    n = x.shape[axis]
    parts = [x.narrow(axis, 0, before).flip(axis), x, x.narrow(axis, n - after, after).flip(axis)]
    return torch.cat(parts, dim=axis)


def folded(x, axis, before, after):
    """The transpose of `reflected`."""
    n = x.shape[axis] - before - after
    first, inner, last = x.split([before, n, after], dim=axis)
    start = torch.cat([first.flip(axis), zeros_along(inner, axis, n - before)], dim=axis)
    end = torch.cat([zeros_along(inner, axis, n - after), last.flip(axis)], dim=axis)
    return inner + start + end


def zeros_along(x, axis, size):
    """Zeros of the shape of ``x`` but for one axis."""
    return torch.zeros_like(x.narrow(axis, 0, size))


@lower.register
def _(op: FilterBank):
    if op.domain.ndim not in CORRELATE:
        return lower.dispatch(Operator)(op)
    return Responses(torch.tensor(op.filters), op.paddings)


@lower.register
def _(op: FilterBankAdjoint):
    if op.range.ndim not in CORRELATE:
        return lower.dispatch(Operator)(op)
    transpose = SummedResponses(torch.tensor(op.bank.filters), op.bank.paddings)
    return between_weights(transpose, op, op.range)


@lower.register
def _(op: FieldsOfExperts):
    alphas = torch.tensor(op.alphas).to(torch.tensor(op.bank.filters).dtype)
    return Composition(Experts(alphas, op.nu, layout_of(op.domain)), lower(op.bank))
