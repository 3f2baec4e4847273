"""Repairs of ODL 1.0.0 where it raises or is silently wrong, applied when the package is imported.

Rule: the repairs belong to ODL 1.0.0 and to no other version. With another version `apply` changes
nothing and warns. The environment variable ``ODL_LEARNED_FIXES=0`` turns all of them off.
`docs/odl_1_0.md` lists them for readers.
"""

import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import odl
from odl.core.array_API_support.utils import _registered_array_backends, get_array_and_backend
from odl.core.discr.diff_ops import Divergence
from odl.core.operator import (
    ComplexEmbedding,
    ImagPart,
    Operator,
    PointwiseNorm,
    RealPart,
    ZeroOperator,
)
from odl.core.set import ComplexNumbers
from odl.core.set.space import LinearSpace, LinearSpaceElement, LinearSpaceTypeError
from odl.core.space import ProductSpace
from odl.core.space.base_tensors import TensorSpace
from odl.functionals import default_functionals, functional
from odl.functionals.default_functionals import IndicatorSumConstraint, LpNorm, SeparableSum
from odl.functionals.functional import Functional
from odl.solvers.nonsmooth import proximal_operators

ODL_VERSION = "1.0.0"
SWITCH = "ODL_LEARNED_FIXES"


@dataclass(frozen=True)
class Repair:
    """One repair: its name, the symptom it cures, and the attributes it replaces."""

    name: str
    symptom: str
    replacements: Callable[[], Iterable[tuple[object, str, object]]]


REPAIRS: list[Repair] = []
_MISSING = object()
_applied: dict[str, list[tuple[object, str, object]]] = {}


def apply(repairs=None):
    """Apply the repairs that are not yet in place.

    Parameters
    ----------
    repairs : iterable of Repair, optional
        Default: all of `REPAIRS`.
    """
    if os.environ.get(SWITCH) == "0":
        return
    if odl.__version__ != ODL_VERSION:
        warnings.warn(
            f"ODL is version {odl.__version__}; the repairs of odl_learned are for {ODL_VERSION} "
            f"and stay off. Install odl=={ODL_VERSION}, or set {SWITCH}=0 to silence this.",
            stacklevel=2,
        )
        return
    for repair in REPAIRS if repairs is None else repairs:
        if repair.name not in _applied:
            replacements = list(repair.replacements())
            _applied[repair.name] = [
                (owner, name, vars(owner).get(name, _MISSING)) for owner, name, _ in replacements
            ]
            for owner, name, new in replacements:
                _assign(owner, name, new)


def remove():
    """Put ODL back as it was before `apply`."""
    while _applied:
        _, originals = _applied.popitem()
        for owner, name, original in reversed(originals):
            _assign(owner, name, original)


def _assign(owner, name, value):
    if value is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, value)
    if name == "_call":
        _refresh_call(owner)


def _refresh_call(cls):
    """Let ODL derive again what `Operator.__new__` caches per class from the signature of _call."""
    if "_call_out_of_place" in vars(cls):
        del cls._call_out_of_place
        Operator.__new__(cls)
    for subclass in cls.__subclasses__():
        _refresh_call(subclass)


def _everywhere(original, new):
    """Replace a function in every ODL module that holds it, however it was imported."""
    for module_name, module in list(sys.modules.items()):
        if module_name == "odl" or module_name.startswith("odl."):
            for name, value in list(vars(module).items()):
                if value is original:
                    yield module, name, new


def _repair(symptom):
    def register(replacements):
        REPAIRS.append(Repair(replacements.__name__, symptom, replacements))
        return replacements

    return register


def _integral(space, x):
    """<x, 1> with the weights of the space, for x in the space or in its real twin."""
    return space.element(x).inner(space.one()).real


def _array_weights(space):
    """The weights of the norm as an element, or 1 if they are all the same."""
    if isinstance(space, ProductSpace) or not hasattr(space.weighting, "array"):
        return 1.0
    return space.element(space.weighting.array)


@_repair("np.float64(2) * x raises; so do FISTA, and PDHG with its own step sizes.")
def numpy_scalars():
    yield LinearSpaceElement, "__array_ufunc__", None
    for space_type in (TensorSpace, ProductSpace):
        yield space_type, "_elementwise_num_operation", _with_python_scalars(space_type)


def _with_python_scalars(space_type):
    original = space_type._elementwise_num_operation

    def _elementwise_num_operation(self, operation, x1, x2=None, *args, **kwargs):
        x1 = x1.item() if isinstance(x1, np.generic) else x1
        x2 = x2.item() if isinstance(x2, np.generic) else x2
        return original(self, operation, x1, x2, *args, **kwargs)

    return _elementwise_num_operation


@_repair("Divergence and Gradient.adjoint raise a bare AssertionError with out= on pytorch.")
def divergence_out():
    original = Divergence._call

    def _call(self, x, out=None):
        if out is None or self.range.impl == "numpy":
            return original(self, x, out)
        out.assign(original(self, x))
        return out

    yield Divergence, "_call", _call


@_repair("Every look-up of a torch tensor's backend prints the tensor many times.")
def array_lookup():
    def lookup(x, must_be_contiguous=False):
        for backend in _registered_array_backends.values():
            if isinstance(x, backend.array_type):
                return (backend.make_contiguous(x) if must_be_contiguous else x), backend
        return get_array_and_backend(x, must_be_contiguous)

    yield from _everywhere(get_array_and_backend, lookup)


@_repair("prox(x, out=x) of the L1 and group L1 norms returns zero; ADMM and DCA rely on it.")
def aliasing():
    original = Operator.__call__

    def __call__(self, x, out=None, **kwargs):
        if out is not None and out is x:
            x = x.copy()
        return original(self, x, out, **kwargs)

    yield Operator, "__call__", __call__


