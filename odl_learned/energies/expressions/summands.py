r"""The summands of a functional: ``c(theta) F(m(theta) (A x + B y + b))``, node by node."""

import dataclasses
import math
from typing import Any

import numpy as np
import odl
from odl.core.operator.operator import OperatorLeftScalarMult, OperatorRightScalarMult
from odl.functionals.functional import (
    FunctionalComp,
    FunctionalProduct,
    FunctionalQuadraticPerturb,
    FunctionalSum,
    FunctionalTranslation,
)

from odl_learned.dispatch import rules_by_class
from odl_learned.energies.expressions.arguments import Whole, applied, scaled, shifted
from odl_learned.energies.expressions.blocks import IMAGES, PARAMETERS, reads
from odl_learned.energies.expressions.missing import missing
from odl_learned.functionals import H1Seminorm, LeastSquares, SmoothedTV
from odl_learned.weights import component_weights


@dataclasses.dataclass(frozen=True)
class Summand:
    """``c(theta) F(z)`` with an argument ``z`` that is affine in images and data.

    Parameters
    ----------
    functional : odl.functionals.Functional
        ``F``, on ``argument.space``; or, where the argument is the `Whole`, a functional that does
        not read the images.
    argument : Argument or Whole
        ``z``.
    factor : float
        The number in ``c``.
    factors : tuple of odl.functionals.Functional
        Functionals of the parameters on the whole domain, which are multiplied with it.
    """

    functional: Any
    argument: Any
    factor: float = 1.0
    factors: tuple = ()

    def of(self, functional, argument=None, factor=1.0):
        """Return the summand of a part of the functional, with the same factors and more."""
        return Summand(functional, self.argument if argument is None else argument,
                       self.factor * factor, self.factors)  # fmt: skip


def summands(summand):
    """Return a `Summand` as a list of those without nodes between functional and argument.

    Parameters
    ----------
    summand : Summand

    Raises
    ------
    NotImplementedError
        If a node has no rule.
    """
    if isinstance(summand.argument, Whole) and IMAGES not in reads(summand.functional):
        return [summand]
    return opened(summand.functional, summand)


@rules_by_class(odl.Operator, "_call")
def opened(functional, summand):
    """Return the summands of one node; without a rule it is a leaf, which stays as it is.

    A `functools.singledispatch` function on the class of ``summand.functional``: register a rule
    for a functional of your own that is an expression of others.
    """
    return [summand]


@opened.register
def _(functional: FunctionalSum, summand):
    return [*summands(summand.of(functional.left)), *summands(summand.of(functional.right))]


@opened.register
def _(functional: OperatorLeftScalarMult, summand):
    factor = complex(functional.scalar)
    if factor.imag:
        raise missing(functional, "a real factor")
    return summands(summand.of(functional.operator, factor=factor.real))


@opened.register
def _(functional: OperatorRightScalarMult, summand):
    if isinstance(summand.argument, Whole):
        raise missing(functional, "a meaning: it multiplies parameters, too")
    argument = scaled(summand.argument, functional.scalar)
    return summands(summand.of(functional.operator, argument))


@opened.register
def _(functional: FunctionalComp, summand):
    argument = applied(functional.right, summand.argument)
    return summands(summand.of(functional.left, argument))


@opened.register
def _(functional: FunctionalProduct, summand):
    for factor, other in ((functional.left, functional.right), (functional.right, functional.left)):
        if isinstance(summand.argument, Whole) and not reads(factor) - {PARAMETERS}:
            factors = (*summand.factors, factor)
            return summands(dataclasses.replace(summand.of(other), factors=factors))
    raise missing(functional, "a factor that depends on the parameters alone, as Exponential("
                  "Coordinate(domain[1], 0)) @ ComponentProjection(domain, 1)")  # fmt: skip


@opened.register
def _(functional: FunctionalTranslation, summand):
    argument = shifted(summand.argument, (-1) * functional.translation)
    return summands(summand.of(functional.functional, argument))


@opened.register
def _(functional: FunctionalQuadraticPerturb, summand):
    found = summands(summand.of(functional.functional))
    space, a = functional.domain, float(np.real(functional.quadratic_coeff))
    linear, constant = functional.linear_term, float(np.real(functional.constant))
    if isinstance(summand.argument, Whole):
        raise missing(functional, "a rule for perturbations on the whole domain; perturb "
                      "the functional of images alone")  # fmt: skip
    if linear is not None and linear.norm() > 0:
        if not a > 0:
            raise missing(functional, "a positive quadratic_coeff beside a linear term")
        # a |z|^2 + <z, u> = a |z + u / (2 a)|^2 - |u|^2 / (4 a)
        shift = (1 / (2 * a)) * linear
        constant -= a * float(shift.norm()) ** 2
        square = odl.functionals.L2NormSquared(space)
        found += summands(summand.of(square, shifted(summand.argument, shift), a))
    elif a:
        found += summands(summand.of(odl.functionals.L2NormSquared(space), factor=a))
    if constant:
        found.append(summand.of(odl.functionals.ConstantFunctional(space, constant)))
    return found


@opened.register
def _(functional: odl.functionals.SeparableSum, summand):
    found = []
    for i, part in enumerate(functional.functionals):
        block = applied(odl.ComponentProjection(functional.domain, i), summand.argument)
        found += summands(summand.of(part, block))
    return found


@opened.register(H1Seminorm)
@opened.register(LeastSquares)
@opened.register(SmoothedTV)
def _(functional, summand):
    return summands(summand.of(functional.expression))


@opened.register
def _(functional: odl.functionals.L2NormSquared, summand):
    space = functional.domain
    if not isinstance(space, odl.ProductSpace) or space.is_power_space:
        return [summand]
    found = []
    for i, part in enumerate(space):
        projection = math.sqrt(component_weights(space)[i]) * odl.ComponentProjection(space, i)
        block = applied(projection, summand.argument)
        found += summands(summand.of(odl.functionals.L2NormSquared(part), block))
    return found


