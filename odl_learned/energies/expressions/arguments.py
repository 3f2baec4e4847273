r"""Arguments of functionals that are affine in images and data: ``m(theta) (A x + B y + b)``."""

import dataclasses

import odl
from odl.core.operator.operator import (
    OperatorComp,
    OperatorLeftScalarMult,
    OperatorLeftVectorMult,
    OperatorRightScalarMult,
    OperatorRightVectorMult,
    OperatorSum,
    OperatorVectorSum,
)
from odl.core.set.space import LinearSpaceElement

from odl_learned.dispatch import rules_by_class
from odl_learned.energies.expressions.blocks import DATA, IMAGES, PARAMETERS, Blocks, reads
from odl_learned.energies.expressions.missing import NotAffine, missing
from odl_learned.operators import FunctionalMultiple


@dataclasses.dataclass(frozen=True)
class Argument:
    """``m(theta) (A x + B y + b)``, an element of a space.

    Parameters
    ----------
    space : odl space
    image, data : linear odl.Operator or None
        ``A`` and ``B`` from images and data to the space; None is zero.
    shift : element or None
        ``b``; None is zero.
    scales : tuple of odl.functionals.Functional
        Functionals of the parameters on the whole domain, whose product is ``m``.
    """

    space: odl.LinearSpace
    image: odl.Operator | None = None
    data: odl.Operator | None = None
    shift: LinearSpaceElement | None = None
    scales: tuple[odl.functionals.Functional, ...] = ()


