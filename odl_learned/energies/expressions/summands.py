r"""The summands of a functional: ``c(theta) F(m(theta) (A x + B y + b))``, node by node."""

import dataclasses
import math

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
from odl_learned.energies.expressions.arguments import Argument, Whole, applied, scaled, shifted
from odl_learned.energies.expressions.autograd.bounds import is_stated
from odl_learned.energies.expressions.blocks import IMAGES, PARAMETERS, reads
from odl_learned.energies.expressions.missing import NotAffine, missing
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

    functional: odl.functionals.Functional
    argument: Argument | Whole
    factor: float = 1.0
    factors: tuple[odl.functionals.Functional, ...] = ()

    def of(self, functional, argument=None, factor=1.0):
        """Return the summand of a part of the functional, with the same factors and more."""
        return Summand(functional, self.argument if argument is None else argument,
                       self.factor * factor, self.factors)  # fmt: skip

    @property
    def sees_images(self):
        """Whether it depends on the images."""
        if isinstance(self.functional, odl.functionals.ConstantFunctional):
            return False
        if isinstance(self.argument, Whole):
            return IMAGES in reads(self.functional)
        return self.argument.image is not None


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
    if not summand.sees_images or is_stated(summand.functional):
        return [summand]
    return opened(summand.functional, summand)


@rules_by_class(odl.Operator, "_call")
def opened(functional: odl.functionals.Functional, summand: Summand) -> list[Summand]:
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
    try:
        argument = applied(functional.right, summand.argument)
    except NotAffine:  # stays as it is, for autograd with bounds by rules
        return [summand]
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
    if isinstance(summand.argument, Whole):
        raise missing(functional, "a rule for perturbations on the whole domain; perturb "
                      "the functional of images alone")  # fmt: skip
    if a:
        found += summands(summand.of(odl.functionals.L2NormSquared(space), factor=a))
    return found + _affine(summand, functional.linear_term, functional.constant)


def _affine(summand, linear, constant):
    """The summands of ``Re <z, u> + c``."""
    found, constant = [], float(np.real(constant))
    if linear is not None and linear.norm() > 0:
        found.append(summand.of(odl.functionals.QuadraticForm(vector=linear)))
    if constant:
        space = summand.argument.space
        found.append(summand.of(odl.functionals.ConstantFunctional(space, constant)))
    return found


@opened.register
def _(functional: odl.functionals.BregmanDistance, summand):
    # f(z) - f(x) - <p, z - x>
    f, p = functional.functional, functional.subgrad
    constant = np.real(functional.point.inner(p)) - float(np.real(f(functional.point)))
    return summands(summand.of(f)) + _affine(summand, (-1) * p, constant)


@opened.register
def _(functional: odl.functionals.QuadraticForm, summand):
    # <z, s z> is a square, and so is <z, a z> for a >= 0; of others rules know bounds alone.
    op = functional.operator
    if op is None:
        return [summand] + _affine(summand, None, functional.constant)
    if isinstance(op, odl.ScalingOperator):
        square = odl.functionals.L2NormSquared(functional.domain)
        found = summands(summand.of(square, factor=float(np.real(op.scalar))))
    elif isinstance(op, odl.MultiplyOperator) and _is_nonnegative(op):
        root = odl.MultiplyOperator(op.range.element(np.sqrt(op.multiplicand.data)))
        square = odl.functionals.L2NormSquared(functional.domain)
        found = summands(summand.of(square, applied(root, summand.argument)))
    else:
        found = [summand.of(odl.functionals.QuadraticForm(operator=op))]
    return found + _affine(summand, functional.vector, functional.constant)


def _is_nonnegative(op):
    factor = op.multiplicand
    return (getattr(factor, "space", None) == op.domain == op.range and op.domain.is_real
            and float(np.min(factor.data)) >= 0)  # fmt: skip


@opened.register
def _(functional: odl.functionals.MoreauEnvelope, summand):
    # that of the length is Huber's functional
    f = functional.functional
    if isinstance(f, odl.functionals.L1Norm) or (isinstance(f, odl.functionals.GroupL1Norm)
                                                 and f.pointwise_norm.exponent == 2):  # fmt: skip
        return summands(summand.of(odl.functionals.Huber(f.domain, float(functional.sigma))))
    return [summand]


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


