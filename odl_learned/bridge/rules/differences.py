"""Native rules for finite differences: partial derivative, gradient, divergence, Laplacian."""

import torch
from odl.core.discr.diff_ops import Divergence, Gradient, Laplacian, PartialDerivative, finite_diff
from torch import nn

from odl_learned.bridge.graphs import without_transforms
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import scaled
from odl_learned.bridge.rules.swept_differences import swept_divergence, swept_gradient
from odl_learned.bridge.rules.weighted_adjoints import between_weights
from odl_learned.operators import SymmetrizedGradient, SymmetrizedGradientAdjoint


def forward_difference(x, axis, cell_side):
    """``(x_{i+1} - x_i) / h``, zero in the last place: forward differences, Neumann.

    ``axis`` counts from the end (-1 is the last).
    """
    n = x.shape[axis] - 1
    difference = (x.narrow(axis, 1, n) - x.narrow(axis, 0, n)) / cell_side
    return pad(difference, {axis: (0, 1)})


def pad(x, paddings):
    """Zeros before and after along some axes: ``paddings`` is ``{axis: (before, after)}``."""
    first = min(paddings)
    widths = [paddings.get(axis, (0, 0)) for axis in range(-1, first - 1, -1)]
    return nn.functional.pad(x, [w for width in widths for w in width])


def _write_difference(x, axis, cell_side, out):
    """`forward_difference`, written into a tensor."""
    n = x.shape[axis] - 1
    inner = out.narrow(axis, 0, n)
    torch.sub(x.narrow(axis, 1, n), x.narrow(axis, 0, n), out=inner)
    if cell_side != 1:
        inner.div_(cell_side)
    out.narrow(axis, n, 1).zero_()


def _write_transpose(p, axis, cell_side, out):
    """``(p_i - p_{i-1}) / h`` with zeros for p_{-1} and p_{n-1}, written into a tensor."""
    n = p.shape[axis]
    out.narrow(axis, 0, 1).copy_(p.narrow(axis, 0, 1))
    torch.sub(p.narrow(axis, 1, n - 2), p.narrow(axis, 0, n - 2), out=out.narrow(axis, 1, n - 2))
    torch.neg(p.narrow(axis, n - 2, 1), out=out.narrow(axis, n - 1, 1))
    if cell_side != 1:
        out.div_(cell_side)


class PartialDifference(nn.Module):
    """``x -> d_i x`` with one of ODL's methods and paddings; ``axis`` counts from the end."""

    def __init__(self, axis, cell_side, method, pad_mode, pad_const):
        super().__init__()
        self.axis, self.cell_side = axis, float(cell_side)
        self.method, self.pad_mode, self.pad_const = method, pad_mode, pad_const
        self.is_neumann = method == "forward" and pad_mode in ("symmetric", "order0")
        self.is_transpose = method == "backward" and pad_mode in (
            "symmetric_adjoint", "order0_adjoint")

    def forward(self, x):
        if self.is_neumann:
            return forward_difference(x, self.axis, self.cell_side)
        return finite_diff(x, axis=x.ndim + self.axis, dx=self.cell_side, method=self.method,
                           pad_mode=self.pad_mode, pad_const=self.pad_const)


class StackedDifferences(nn.Module):
    """``x -> (d_1 x, ..., d_n x)``, the gradient."""

    def __init__(self, differences):
        super().__init__()
        self.differences = nn.ModuleList(differences)

    def forward(self, x):
        return self.scaled_by(1, x)

    def scaled_by(self, scalar, x):
        """``s`` times the gradient."""
        d = len(self.differences)
        if not (without_transforms() and all(part.is_neumann for part in self.differences)):
            return scaled(scalar, torch.stack([part(x) for part in self.differences], dim=-d - 1))
        swept = swept_gradient(x, _factors(scalar, self.differences))
        if swept is not None:
            return swept
        out = x.new_empty((*x.shape[: x.ndim - d], d, *x.shape[x.ndim - d :]))
        for part, image in zip(self.differences, out.unbind(-d - 1), strict=True):
            _write_difference(x, part.axis, part.cell_side, image)
        return scaled(scalar, out)


class SummedDifferences(nn.Module):
    """``(p_1, ..., p_n) -> d_1 p_1 + ... + d_n p_n``, the divergence."""

    def __init__(self, differences):
        super().__init__()
        self.differences = nn.ModuleList(differences)

    def forward(self, p):
        return self.scaled_by(1, p)

    def scaled_by(self, scalar, p):
        """``s`` times the divergence."""
        parts = p.unbind(-len(self.differences) - 1)
        if not (without_transforms() and self._are_transposes(parts[0])):
            return scaled(scalar, sum(d(part) for d, part in zip(self.differences, parts)))
        swept = swept_divergence(p, _factors(scalar, self.differences))
        if swept is not None:
            return swept
        total = torch.empty_like(parts[0], memory_format=torch.contiguous_format)
        summand = torch.empty_like(total) if len(parts) > 1 else None
        for k, (d, part) in enumerate(zip(self.differences, parts, strict=True)):
            _write_transpose(part, d.axis, d.cell_side, summand if k else total)
            if k:
                total += summand
        return scaled(scalar, total)

    def _are_transposes(self, part):
        return all(d.is_transpose and part.shape[d.axis] > 1 for d in self.differences)


