"""Defects that users plant without noticing, by name, each with a check that has to find it."""

import numpy as np
import odl
import torch
from sound_objects import (
    ARRAY,
    COMPLEX,
    EDGES,
    IMAGE,
    LINE,
    PLANE,
    SINGLE,
    Map,
    Means,
    Multiply,
    Quadratic,
    element,
    matrix,
    tanh,
)
from torch import nn

from odl_learned.bridge import lower
from odl_learned.operators import exact_norm

F = odl.functionals


class Linear(odl.Operator):
    """A linear operator by functions on elements, and an adjoint that may be wrong."""

    def __init__(self, domain, range, call, adjoint, twice=None):
        super().__init__(domain, range, linear=True)
        self.call, self.back, self.twice = call, adjoint, twice or call

    def _call(self, x):
        return self.range.element(self.call(x.data))

    @property
    def adjoint(self):
        return Linear(self.range, self.domain, self.back, self.twice)


class Norm(Means):
    """With a norm that is 5 % too small."""

    def norm(self, estimate=False):
        return 0.95 * float(np.linalg.norm(self.matrix, 2))


class Registered(Means):
    """With a rule of ``exact_norm`` that gives the square of the norm."""


@exact_norm.register
def _(op: Registered):
    return float(np.linalg.norm(op.matrix, 2)) ** 2


class IgnoresOut(odl.Operator):
    def __init__(self, space):
        super().__init__(space, space, linear=True)

    def _call(self, x, out):
        out = 2 * x  # noqa: F841

    adjoint = property(lambda self: self)


class AddsToOut(odl.Operator):
    def __init__(self, space):
        super().__init__(space, space)

    def _call(self, x, out):
        out += 2 * x


class ChangesInput(odl.Operator):
    def __init__(self, space):
        super().__init__(space, space)

    def _call(self, x):
        x.data[...] = np.abs(x.data)
        return x.copy()


class Remembers(odl.Operator):
    """The second call starts where the first one ended."""

    def __init__(self, space):
        super().__init__(space, space)
        self.start = space.zero()

    def _call(self, x):
        self.start = 0.5 * (self.start + x)
        return self.start


class OneBuffer(odl.Operator):
    """All results are the same element."""

    def __init__(self, space):
        super().__init__(space, space)
        self.buffer = space.zero()

    def _call(self, x):
        self.buffer.assign(2 * x)
        return self.buffer


class WrongDerivativeAdjoint(Map):
    def derivative(self, x):
        factor = self.slope(x.data)
        return Linear(self.domain, self.range, lambda h: factor * h, lambda h: h)


class AffineDerivative(Map):
    def derivative(self, x):
        slope, shift = self.slope(x.data), self.function(x.data)
        return Linear(self.domain, self.range, lambda h: slope * h + shift, lambda h: slope * h)


class Energy(Quadratic):
    """``mu/2 |x|^2``, with one part at a time replaced."""

    def __init__(self, space, gradient=None, proximal=None, conjugate=None, value=None,
                 **constants):
        super().__init__(space)
        self.parts = gradient, proximal, conjugate, value
        for name, constant in constants.items():
            setattr(self, name, constant)

    def _call(self, x):
        return self.parts[3](x) if self.parts[3] else super()._call(x)

    @property
    def gradient(self):
        return self.parts[0] or super().gradient

    @property
    def proximal(self):
        return self.parts[1] or super().proximal

    @property
    def convex_conj(self):
        return self.parts[2] or super().convex_conj


class Returns(odl.Operator):
    """The argument itself."""

    def __init__(self, space):
        super().__init__(space, space)

    def _call(self, x):
        return x


class Mixes(Map):
    pass


class Doubles(Map):
    pass


class DropsDtype(Map):
    pass


class InPlaceRule(Map):
    pass


class Detached(Map):
    pass


