r"""Native rule for the smoothed total variation of real images, with all its derivatives.

With forward differences ``d_i x = (x_{+i} - x) / h_i`` (Neumann), ``l = sqrt(|d x|^2 + nu^2)`` and
the constant weight ``w`` of the inner product, the value and its Euclidean derivatives are

    f(x)           = w (alpha sum_j l_j + xi / 2 |x|^2),
    f'(x)          = w (alpha sum_i d_i^T (d_i x / l) + xi x),
    f''(x) h       = w (alpha sum_i d_i^T (d_i h - d_i x (d x . d h) / l^2) / l + xi h),
    f'''(x)(h, c)  = w alpha sum_i d_i^T (3 (d x . d h) (d x . d c) d_i x / l^2
                     - (d x . d c) d_i h - (d x . d h) d_i c - (d h . d c) d_i x) / l^3.

The first three are compiled sweeps where there are (`swept_variation`). Otherwise value and
gradient sweep through a few samples at a time, in work arrays that stay in the cache. The third
derivative is composed of differentiable operations, so that derivatives of every order exist. The
compiler of torch gets the formulas of `entrywise_variation` instead.
"""

import math

import torch
from odl.core.discr.diff_ops import Gradient
from odl.functionals.functional import FunctionalLeftScalarMult
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.differences import forward_difference, pad
from odl_learned.bridge.rules.expressions import fused_compositions
from odl_learned.bridge.rules.functionals.entrywise_variation import EntrywiseVariation
from odl_learned.bridge.rules.functionals.swept_variation import (
    can_sweep,
    swept_gradient,
    swept_hessian,
)
from odl_learned.bridge.rules.functionals.variation_derivatives import Variation
from odl_learned.functionals import SmoothedGroupL1, SmoothedTV

#: Number of entries that the CPU works on at a time.
CHUNK = 2**18