class SecondDifferences(nn.Module):
    """``x -> sum_i (d_i^+ x - d_i^- x) / h_i``, ODL's Laplacian."""

    def __init__(self, forward, backward):
        super().__init__()
        self.forward_differences = nn.ModuleList(forward)
        self.backward_differences = nn.ModuleList(backward)

    def forward(self, x):
        pairs = zip(self.forward_differences, self.backward_differences)
        return sum(plus(x) - minus(x) for plus, minus in pairs)


class SymmetrizedDifferences(nn.Module):
    """``v -> E v``, as ``operators.SymmetrizedGradient`` derives it."""

    def __init__(self, cell_sides):
        super().__init__()
        self.cell_sides = [float(h) for h in cell_sides]

    def forward(self, v):
        h, d = self.cell_sides, len(self.cell_sides)
        parts = v.unbind(-d - 1)
        entries = []
        for i, part in enumerate(parts):
            n = part.shape[i - d] - 2
            if n < 0:
                entries.append(torch.zeros_like(part))
                continue
            inner = (part.narrow(i - d, 1, n) - part.narrow(i - d, 0, n)) / h[i]
            entries.append(pad(inner, {i - d: (1, 1)}))
        for i in range(d):
            for j in range(i + 1, d):
                first = forward_difference(parts[i], j - d, h[j])
                second = forward_difference(parts[j], i - d, h[i])
                corner = _drop_last(first + second, i - d, j - d)
                entries.append(0.5**0.5 * pad(corner, {i - d: (0, 1), j - d: (0, 1)}))
        return torch.stack(entries, dim=-d - 1)


class SymmetrizedDifferencesTranspose(SymmetrizedDifferences):
    """``w -> E^T w``, minus the divergence of symmetric matrix fields."""

    def forward(self, w):
        h, d = self.cell_sides, len(self.cell_sides)
        entries = list(w.unbind(-d - 1))
        fields = []
        for i in range(d):
            if entries[i].shape[i - d] < 2:
                fields.append(torch.zeros_like(entries[i]))
                continue
            flux = entries[i].narrow(i - d, 1, entries[i].shape[i - d] - 2) / h[i]
            fields.append(pad(flux, {i - d: (1, 1)}) - pad(flux, {i - d: (0, 2)}))
        mixed = iter(entries[d:])
        for i in range(d):
            for j in range(i + 1, d):
                corner = 0.5**0.5 * _drop_last(next(mixed), i - d, j - d)
                here = pad(corner, {i - d: (0, 1), j - d: (0, 1)})
                fields[i] = fields[i] + (pad(corner, {i - d: (0, 1), j - d: (1, 0)}) - here) / h[j]
                fields[j] = fields[j] + (pad(corner, {i - d: (1, 0), j - d: (0, 1)}) - here) / h[i]
        return torch.stack(fields, dim=-d - 1)


def _drop_last(x, *axes):
    for axis in axes:
        x = x.narrow(axis, 0, x.shape[axis] - 1)
    return x


def _factors(scalar, differences):
    """Numbers to multiply differences of side one with, none where they are not real."""
    if isinstance(scalar, complex):
        return ()
    return [float(scalar) / part.cell_side for part in differences]


def _differences(op, space, method=None, exponent=1):
    return [
        PartialDifference(i - space.ndim, h**exponent, method or op.method, op.pad_mode,
                          op.pad_const)
        for i, h in enumerate(space.cell_sides)
    ]


@lower.register
def _(op: PartialDerivative):
    return PartialDifference(op.axis - op.domain.ndim, op.dx, op.method, op.pad_mode, op.pad_const)


@lower.register
def _(op: Gradient):
    return StackedDifferences(_differences(op, op.domain))


@lower.register
def _(op: Divergence):
    return SummedDifferences(_differences(op, op.range))


@lower.register
def _(op: Laplacian):
    return SecondDifferences(_differences(op, op.domain, "forward", 2),
                             _differences(op, op.domain, "backward", 2))


@lower.register
def _(op: SymmetrizedGradient):
    return SymmetrizedDifferences(op.domain[0].cell_sides)


@lower.register
def _(op: SymmetrizedGradientAdjoint):
    transpose = SymmetrizedDifferencesTranspose(op.range[0].cell_sides)
    return between_weights(transpose, op, op.range[0])
