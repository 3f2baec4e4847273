"""Values of functionals with sums in double precision, whatever the precision of the space."""


import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.dispatch import rules_by_class
from odl_learned.functionals.constraints import (
    BoxConstraint,
    BoxSupport,
    MagnitudeBound,
    MagnitudeSupport,
)
from odl_learned.functionals.real_parts import OnRealParts
from odl_learned.odl_validation import require_element, require_functional, shown
from odl_learned.solvers.types import Point
from odl_learned.weights import component_weights, entry_weights, integral


@rules_by_class(odl.Operator, "_call")
def precise_value(functional: odl.functionals.Functional, x: Point) -> float:
    """Return the value of a functional as a float, its sums accumulated in double precision.

    A duality gap is a small difference of large values; in single precision it would drown in
    their rounding errors. Walks through sums, multiples, translations and linear perturbations; a
    functional without a rule is evaluated as it is. A `functools.singledispatch` function:
    register a rule for a functional of your own.

    Parameters
    ----------
    functional : odl.functionals.Functional
        Real-valued functional on a real or complex space.
    x : element of ``functional.domain``

    Raises
    ------
    TypeError
        If this is no functional.
    """
    require_functional("functional", functional)
    return float(np.real(functional(x)))


def precise_inner(x: LinearSpaceElement, y: LinearSpaceElement) -> float:
    r"""Return the real part of the inner product, accumulated in double precision.

    .. math:: \text{Re} \langle x, y \rangle

    Parameters
    ----------
    x, y : elements of the same space

    Raises
    ------
    TypeError
        If one of them is no element, or they belong to different spaces.
    """
    space = getattr(x, "space", None)
    if space is None:
        raise TypeError(f"x is {shown(x)}, expected an element of an ODL space; build it with "
                        "space.element(values).")
    require_element("y", y, space)
    try:
        if isinstance(space, odl.ProductSpace):
            parts = zip(component_weights(space), x, y, strict=True)
            return sum(c * precise_inner(xi, yi) for c, xi, yi in parts)
        weights = entry_weights(space)
    except TypeError:  # an inner product that is no weighted sum
        return float(np.real(x.inner(y)))
    first, second = np.asarray(x.data).ravel(), np.asarray(y.data).ravel()
    common, each = (weights, None) if isinstance(weights, float) else (1.0, weights.ravel())
    total = _dot(first.real, second.real, each)
    if np.iscomplexobj(first):
        total += _dot(first.imag, second.imag, each)
    return common * float(total)


def _dot(first, second, weights):
    first = first.astype(np.float64)
    return np.dot(first if weights is None else weights * first, second.astype(np.float64))


for _already_precise in (BoxConstraint, BoxSupport, MagnitudeBound, MagnitudeSupport):
    precise_value.register(_already_precise, lambda functional, x: float(functional(x)))


@precise_value.register
def _(functional: OnRealParts, x):
    return precise_value(functional.functional, functional.parts.adjoint(x))


@precise_value.register
def _(functional: odl.functionals.SeparableSum, x):
    return sum(
        precise_value(summand, part)
        for summand, part in zip(functional.functionals, x, strict=True)
    )


@precise_value.register
def _(functional: odl.functionals.FunctionalSum, x):
    return precise_value(functional.left, x) + precise_value(functional.right, x)


@precise_value.register
def _(functional: odl.functionals.FunctionalLeftScalarMult, x):
    return float(np.real(functional.scalar)) * precise_value(functional.functional, x)


@precise_value.register
def _(functional: odl.functionals.FunctionalRightScalarMult, x):
    return precise_value(functional.functional, functional.scalar * x)


@precise_value.register
def _(functional: odl.functionals.FunctionalTranslation, x):
    return precise_value(functional.functional, x - functional.translation)


@precise_value.register
def _(functional: odl.functionals.FunctionalQuadraticPerturb, x):
    value = precise_value(functional.functional, x) + float(np.real(functional.constant))
    if functional.quadratic_coeff:
        value += float(functional.quadratic_coeff) * precise_inner(x, x)
    return value + precise_inner(x, functional.linear_term)


@precise_value.register
def _(functional: odl.functionals.L2NormSquared, x):
    return precise_inner(x, x)


@precise_value.register
def _(functional: odl.functionals.GroupL1Norm, x):
    if functional.pointwise_norm.exponent != 2:
        return float(np.real(functional(x)))
    squares = sum(np.abs(part.data).astype(np.float64) ** 2 for part in x)
    return integral(functional.domain[0], np.sqrt(squares))