class SmoothedVariation(nn.Module):
    """``x -> w (alpha sum_j sqrt(|d x|_j^2 + nu^2) + xi / 2 |x|^2)`` on real images."""

    def __init__(self, cell_sides, weight, alpha, nu, xi):
        super().__init__()
        self.cell_sides = tuple(float(h) for h in cell_sides)
        self.axes = tuple(range(-len(self.cell_sides), 0))
        self.weight, self.alpha, self.nu, self.xi = weight, alpha, nu, xi

    def forward(self, x):
        if torch.compiler.is_compiling():
            return EntrywiseVariation.apply(x, self)
        return Variation.apply(x, self, x.requires_grad)[0]

    def values(self, x):
        """``f(x)`` of shape ``(*batch,)``, without derivatives."""
        lead, x = self._samples(x)
        if can_sweep(x, len(self.axes)):
            return swept_gradient(self, x, x.new_ones(len(x)), False)[0].reshape(lead)
        values = x.new_empty(len(x))
        for here, z, a, _ in self._sweep(x):
            self._integrate(z, a.sqrt_(), out=values[here])
        return values.reshape(lead)

    def slopes(self, x, g):
        """``g f'(x)`` with one factor per sample, ``g`` of shape ``(*batch,)``."""
        lead, x = self._samples(x)
        if can_sweep(x, len(self.axes)):
            slopes = swept_gradient(self, x, g.reshape(-1), True)[1]
            return slopes.reshape(*lead, *x.shape[1:])
        slopes = torch.empty_like(x)
        factors = self.weight * self.per_sample(g.reshape(-1))
        for here, z, a, parts in self._sweep(x):
            factor = factors[here]
            torch.mul(z, self.xi * factor, out=slopes[here])
            self._add_divergence(a.rsqrt_().mul_(factor), parts, out=slopes[here])
        return slopes.reshape(*lead, *x.shape[1:])

    def values_and_slopes(self, x):
        """``f(x)`` and ``f'(x)`` in one sweep."""
        lead, x = self._samples(x)
        if can_sweep(x, len(self.axes)):
            values, slopes = swept_gradient(self, x, x.new_ones(len(x)), True)
            return values.reshape(lead), slopes.reshape(*lead, *x.shape[1:])
        values = x.new_empty(len(x))
        slopes = torch.empty_like(x)
        for here, z, a, parts in self._sweep(x):
            self._integrate(z, a.sqrt_(), out=values[here])
            torch.mul(z, self.xi * self.weight, out=slopes[here])
            self._add_divergence(torch.div(self.weight, a, out=a), parts, out=slopes[here])
        return values.reshape(lead), slopes.reshape(*lead, *x.shape[1:])

    def curvatures(self, x, h, g):
        """``g f''(x) h`` with one factor per sample, without derivatives."""
        if can_sweep(x, len(self.axes)):
            lead, x = self._samples(x)
            products = swept_hessian(self, x, self._samples(h)[1], g.reshape(-1))
            return products.reshape(*lead, *x.shape[1:])
        p, q = self._differences(x), self._differences(h)
        square = self._square(p)
        slope, inverse = _dot(p, q) / square, square.rsqrt()
        fluxes = [inverse * (b - slope * a) for a, b in zip(p, q)]
        return self.per_sample(g) * self.weight * (self._gathered(fluxes) + self.xi * h)

    def third(self, x, h, c):
        """``f'''(x)(h, c)``, symmetric in ``h`` and ``c``, in differentiable operations."""
        p, q, r = self._differences(x), self._differences(h), self._differences(c)
        square = self._square(p)
        inverse, ph, pc = square.rsqrt(), _dot(p, q), _dot(p, r)
        along, cube = 3 * ph * pc / square - _dot(q, r), inverse * inverse * inverse
        fluxes = [cube * (along * a - pc * b - ph * e) for a, b, e in zip(p, q, r)]
        return self.weight * self._gathered(fluxes)

    def _square(self, p):
        return _dot(p, p) + self.nu**2

    def _gathered(self, fluxes):
        """``alpha sum_i d_i^T q_i``."""
        result = 0.0
        for i, side, flux in zip(self.axes, self.cell_sides, fluxes):
            flux = _lower(flux, i) * (self.alpha / side)
            result = result + pad(flux, {i: (1, 0)}) - pad(flux, {i: (0, 1)})
        return result

    def per_sample(self, g):
        """``(*batch,)`` with as many axes behind as an image has."""
        return g.reshape(*g.shape, *[1] * len(self.axes))

    def _differences(self, x):
        return [forward_difference(x, i, h) for i, h in zip(self.axes, self.cell_sides)]

    def _samples(self, x):
        d = len(self.axes)
        return x.shape[: x.ndim - d], x.reshape(-1, *x.shape[x.ndim - d :]).contiguous()

    def _sweep(self, x):
        """Chunks of samples: where they are, the samples, ``l^2``, and ``h_i d_i x``."""
        size = max(1, CHUNK // math.prod(x.shape[1:]) if x.device.type == "cpu" else len(x))
        work = torch.empty_like(x[:size])
        differences = [torch.empty_like(_upper(work, i)) for i in self.axes]
        for begin in range(0, len(x), size):
            here = slice(begin, begin + size)
            z = x[here]
            a, parts = work[: len(z)], [part[: len(z)] for part in differences]
            a.fill_(self.nu**2)
            for i, h, part in zip(self.axes, self.cell_sides, parts):
                torch.sub(_upper(z, i), _lower(z, i), out=part)
                _lower(a, i).addcmul_(part, part, value=h**-2)
            yield here, z, a, parts

    def _integrate(self, z, length, out):
        torch.sum(length.flatten(1), 1, out=out)
        out *= self.alpha * self.weight
        if self.xi:
            z = z.flatten(1)
            out.add_(torch.linalg.vecdot(z, z), alpha=self.xi / 2 * self.weight)

    def _add_divergence(self, factor, parts, out):
        """Add ``alpha sum_i d_i^T (factor d_i x)``; the differences are used up."""
        for i, h, part in zip(self.axes, self.cell_sides, parts):
            part.mul_(_lower(factor, i))
            _upper(out, i).add_(part, alpha=self.alpha * h**-2)
            _lower(out, i).sub_(part, alpha=self.alpha * h**-2)


def _dot(p, q):
    """Pointwise."""
    return sum(a * b for a, b in zip(p, q))


def _upper(x, axis):
    return x.narrow(axis, 1, x.shape[axis] - 1)


def _lower(x, axis):
    return x.narrow(axis, 0, x.shape[axis] - 1)


@lower.register
def _(op: SmoothedTV):
    layout = layout_of(op.domain)
    if layout.dtype.is_complex or not isinstance(layout.weight, float):
        return lower(op.expression)
    return SmoothedVariation(op.domain.cell_sides, layout.weight, op.alpha, op.nu, op.xi)


def _smoothed_variation(left, right):
    alpha, length = 1.0, left
    if isinstance(left, FunctionalLeftScalarMult):
        alpha, length = float(left.scalar), left.functional
    is_neumann = right.method == "forward" and right.pad_mode in ("symmetric", "order0")
    layout = layout_of(right.domain)
    if not isinstance(length, SmoothedGroupL1) or not is_neumann or layout.dtype.is_complex:
        return None
    weight = layout_of(right.range[0]).weight
    if not isinstance(weight, float):
        return None
    return SmoothedVariation(right.domain.cell_sides, weight, alpha, length.nu, 0.0)


fused_compositions[SmoothedGroupL1, Gradient] = _smoothed_variation
fused_compositions[FunctionalLeftScalarMult, Gradient] = _smoothed_variation
