r"""Terms without a closed form, ``c(theta) F(m(theta) z)``: derivatives by torch, bounds by rules.

With the bounds ``l <= F'' <= u`` and the Lipschitz constant ``t`` of ``F''``, ``z = A x + B y + b``
and the weights ``w`` of the images, the Euclidean Hessian is between ``m^2 min(l, 0) n^2`` and
``m^2 max(u, 0) n^2`` with ``n = |A| max w^{1/2}``, and its Lipschitz constant is ``m^3 t n^3``.
"""

import math

import torch

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.lowering import lower
from odl_learned.energies.expressions.arguments import Whole
from odl_learned.energies.expressions.autograd.bounds import known_bounds
from odl_learned.energies.expressions.blocks import PARAMETERS, Scalar, reads
from odl_learned.energies.expressions.gains import least_gain
from odl_learned.energies.expressions.maps import (
    ROUNDING,
    double,
    eps_of,
    extremes,
    in_double,
)
from odl_learned.energies.expressions.missing import missing
from odl_learned.energies.expressions.term_bounds import TermVariation
from odl_learned.energies.samples import sample_inner, sample_norms
from odl_learned.operators.norms.operator_norms import operator_norm


class AutogradTerm:
    """One term by autograd; `Term` has the same methods.

    Parameters
    ----------
    summand : Summand
        Its functional has `Bounds`.
    blocks : Blocks
    """

    has_formulas = False

    def __init__(self, summand, blocks):
        argument = summand.argument
        if isinstance(argument, Whole) and PARAMETERS in reads(summand.functional):
            raise missing(summand.functional, "no parameters inside of what has no closed form; "
                          "they enter as factors, by FunctionalProduct")  # fmt: skip
        self._bounds = known_bounds(summand.functional, blocks)
        self.alpha, self.nu, self._inner = Scalar(summand.factors, summand.factor, blocks), None, ()
        self._blocks, self._affine = blocks, None
        least, norm = 0.0, 1.0
        if not isinstance(argument, Whole):
            self._affine = _Affine(argument)
            self._inner = (Scalar(argument.scales, 1.0, blocks),) if argument.scales else ()
            least, norm = least_gain(argument.image), operator_norm(argument.image)
        most, fewest = extremes(layout_of(blocks.images).weight)
        self._norm, self._least = norm * math.sqrt(most), least * math.sqrt(fewest)
        whole = isinstance(argument, Whole)
        layout = layout_of(blocks.domain if whole else argument.space)
        self._module = in_double(lower(summand.functional), layout.zeros((1,), None))
        self.scalars = (self.alpha, *self._inner)

    def numbers(self, params):
        """Return the numbers that have to be finite and nonnegative, as floats."""
        with torch.no_grad():
            return tuple(float(s(params)) for s in self.scalars)

    def values(self, x, m, data):
        """Return ``F``, ``(B,)``, differentiable in the images and in ``m``."""
        if self._affine is None:
            size = 0 if self._blocks.parameters is None else self._blocks.parameters.size
            params = torch.zeros((len(x), size), dtype=torch.float64)
            z = self._blocks.joined(x, params, data)
        else:
            z = each(lambda part: m * part, self._affine(x, data))
        value = self._module(z)
        return value.real if value.is_complex() else value

    def value(self, x, params, data):
        """Return the value of every sample, ``(B,)``."""
        with torch.no_grad():
            return self.alpha(params) * self.values(x, self._multiple(params), data)

    def at(self, x, params, data):
        """Return the derivatives at images ``x``."""
        return AutogradPoint(self, x, params, data)

    def _multiple(self, params):
        one = torch.ones((), dtype=torch.float64)
        return self._inner[0](params).detach().double() if self._inner else one

    def _reach(self, params):
        """Return ``alpha`` and ``m n``."""
        alpha, *inner = self.numbers(params)
        return alpha, self._norm * (inner[0] if inner else 1.0)

    def _curvature(self):
        return max(abs(self._bounds.lower), abs(self._bounds.upper))

    def lipschitz(self, params):
        """Return a bound of the norm of the Hessian."""
        alpha, n = self._reach(params)
        return alpha * n**2 * self._curvature()

    def strong_convexity(self, params):
        """Return a bound of the Hessian from below, perhaps negative."""
        alpha, n = self._reach(params)
        lower = self._bounds.lower
        if lower > 0:
            n *= self._least / self._norm if self._norm else 0.0
        return alpha * n**2 * lower

    def curvature_constants(self, params):
        """Return ``LA``, and rates ``(LB, B)`` for every one of `scalars`."""
        alpha, n = self._reach(params)
        third = 0.0 if self._bounds.third == 0 else alpha * n**3 * self._bounds.third
        rates = [(n**2 * self._curvature(), n * self._bounds.slope)]
        return third, rates + [(math.inf, math.inf) for _ in self._inner]

    def variation(self, point, params, radius, q, mu):
        """Return the `TermVariation` on the ball ``|z - x| <= radius`` around a point."""
        alpha, n = self._reach(params)
        e, length = radius, sample_norms(q)
        curvature = n**2 * self._curvature()
        third = n**3 * self._bounds.third if self._bounds.third else 0.0
        linear = torch.where(e == 0, 0.0, third * e)
        bent, mean = (linear.clamp_max(2 * curvature), (linear / 2).clamp_max(2 * curvature))
        scale = max(alpha, 1e-300)
        second, first = (sample_norms(z) / scale for z in (point.hessian(q), point.gradient))
        unknown = torch.full_like(e, math.inf)
        return TermVariation(
            alpha * bent * length, alpha * mean * length,
            [torch.minimum(e * (second + mean * length), e * curvature * length),
             *(unknown for _ in self._inner)],
            [first + e * curvature, *(unknown for _ in self._inner)],
            torch.where(length == 0, 0.0, alpha * third / mu * length))  # fmt: skip

    def rounding(self, x, params, data):
        """Estimate the rounding error of the gradient in the norm, ``(B,)``."""
        eps = eps_of(self._module)
        if self._affine is not None:
            eps = max(eps, self._affine.eps)
        still = self.at(torch.zeros_like(x), params, data).gradient
        return ROUNDING * eps * (
            self.lipschitz(params) * sample_norms(x) + sample_norms(still))  # fmt: skip