@_repair("SeparableSum claims to be linear, so that scaling it gives wrong values and proximals.")
def separable_sum_linear():
    def is_linear(self):
        # While Operator.__init__ runs there are no summands yet; it only checks the spaces.
        return all(f.is_linear for f in getattr(self, "_SeparableSum__functionals", ()))

    yield SeparableSum, "is_linear", property(is_linear)


@_repair("Every inner product is computed twice.")
def inner_once():
    def inner(self, x1, x2):
        for name, x in (("x1", x1), ("x2", x2)):
            if x not in self:
                raise LinearSpaceTypeError(f"`{name}` {x} is not an element of {self}")
        value = self._inner(x1, x2)
        return value if self.field is None else self.field.element(value)

    yield LinearSpace, "inner", inner


@_repair("Values of functionals on complex spaces are complex, and solvers cannot compare them.")
def complex_values():
    def __call__(self, x, out=None, **kwargs):
        value = Operator.__call__(self, x, out, **kwargs)
        if isinstance(self.range, ComplexNumbers) and not self.is_linear:
            return float(value.real)
        return value

    yield Functional, "__call__", __call__


@_repair("L1Norm on a complex space and LpNorm with p = 0 raise instead of giving their value.")
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


@_repair("grad_lipschitz of f(s x), of f + a |x|^2 + <u, x> and of Bregman distances is wrong.")
def grad_lipschitz():
    # grad of f(s x) is s grad f(s x): s^2 L. grad of a |x|^2 + <u, x> is 2 a x + u: u adds nothing.
    rules = {
        functional.FunctionalRightScalarMult: lambda f: abs(f.scalar) ** 2,
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


def _shrink(x, threshold, level, total):
    """t and (x - t)_+ such that total((x - t)_+) = level, for t >= threshold.

    The total is convex, decreasing and piecewise linear in t, so that Newton's method from the left
    never overshoots and ends exactly, as soon as the support of (x - t)_+ stays the same.
    """
    support = math.inf
    while True:
        shrunk = odl.maximum(x - threshold, 0.0)
        size = total(odl.sign(shrunk))
        if not 0 < size < support:
            return threshold, shrunk
        support = size
        threshold += (total(shrunk) - level) / size


@_repair("Proximals of LpNorm(inf), IndicatorLpUnitBall(1) and IndicatorSimplex raise.")
def l1_projections():
    def proj_l1(x, radius=1, out=None):
        def total(y):  # the L1 norm, with the weights of the space
            return _integral(x.space, y)

        out = x.space.element() if out is None else out
        magnitude = odl.abs(x)
        if total(magnitude) <= radius:
            out.assign(x)
        else:
            threshold, _ = _shrink(magnitude, 0.0, radius, total)
            out.assign(x * (1 - threshold / odl.maximum(magnitude, threshold)))
        return out

    def proj_simplex(x, diameter=1, out=None):
        weights = _array_weights(x.space)  # in their norm the projection is (w x - t)_+ / w

        def total(y):
            return float(odl.sum(y / weights))

        out = x.space.element() if out is None else out
        start = (total(weights * x) - diameter) / total(x.space.one())
        out.assign(_shrink(weights * x, start, diameter, total)[1] / weights)
        return out

    yield from _everywhere(proximal_operators.proj_l1, proj_l1)
    yield from _everywhere(proximal_operators.proj_simplex, proj_simplex)


@_repair("The proximal of IndicatorSumConstraint raises AttributeError.")
def sum_constraint():
    class ProximalSumConstraint(Operator):
        """x + (c - sum x) d / sum d, d = 1 / w, the projection onto sum x = c."""

        def __init__(self, constraint):
            super().__init__(constraint.domain, constraint.domain)
            self.sum_value = constraint.sum_value

        def _call(self, x):
            direction = x.space.one() / _array_weights(x.space)
            missing = self.sum_value - float(odl.sum(x))
            return x + missing / float(odl.sum(direction)) * direction

    def proximal(self):
        return lambda sigma: ProximalSumConstraint(self)

    yield IndicatorSumConstraint, "proximal", property(proximal)


@_repair("The proximal of Huber on a power space raises TypeError.")
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

    yield from _everywhere(default_functionals.proximal_huber, proximal_huber)


@_repair("norm(estimate=True) forgets its result, runs again and gives another random estimate.")
def norm_cache():
    original = Operator.norm

    def norm(self, estimate=False, **kwargs):
        if not estimate or kwargs:
            return original(self, estimate, **kwargs)
        if "_estimated_norm" not in vars(self):
            self._estimated_norm = float(original(self, True))
        return self._estimated_norm

    yield Operator, "norm", norm


@_repair("lincomb(a, x) computes a x + 0 x: NaN where x is infinite, at twice the cost.")
def lincomb_one_term():
    original = LinearSpace.lincomb

    def lincomb(self, a, x1, b=None, x2=None, out=None):
        valid = x1 in self and (self.field is None or a in self.field)
        if b is not None or x2 is not None or not valid or (out is not None and out not in self):
            return original(self, a, x1, b, x2, out)
        if out is None:
            return a * x1
        out.assign(a * x1)
        return out

    yield LinearSpace, "lincomb", lincomb


@_repair("The adjoints of RealPart and ImagPart start from the complex space instead of the real.")
def real_part_adjoint():
    def adjoint(scalar, of_real):
        def embedding(self):
            return of_real(self) if self.space_is_real else ComplexEmbedding(self.range, scalar)

        return property(embedding)

    yield RealPart, "adjoint", adjoint(1, lambda op: op)
    yield ImagPart, "adjoint", adjoint(1j, lambda op: ZeroOperator(op.domain))
