"""Bounds of derivatives of operators, by rules; linear ones need none."""

import math
from typing import NamedTuple

import odl
from odl.core.operator.operator import (
    OperatorComp,
    OperatorLeftScalarMult,
    OperatorSum,
    OperatorVectorSum,
)

from odl_learned.dispatch import rules_by_class
from odl_learned.energies.expressions.blocks import IMAGES, Blocks
from odl_learned.energies.expressions.missing import missing
from odl_learned.operators.norms.operator_norms import operator_norm
from odl_learned.weights import component_weights


class Rates(NamedTuple):
    """What holds for an operator everywhere: ``|F'|``, Lipschitz constants of ``F'`` and ``F''``.

    Parameters
    ----------
    first, second, third : float
    """

    first: float
    second: float
    third: float


@rules_by_class(odl.Operator, "_call")
def rates_of(op: odl.Operator, blocks: Blocks) -> Rates:
    """Return the `Rates` of an operator in the images; a `functools.singledispatch` function.

    Parameters
    ----------
    op : odl.Operator
        Linear ones need no rule.
    blocks : Blocks
        Of the whole domain.

    Raises
    ------
    NotImplementedError
        If it is nonlinear and has no rule: names the class.

    Examples
    --------
    >>> import odl
    >>> from odl_learned.energies.expressions import autograd
    >>> class Sine(odl.Operator):
    ...     def __init__(self, space):
    ...         super().__init__(space, space)
    ...
    >>> @autograd.rates_of.register
    ... def _(op: Sine):
    ...     return autograd.Rates(1.0, 1.0, 1.0)
    ...
    >>> print(autograd.rates_of(Sine(odl.rn(2))))
    Rates(first=1.0, second=1.0, third=1.0)
    """
    if not op.is_linear or _is_whole(op, blocks):
        raise missing(op, "a rule in autograd.rates_of, bounds of its derivatives; or state "
                      "grad_lipschitz and weak_convexity of the functional that it is in, with "
                      "which it is not looked at")  # fmt: skip
    return Rates(operator_norm(op), 0.0, 0.0)


def _is_whole(op, blocks):
    return blocks.are_several and op.domain == blocks.domain


def times(*factors):
    """A product in which zero times infinity is zero: what does not enter needs no bound."""
    return 0.0 if 0 in factors else math.prod(factors)


@rates_of.register
def _(op: odl.ComponentProjection, blocks):
    if not _is_whole(op, blocks):
        return Rates(operator_norm(op), 0.0, 0.0)
    return Rates(1.0 if op.index == IMAGES else 0.0, 0.0, 0.0)


@rates_of.register(odl.ConstantOperator)
@rates_of.register(odl.ZeroOperator)
def _(op, blocks):
    return Rates(0.0, 0.0, 0.0)


@rates_of.register
def _(op: OperatorSum, blocks):
    return Rates(*map(sum, zip(rates_of(op.left, blocks), rates_of(op.right, blocks), strict=True)))


@rates_of.register
def _(op: odl.BroadcastOperator, blocks):
    parts = [rates_of(part, blocks) for part in op.operators]
    roots = [math.sqrt(weight) for weight in component_weights(op.range)]
    return Rates(*(math.hypot(*(r * part[i] for r, part in zip(roots, parts, strict=True)))
                   for i in range(3)))  # fmt: skip


@rates_of.register
def _(op: OperatorVectorSum, blocks):
    return rates_of(op.operator, blocks)


@rates_of.register
def _(op: OperatorLeftScalarMult, blocks):
    return Rates(*(times(abs(op.scalar), part) for part in rates_of(op.operator, blocks)))


@rates_of.register
def _(op: OperatorComp, blocks):
    if op.is_linear and not _is_whole(op, blocks):
        return Rates(operator_norm(op), 0.0, 0.0)
    g1, g2, g3 = rates_of(op.right, blocks)
    if g1 == g2 == g3 == 0:  # of data alone
        return Rates(0.0, 0.0, 0.0)
    f1, f2, f3 = rates_of(op.left, blocks)
    return Rates(times(f1, g1), times(f2, g1, g1) + times(f1, g2),
                 times(f3, g1, g1, g1) + times(3, f2, g1, g2) + times(f1, g3))  # fmt: skip