class Rule(nn.Module):
    """A native rule by a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def _in_place(x):
    with torch.no_grad():
        x.tanh_()
    return x.clone()


for _cls, _function in {
    Mixes: lambda x: torch.tanh(x - x.mean() + x.mean((-2, -1), keepdim=True)),
    Doubles: lambda x: torch.tanh(1.001 * x),
    DropsDtype: lambda x: torch.tanh(x).double(),
    InPlaceRule: _in_place,
    Detached: lambda x: torch.tanh(x.detach()) + 0 * x,
}.items():
    lower.register(_cls, lambda op, function=_function: Rule(function))


def _tanh(cls, space):
    return cls(space, np.tanh, lambda x: 1 / np.cosh(x) ** 2)


class MixingModule(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


class DoubleModule(nn.Module):
    def forward(self, x):
        return x.double()


class RealValue(F.Functional):
    """Complex values for want of a real part."""

    def __init__(self, space):
        super().__init__(space)

    def _call(self, x):
        return (1 + 0.1j) * x.inner(x)


class AffineFunctional(F.Functional):
    def __init__(self, space):
        super().__init__(space, linear=True)

    def _call(self, x):
        return float(x.inner(self.domain.one())) + 1.0

    @property
    def gradient(self):
        return odl.ConstantOperator(self.domain.one())


KERNEL = np.array([0.6, 0.3, 0.1])


def _convolve(x):
    return sum(c * np.roll(x, k) for k, c in enumerate(KERNEL))


M, W_X = matrix(6, 11), 3 / 11
FACTOR = matrix(5, 4, complex)

OPERATORS = {
    "adjoint without weights": ("check_adjoint", lambda: Linear(
        LINE, ARRAY, lambda x: M @ x, lambda y: M.T @ y)),
    "adjoint without half cells": ("check_adjoint", lambda: Linear(
        EDGES, odl.rn(3), lambda x: matrix(3, 20) @ x.ravel(),
        lambda y: (matrix(3, 20).T @ y).reshape(4, 5) / float(EDGES.weighting.const))),
    "adjoint of the conjugate": ("check_adjoint", lambda: Linear(
        COMPLEX, COMPLEX, lambda x: FACTOR * x, lambda y: FACTOR * y)),
    "kernel not turned around": ("check_adjoint", lambda: Linear(
        LINE, LINE, _convolve, _convolve)),
    "adjoint of the adjoint": ("check_adjoint_of_adjoint", lambda: Linear(
        LINE, ARRAY, lambda x: M @ x,
        lambda y: M.T @ (np.asarray(ARRAY.weighting.array) * y) / W_X, lambda x: 2 * (M @ x))),
    "affine, declared linear": ("check_linear", lambda: Linear(
        LINE, LINE, lambda x: x + 1, lambda y: y)),
    "norm 5 % too small": ("check_own_norm", lambda: Norm(odl.rn(11), odl.rn(6), M)),
    "closed form of the norm squared": ("check_norm", lambda: Registered(
        odl.rn(11), odl.rn(6), M)),
    "out ignored": ("check_in_place", lambda: IgnoresOut(LINE)),
    "out added to": ("check_in_place", lambda: AddsToOut(LINE)),
    "input changed": ("check_input_kept", lambda: ChangesInput(LINE)),
    "second call differs": ("check_repeatable", lambda: Remembers(LINE)),
    "one buffer for all results": ("check_repeatable", lambda: OneBuffer(LINE)),
    "derivative off by a factor": ("check_derivative", lambda: Map(
        LINE, lambda x: x**2, lambda x: x)),
    "derivative off by a thousandth": ("check_derivative", lambda: Map(
        LINE, np.tanh, lambda x: 1.001 / np.cosh(x) ** 2)),
    "derivative is affine": ("check_derivative_linear", lambda: _tanh(AffineDerivative, LINE)),
    "adjoint of the derivative": ("check_derivative_adjoint", lambda: _tanh(
        WrongDerivativeAdjoint, LINE)),
    "derivative in a composition": ("check_derivative", lambda: tanh(LINE) @ Map(
        LINE, lambda x: x**2, lambda x: x)),
    "rule mixes samples": ("check_module_value", lambda: _tanh(Mixes, PLANE)),
    "rule differs": ("check_module_native", lambda: _tanh(Doubles, PLANE)),
    "rule changes the dtype": ("check_module_dtype", lambda: _tanh(DropsDtype, SINGLE)),
    "rule changes its input": ("check_module_input_kept", lambda: _tanh(InPlaceRule, PLANE)),
    "rule without derivative": ("check_module_gradients", lambda: _tanh(Detached, PLANE)),
}

FUNCTIONALS = {
    "gradient without weights": ("check_gradient", lambda: Energy(
        EDGES, gradient=Multiply(EDGES, 0.1))),
    "Lipschitz constant too small": ("check_lipschitz", lambda: Energy(
        LINE, grad_lipschitz=0.95)),
    "strong convexity too large": ("check_strong_convexity", lambda: Energy(
        LINE, strong_convexity=1.05)),
    "Lipschitz constant too small, in one direction": ("check_lipschitz", lambda: _Sharp()),
    "proximal with the square of the step": ("check_proximal", lambda: Energy(
        ARRAY, proximal=lambda sigma: Multiply(ARRAY, 1 / (1 + sigma**2)))),
    "proximal returns its argument": ("check_proximal_aliasing", lambda: Energy(
        LINE, proximal=lambda sigma: Returns(LINE))),
    "conjugate off by a constant": ("check_fenchel_young", lambda: Energy(
        LINE, conjugate=Quadratic(LINE) + 0.01)),
    "value in single precision": ("check_real_valued", lambda: Energy(
        SINGLE, value=lambda x: np.float32(x.inner(x) / 2))),
    "value complex": ("check_real_valued", lambda: RealValue(COMPLEX)),
    "affine, declared linear": ("check_linear", lambda: AffineFunctional(LINE)),
    "Hessian": ("check_gradient_derivative", lambda: Energy(
        LINE, gradient=Map(LINE, lambda x: x, lambda x: 2.0))),
}

MODULES = {
    "module mixes samples": ("check_batch", lambda: (MixingModule(), IMAGE)),
    "module changes the dtype": ("check_batch", lambda: (DoubleModule(), IMAGE.float())),
    "module is random": ("check_module_repeatable", lambda: (nn.Dropout(0.5).train(), IMAGE)),
    "module changes its input": ("check_module_keeps_input", lambda: (
        nn.ReLU(inplace=True), IMAGE)),
}


class _Sharp(F.Functional):
    """``|x|^2 / 2 + 2 <x, e>^2``, ``|e| = 1``, with gradients that vary 5 % more than declared."""

    def __init__(self):
        super().__init__(PLANE, grad_lipschitz=4.75)
        self.unit = (1 / element(PLANE).norm()) * element(PLANE)

    def _call(self, x):
        return x.inner(x) / 2 + 2 * x.inner(self.unit) ** 2

    @property
    def gradient(self):
        return _SharpGradient(self.unit)


class _SharpGradient(odl.Operator):
    def __init__(self, unit):
        super().__init__(PLANE, PLANE, linear=True)
        self.unit = unit

    def _call(self, x):
        return x + 4 * x.inner(self.unit) * self.unit

    adjoint = property(lambda self: self)