class Whole:
    """The element of the whole domain itself, with parameters in it.

    Parameters
    ----------
    blocks : Blocks
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks


def whole(blocks):
    """Return the argument that a functional on the whole domain has."""
    if blocks.are_several:
        return Whole(blocks)
    return Argument(blocks.domain, odl.IdentityOperator(blocks.domain))


@rules_by_class(odl.Operator, "_call")
def applied(op: odl.Operator, argument: Argument | Whole) -> Argument:
    """Return what an operator makes of an argument, as an `Argument`.

    A `functools.singledispatch` function with a rule for every node that is affine in images and
    data; any linear operator may act on them.

    Parameters
    ----------
    op : odl.Operator
    argument : Argument or Whole

    Raises
    ------
    NotAffine
        If the operator is nonlinear.
    NotImplementedError
        If it mixes images, parameters and data: names the node.
    """
    if not op.is_linear:
        raise missing(op, "a rule in arguments.applied: it is not linear", NotAffine)
    if isinstance(argument, Whole):
        raise missing(op, "a rule in arguments.applied: only operators that are linear in images "
                      "or in data, one at a time, may stand inside of functionals")  # fmt: skip
    return linear(op, argument)


def linear(op, argument):
    """Return what a linear operator makes of an `Argument`."""
    shift = None if argument.shift is None else op(argument.shift)
    return Argument(op.range, _composed(op, argument.image), _composed(op, argument.data), shift,
                    argument.scales)  # fmt: skip


def shifted(argument, element):
    """Return ``z + e``."""
    if argument.scales:
        raise missing(element.space, "a translation of a multiple by parameters, m z + e; move the "
                      "translation inside of the multiple, m (z + e)")  # fmt: skip
    shift = element if argument.shift is None else argument.shift + element
    return dataclasses.replace(argument, shift=shift)


def scaled(argument, scalar):
    """Return ``s z`` for a number."""
    return linear(scalar * odl.IdentityOperator(argument.space), argument)


def _composed(left, right):
    if right is None or isinstance(left, odl.IdentityOperator):
        return right
    if isinstance(right, odl.IdentityOperator):
        return left
    if isinstance(left, OperatorLeftScalarMult) and isinstance(left.operator, odl.IdentityOperator):
        return left.scalar * right
    return left @ right


def _sum(first, second):
    if first is None or second is None:
        return second if first is None else first
    return first + second


@applied.register
def _(op: odl.ComponentProjection, argument):
    if not isinstance(argument, Whole):
        return linear(op, argument)
    if op.index == IMAGES:
        return Argument(op.range, image=odl.IdentityOperator(op.range))
    if op.index == DATA:
        return Argument(op.range, data=odl.IdentityOperator(op.range))
    raise missing(op, "a meaning: parameters enter as factors, by FunctionalProduct(f @ theta, g) "
                  "and FunctionalMultiple(f @ theta, A)")  # fmt: skip


@applied.register
def _(op: odl.IdentityOperator, argument):
    if isinstance(argument, Whole):
        raise missing(op, "ComponentProjection(domain, 0) for the images")
    return argument


@applied.register
def _(op: odl.ConstantOperator, argument):
    return Argument(op.range, shift=op.constant)


@applied.register
def _(op: odl.ZeroOperator, argument):
    return Argument(op.range)


@applied.register
def _(op: OperatorComp, argument):
    if op.is_linear and isinstance(argument, Argument):  # compositions that are fused stay whole
        return linear(op, argument)
    return applied(op.left, applied(op.right, argument))


@applied.register
def _(op: OperatorSum, argument):
    first, second = applied(op.left, argument), applied(op.right, argument)
    if first.scales != second.scales:
        raise missing(op, "a rule for sums with different factors of parameters, m A x + B x; "
                      "move the factor outside of the sum")  # fmt: skip
    return Argument(op.range, _sum(first.image, second.image), _sum(first.data, second.data),
                    _sum(first.shift, second.shift), first.scales)  # fmt: skip


@applied.register
def _(op: OperatorLeftScalarMult, argument):
    return scaled(applied(op.operator, argument), op.scalar)


@applied.register
def _(op: OperatorRightScalarMult, argument):
    if isinstance(argument, Whole):
        raise missing(op, "a meaning: it multiplies parameters, too; write s * A, not A * s")
    return applied(op.operator, scaled(argument, op.scalar))


@applied.register
def _(op: OperatorLeftVectorMult, argument):
    times = odl.MultiplyOperator(op.vector, domain=op.range, range=op.range)
    return linear(times, applied(op.operator, argument))


@applied.register
def _(op: OperatorRightVectorMult, argument):
    if isinstance(argument, Whole):
        raise missing(op, "a meaning: it multiplies parameters, too")
    times = odl.MultiplyOperator(op.vector, domain=op.domain, range=op.domain)
    return applied(op.operator, linear(times, argument))


@applied.register
def _(op: OperatorVectorSum, argument):
    return shifted(applied(op.operator, argument), op.vector)


@applied.register
def _(op: FunctionalMultiple, argument):
    if not isinstance(argument, Whole) or reads(op.functional) - {PARAMETERS}:
        raise missing(op, "a factor that depends on the parameters alone, as Exponential("
                      "Coordinate(domain[1], 0)) @ ComponentProjection(domain, 1)")  # fmt: skip
    inner = applied(op.operator, argument)
    return dataclasses.replace(inner, scales=(*inner.scales, op.functional))


@applied.register
def _(op: odl.BroadcastOperator, argument):
    if op.is_linear and isinstance(argument, Argument):
        return linear(op, argument)
    parts = [applied(each, argument) for each in op.operators]
    if any(part.scales != parts[0].scales for part in parts):
        raise missing(op, "the same factor of parameters in all of its operators")
    image, data = (_stacked(op.range, [getattr(part, name) for part in parts])
                   for name in ("image", "data"))  # fmt: skip
    return Argument(op.range, image, data, _stacked_shift(op.range, [part.shift for part in parts]),
                    parts[0].scales)  # fmt: skip


def _stacked(space, operators):
    """One operator to a product space from those to its factors; None is zero."""
    known = [op for op in operators if op is not None]
    if not known:
        return None
    blocks = [odl.ZeroOperator(known[0].domain, part) if op is None else op
              for op, part in zip(operators, space, strict=True)]
    stack = odl.BroadcastOperator(*blocks)
    if stack.range != space:
        raise missing(stack, f"the range {space}, whose factors have weights")
    return stack


def _stacked_shift(space, shifts):
    if all(shift is None for shift in shifts):
        return None
    return space.element([part.zero() if shift is None else shift
                          for shift, part in zip(shifts, space, strict=True)])
