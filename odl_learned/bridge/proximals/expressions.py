"""Proximals of expressions: multiples, translations, perturbations, sums, conjugates.

The identities are those of Combettes and Pesquet, *Proximal splitting methods in signal processing*
(2011), Table 10.1. The weights of the domain cancel in all of them.
"""

import numpy as np
import odl
from torch import nn

from odl_learned.bridge.graphs import without_transforms
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held, each
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.proximals.lowering import column, lower_proximal, times
from odl_learned.functionals import OnRealParts

F = odl.functionals


class Unmoved(nn.Module):
    """``f`` constant: ``prox_{sigma f}(x) = x``."""

    def forward(self, x, sigma):
        return x


class HalfSquare(nn.Module):
    """``prox_{sigma f}(x) = x / (1 + sigma)`` for ``f = |.|^2 / 2``."""

    def slope(self, sigma):
        """The proximal is this number, or one for each sample, times the point."""
        return 1 / (1 + sigma)

    def forward(self, x, sigma):
        return each(lambda part: part / (1 + column(sigma, part)), x)


class ScaledValue(nn.Module):
    """``prox_{sigma (c f)} = prox_{(c sigma) f}`` for ``c > 0``."""

    def __init__(self, proximal, scalar):
        super().__init__()
        self.proximal, self.scalar = proximal, scalar

    def slope(self, sigma):
        """As of `HalfSquare`, or None where the proximal is not linear."""
        return _slope(self.proximal, self.scalar * sigma)

    def of_scaled(self, x, scalar):
        """As of `PointwiseBall`, a projection: it does not depend on the step."""
        inner = getattr(self.proximal, "of_scaled", None)
        return None if inner is None else inner(x, scalar)

    def forward(self, x, sigma):
        return self.proximal(x, each(lambda s: self.scalar * s, sigma))


class ScaledArgument(nn.Module):
    """``prox_{sigma f(s .)}(x) = prox_{s^2 sigma f}(s x) / s`` for real ``s``."""

    def __init__(self, proximal, scalar):
        super().__init__()
        self.proximal, self.scalar = proximal, scalar

    def slope(self, sigma):
        """As of `HalfSquare`, or None where the proximal is not linear."""
        return _slope(self.proximal, self.scalar**2 * sigma)

    def forward(self, x, sigma):
        if hasattr(self.proximal, "of_scaled"):
            y = self.proximal.of_scaled(x, self.scalar)
            if y is not None:
                return y
        slope = None if isinstance(sigma, tuple) else self.slope(sigma)
        if slope is not None:
            return times(slope, x)
        y = self.proximal(each(lambda part: self.scalar * part, x),
                          each(lambda s: self.scalar**2 * s, sigma))
        return each(lambda part: part / self.scalar, y)


class Translated(nn.Module):
    """``prox_{sigma f(. - v)}(x) = v + prox_{sigma f}(x - v)``."""

    def __init__(self, proximal, vector):
        super().__init__()
        self.proximal, self.vector = proximal, Held(vector)

    def forward(self, x, sigma):
        v = self.vector()
        slope = None if isinstance(sigma, tuple) else _slope(self.proximal, sigma)
        if slope is not None:
            return each(lambda vi, part: _between(vi, part, slope), v, x)
        y = self.proximal(each(lambda vi, part: part - vi, v, x), sigma)
        return each(lambda vi, part: vi + part, v, y)


class Perturbed(nn.Module):
    """``f + a |.|^2 + Re <., u>``: ``prox_{c sigma f}(c (x - sigma u))``, ``1/c = 1 + 2 sigma a``.

    Complete the square of ``f(z) + a |z|^2 + Re <z, u> + |z - x|^2 / (2 sigma)``: its quadratic
    part is ``|z - c (x - sigma u)|^2 / (2 c sigma)``, up to a constant.
    """

    def __init__(self, proximal, quadratic_coeff, linear_term):
        super().__init__()
        self.proximal, self.quadratic_coeff = proximal, quadratic_coeff
        self.linear_term = Held(linear_term)

    def forward(self, x, sigma):
        x = each(lambda ui, part: part - column(sigma, part) * ui, self.linear_term(), x)
        if self.quadratic_coeff == 0:
            return self.proximal(x, sigma)
        shrink = 1 / (1 + 2 * self.quadratic_coeff * sigma)
        return self.proximal(times(shrink, x), shrink * sigma)


