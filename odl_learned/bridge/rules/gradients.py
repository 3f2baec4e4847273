r"""Gradients of expressions by the chain rule, which cost less than a backward pass of autograd.

.. math:: \nabla (f \circ A) = A^* \, (\nabla f) \circ A, \qquad
          \nabla |x|_X^2 = 2 x

in the inner products of the spaces, as in ODL: no weights enter.
"""

import numpy as np
import odl
from odl.functionals.functional import (
    FunctionalComp,
    FunctionalLeftScalarMult,
    FunctionalQuadraticPerturb,
    FunctionalScalarSum,
    FunctionalSum,
    FunctionalTranslation,
)

from odl_learned.bridge.gradients import lower_gradient
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.loops.generic import GenericLinear, GenericNonlinear
from odl_learned.bridge.loops.generic_functional import GenericFunctional
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import Composition, Scale, Shift, Sum

_by_default = lower_gradient.dispatch(object)


@lower_gradient.register
def _(f: odl.functionals.L2NormSquared):
    return Scale(2.0)


@lower_gradient.register
def _(f: FunctionalComp):
    left, right = lower_gradient(f.left), lower(f)
    if not (f.right.is_linear and type(right) is Composition):
        return _by_default(f)
    try:
        adjoint = lower(f.right.adjoint)
    except NotImplementedError:
        return _by_default(f)
    # Where ODL computes an adjoint, a backward pass may still be native.
    if _goes_through_odl(adjoint) or _goes_through_odl(right):
        return _by_default(f)
    return Composition(adjoint, Composition(left, right.right))


@lower_gradient.register
def _(f: FunctionalTranslation):
    shift = layout_of(f.domain).to_tensor(f.translation)
    return Composition(lower_gradient(f.functional), Shift(each(lambda part: -part, shift)))


@lower_gradient.register
def _(f: FunctionalLeftScalarMult):
    if np.imag(f.scalar) != 0:
        return _by_default(f)
    return Composition(Scale(f.scalar), lower_gradient(f.functional))


@lower_gradient.register
def _(f: FunctionalSum):
    return Sum(lower_gradient(f.left), lower_gradient(f.right))


@lower_gradient.register
def _(f: FunctionalScalarSum):
    return lower_gradient(f.left)


@lower_gradient.register
def _(f: FunctionalQuadraticPerturb):
    gradient = Sum(lower_gradient(f.functional), Scale(2 * f.quadratic_coeff))
    if f.linear_term is None:
        return gradient
    return Composition(Shift(layout_of(f.domain).to_tensor(f.linear_term)), gradient)


def _goes_through_odl(module):
    generic = GenericLinear, GenericNonlinear, GenericFunctional
    return any(isinstance(part, generic) for part in module.modules())