class AutogradPoint:
    """The derivatives of an `AutogradTerm` at images ``x``."""

    map, state = None, ()

    def __init__(self, term, x, params, data):
        self._term, self.alpha = term, float(term.alpha(params))
        self.size, self.images, self.is_complex = len(x), tuple(x.shape[1:]), x.is_complex()
        self._params, self._data = params, data
        with torch.enable_grad():
            self._x = x.detach().requires_grad_()
            self._m = term._multiple(params).clone().requires_grad_()
            total = term.values(self._x, self._m, data).sum()
            (self._slope,) = torch.autograd.grad(
                total, self._x, create_graph=True, allow_unused=True, materialize_grads=True)

    def follow(self, state):
        """Nothing to follow."""

    @property
    def gradient(self):
        """The part of ``d_x E``."""
        return self.alpha * self._slope.detach()

    def hessian(self, v):
        """Return the part of ``d_x^2 E v``."""
        return self.alpha * self._product(v, self._x)

    def mixed(self, q):
        """Return ``<d_s d_x E, q>``, summed over samples, for every scalar ``s``."""
        found = [sample_inner(self._slope.detach(), q).sum()]
        if self._term._inner:
            found.append(self.alpha * self._product(q, self._m))
        return found

    def _product(self, v, argument):
        if not self._slope.requires_grad:
            return torch.zeros_like(argument)
        (found,) = torch.autograd.grad(self._slope, argument, v, retain_graph=True,
                                       allow_unused=True, materialize_grads=True)  # fmt: skip
        return found

    def rounding(self):
        """Estimate the rounding error of the gradient in the norm, ``(B,)``."""
        return self._term.rounding(self._x.detach(), self._params, self._data)

    def variation(self, radius, q, mu):
        """Return the `TermVariation` on the ball ``|z - x| <= radius``."""
        return self._term.variation(self, self._params, radius, q, mu)

    def mean_curvature(self):
        """Return about the mean of the diagonal of the Hessian, not negative, ``(B, 1)``."""
        generator = torch.Generator().manual_seed(0)
        v = torch.randint(0, 2, self.images, generator=generator).to(self._x) * 2 - 1
        v = v.expand(self.size, *self.images)
        return (sample_inner(v, self.hessian(v)) / v[0].numel()).clamp_min(0)[:, None]


class _Affine:
    """``A x + B y + b`` of an `Argument`, in double precision."""

    def __init__(self, argument):
        layout, source = layout_of(argument.space), layout_of(argument.image.domain)
        self._image = in_double(lower(argument.image), source.zeros((1,), None))
        self._data = self._shift = None
        if argument.data is not None:
            like = layout_of(argument.data.domain).zeros((1,), None)
            self._data = in_double(lower(argument.data), like)
        if argument.shift is not None:
            self._shift = double(layout.to_tensor(argument.shift))
        self.eps = eps_of(self._image)

    def __call__(self, x, data):
        z = self._image(x)
        if self._data is not None:
            z = each(torch.add, z, self._data(data))
        return z if self._shift is None else each(torch.add, z, self._shift)
