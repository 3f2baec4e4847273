"""Repairs of functionals and their proximals."""

import math

import numpy as np
import odl
from odl.core.operator import Operator, PointwiseNorm
from odl.core.set import ComplexNumbers
from odl.core.space import ProductSpace
from odl.functionals import default_functionals, functional
from odl.functionals.default_functionals import (
    ConstantFunctional,
    IndicatorZero,
    LpNorm,
    QuadraticForm,
    SeparableSum,
)
from odl.functionals.functional import Functional

from odl_learned.odl_fixes.registry import cures, everywhere


@cures("Values of functionals on complex spaces are complex, and solvers cannot compare them.")
def complex_values():
    def __call__(self, x, out=None, **kwargs):
        value = Operator.__call__(self, x, out, **kwargs)
        if isinstance(self.range, ComplexNumbers) and not self.is_linear:
            return float(value.real)
        return value

    yield Functional, "__call__", __call__


@cures("Constants of functionals on complex spaces are complex, -0-0j for the conjugate of zero.")
def real_constants():
    for cls in (ConstantFunctional, IndicatorZero, QuadraticForm):
        yield cls, "constant", property(_real(cls.constant.fget))


def _real(original):
    def constant(self):
        value = original(self)
        return value.real if isinstance(value, complex) and value.imag == 0 else value

    return constant


@cures("SeparableSum claims to be linear, so that scaling it gives wrong values and proximals.")
def separable_sum_linear():
    def is_linear(self):
        # While Operator.__init__ runs there are no summands yet; it only checks the spaces.
        return all(f.is_linear for f in getattr(self, "_SeparableSum__functionals", ()))

    yield SeparableSum, "is_linear", property(is_linear)


@cures("grad_lipschitz of f(s x), of f + a |x|^2 + <u, x> and of Bregman distances is wrong.")
def grad_lipschitz():
    # grad of f(s x) is s grad f(s x): s^2 L. grad of a |x|^2 + <u, x> is 2 a x + u: u adds nothing.
    rules = {
        functional.FunctionalRightScalarMult: lambda f: abs(f.scalar) * abs(f.scalar),
        functional.FunctionalQuadraticPerturb: lambda f: 1,
        functional.BregmanDistance: lambda f: 1,
    }
    for cls, factor in rules.items():
        yield cls, "__init__", _with_lipschitz(cls.__init__, factor)


def _with_lipschitz(original, factor):
    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        quadratic = 2 * abs(getattr(self, "quadratic_coeff", 0))
        self.grad_lipschitz = factor(self) * self.functional.grad_lipschitz + quadratic

    return __init__


@cures("L1Norm on a complex space and LpNorm with p = 0 raise instead of giving their value.")
def lp_norm():
    original = LpNorm._call

    def _call(self, x):
        p = self.exponent
        if not np.isfinite(p):
            return original(self, x)
        if p == 2:
            return math.sqrt(x.inner(x).real)
        magnitude = odl.abs(x)
        if p in (0, 1):
            return _integral(self.domain, odl.sign(magnitude) if p == 0 else magnitude)
        return _integral(self.domain, odl.pow(magnitude, p)) ** (1 / p)

    yield LpNorm, "_call", _call


@cures("The proximal of Huber on a power space raises TypeError.")
def huber_proximal():
    class ProximalHuber(Operator):
        """(1 - sigma / max(|x|, gamma + sigma)) x, with |x| the pointwise norm."""

        def __init__(self, space, gamma, sigma):
            super().__init__(space, space)
            self.gamma, self.sigma = gamma, sigma

        def _call(self, x):
            vectors = isinstance(self.domain, ProductSpace)
            norm = PointwiseNorm(self.domain, 2)(x) if vectors else odl.abs(x)
            factor = 1 - self.sigma / odl.maximum(norm, self.gamma + self.sigma)
            return self.domain.element([xi * factor for xi in x]) if vectors else x * factor

    def proximal_huber(space, gamma):
        return lambda sigma: ProximalHuber(space, float(gamma), float(sigma))

    yield from everywhere(default_functionals.proximal_huber, proximal_huber)


def _integral(space, x):
    """<x, 1> with the weights of the space, for x in the space or in its real twin."""
    return space.element(x).inner(space.one()).real