class Separable(nn.Module):
    """``(x_1, ..., x_n) -> (prox_{sigma_1 f_1}(x_1), ..., prox_{sigma_n f_n}(x_n))``."""

    def __init__(self, proximals, layout):
        super().__init__()
        self.proximals, self.layout = nn.ModuleList(proximals), layout

    def forward(self, x, sigma):
        n = len(self.proximals)
        steps = sigma if isinstance(sigma, tuple) else (sigma,) * n
        if len(steps) != n:
            raise ValueError(
                f"sigma has {len(steps)} entries, expected {n}, one for every summand; or pass one "
                "step for all."
            )
        parts = self.layout.split(x)
        return self.layout.join(p(part, s) for p, part, s in zip(self.proximals, parts, steps))


class OnParts(nn.Module):
    """``P prox(P* x)`` with a unitary operator ``P``."""

    def __init__(self, proximal, parts, joined):
        super().__init__()
        self.proximal, self.parts, self.joined = proximal, parts, joined

    def forward(self, x, sigma):
        return self.parts(self.proximal(self.joined(x), sigma))


class Conjugate(nn.Module):
    """Moreau's identity, ``prox_{sigma f*}(x) = x - sigma prox_{f / sigma}(x / sigma)``."""

    def __init__(self, proximal):
        super().__init__()
        self.proximal = proximal

    def forward(self, x, sigma):
        y = self.proximal(each(lambda part: part / column(sigma, part), x), 1 / sigma)
        return each(lambda part, yi: part - column(sigma, part) * yi, x, y)


@lower_proximal.register
def _(f: OnRealParts):
    return OnParts(lower_proximal(f.functional), lower(f.parts), lower(f.parts.adjoint))


@lower_proximal.register
def _(f: F.FunctionalLeftScalarMult):
    scalar = _real_scalar(f.scalar, f)
    if scalar < 0:
        raise ValueError(
            f"{f!r} is the multiple of a functional by {scalar}, expected a positive number: a "
            "negative multiple is not convex and has no proximal."
        )
    return ScaledValue(lower_proximal(f.functional), scalar) if scalar else Unmoved()


@lower_proximal.register
def _(f: F.FunctionalRightScalarMult):
    scalar = _real_scalar(f.scalar, f)
    return ScaledArgument(lower_proximal(f.functional), scalar) if scalar else Unmoved()


@lower_proximal.register
def _(f: F.FunctionalTranslation):
    return Translated(lower_proximal(f.functional), layout_of(f.domain).to_tensor(f.translation))


@lower_proximal.register
def _(f: F.FunctionalScalarSum):
    return lower_proximal(f.left)


@lower_proximal.register
def _(f: F.FunctionalQuadraticPerturb):
    a = float(f.quadratic_coeff)
    if a < 0:
        raise ValueError(
            f"the coefficient of |x|^2 is {a}, expected at least zero: otherwise the functional "
            "need not be convex and its proximal need not exist."
        )
    return Perturbed(lower_proximal(f.functional), a, layout_of(f.domain).to_tensor(f.linear_term))


@lower_proximal.register
def _(f: F.BregmanDistance):
    # f(x) - f(p) - Re <q, x - p> is f, perturbed by the linear term -q.
    return Perturbed(lower_proximal(f.functional), 0.0, layout_of(f.domain).to_tensor(-f.subgrad))


@lower_proximal.register
def _(f: F.SeparableSum):
    return Separable([lower_proximal(part) for part in f.functionals], layout_of(f.domain))


@lower_proximal.register
def _(f: F.functional.FunctionalDefaultConvexConjugate):
    return Conjugate(lower_proximal(f.convex_conj))


@lower_proximal.register
def _(f: F.ConstantFunctional):
    return Unmoved()


def _slope(proximal, sigma):
    """The number that a linear proximal multiplies with, or None where it is not linear."""
    return proximal.slope(sigma) if hasattr(proximal, "slope") else None


def _between(v, x, slope):
    slope, way = column(slope, x), x - v  # torch.lerp rounds otherwise where a vector ends
    return way.mul_(slope).add_(v) if without_transforms() else v + slope * way


def _real_scalar(scalar, f):
    if np.imag(scalar) != 0:
        raise ValueError(
            f"{f!r} is scaled by {scalar}, expected a real number: ODL has no proximal for complex "
            "multiples of a functional or its argument."
        )
    return float(np.real(scalar))
