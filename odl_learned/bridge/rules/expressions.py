"""Lowering rules for ODL's expression nodes: composition, sums, scalar and vector multiples.

Every node lowers its children and keeps the shape of the expression, so that a module reads like
the formula it came from. Functional expressions are subclasses of the operator expressions in ODL
and share their rules.
"""

import odl
from odl.core.operator.operator import (
    FunctionalLeftVectorMult,
    OperatorComp,
    OperatorLeftScalarMult,
    OperatorLeftVectorMult,
    OperatorPointwiseProduct,
    OperatorRightScalarMult,
    OperatorRightVectorMult,
    OperatorSum,
    OperatorVectorSum,
)
from odl.functionals.functional import (
    BregmanDistance,
    FunctionalQuadraticPerturb,
    FunctionalQuotient,
    FunctionalTranslation,
)
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import Held, each
from odl_learned.bridge.lowering import lower

#: Rules for compositions that cost less as a whole, by the classes of the left and the right side.
#: A rule takes both sides and returns a module, or None where it does not apply.
fused_compositions: dict = {}


class Composition(nn.Module):
    """``x -> left(right(x))``."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        if type(self.left) is Scale and hasattr(self.right, "scaled_by"):
            return self.right.scaled_by(self.left.scalar, x)
        return self.left(self.right(x))


class Sum(nn.Module):
    """``x -> left(x) + right(x)``."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        return each(lambda a, b: a + b, self.left(x), self.right(x))


class PointwiseProduct(nn.Module):
    """``x -> left(x) right(x)``."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        return each(lambda a, b: a * b, self.left(x), self.right(x))


class Quotient(nn.Module):
    """``x -> left(x) / right(x)``."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        return self.left(x) / self.right(x)


class Scale(nn.Module):
    """``x -> s x``."""

    def __init__(self, scalar):
        super().__init__()
        self.scalar = scalar

    def forward(self, x):
        return scaled(self.scalar, x)


def scaled(scalar, x):
    """``s x``, the same where ``s`` is one."""
    return x if scalar == 1 else each(lambda part: scalar * part, x)


class Multiply(nn.Module):
    """``x -> v x`` with a fixed element ``v``."""

    def __init__(self, vector):
        super().__init__()
        self.vector = Held(vector)

    def forward(self, x):
        return each(lambda v, part: v * part, self.vector(), x)


class Shift(nn.Module):
    """``x -> x + v`` with a fixed element ``v``."""

    def __init__(self, vector):
        super().__init__()
        self.vector = Held(vector)

    def forward(self, x):
        return each(lambda v, part: part + v, self.vector(), x)


class Outer(nn.Module):
    """``x -> f(x) v`` with a functional ``f`` and a fixed element ``v``."""

    def __init__(self, functional, vector):
        super().__init__()
        self.functional, self.vector = functional, Held(vector)

    def forward(self, x):
        value = self.functional(x)
        return each(lambda v: value.reshape(*value.shape, *([1] * v.ndim)) * v, self.vector())


class LinearForm(nn.Module):
    """``x -> <x, v>_X``, complex on complex spaces."""

    def __init__(self, vector, layout):
        super().__init__()
        self.vector, self.layout = Held(vector), layout

    def forward(self, x):
        return self.layout.integrate(each(lambda v, part: part * v.conj(), self.vector(), x))


class QuadraticPerturbation(nn.Module):
    """``x -> f(x) + a |x|^2 + Re <x, u> + c``."""

    def __init__(self, functional, quadratic_coeff, linear_term, constant, layout):
        super().__init__()
        self.functional, self.layout = functional, layout
        self.quadratic_coeff, self.constant = quadratic_coeff, constant
        self.linear_form = None if linear_term is None else LinearForm(linear_term, layout)

    def forward(self, x):
        value = self.functional(x) + self.constant
        if self.quadratic_coeff:
            square = self.layout.integrate(each(lambda part: (part * part.conj()).real, x))
            value = value + self.quadratic_coeff * square
        return value if self.linear_form is None else value + self.linear_form(x).real


class Bregman(nn.Module):
    """``x -> f(x) - f(p) - Re <q, x - p>`` with a subgradient ``q`` of ``f`` at ``p``."""

    def __init__(self, functional, value_at_point, subgradient, constant, layout):
        super().__init__()
        self.functional, self.constant = functional, value_at_point - constant
        self.linear_form = LinearForm(subgradient, layout)

    def forward(self, x):
        return self.functional(x) - self.constant - self.linear_form(x).real


@lower.register
def _(op: OperatorComp):
    rule = fused_compositions.get((type(op.left), type(op.right)))
    fused = None if rule is None else rule(op.left, op.right)
    return Composition(lower(op.left), lower(op.right)) if fused is None else fused


@lower.register
def _(op: OperatorSum):
    return Sum(lower(op.left), lower(op.right))


@lower.register
def _(op: OperatorPointwiseProduct):
    return PointwiseProduct(lower(op.left), lower(op.right))


@lower.register
def _(op: FunctionalQuotient):
    return Quotient(lower(op.dividend), lower(op.divisor))


@lower.register
def _(op: OperatorLeftScalarMult):
    return Composition(Scale(op.scalar), lower(op.operator))


@lower.register
def _(op: OperatorRightScalarMult):
    return Composition(lower(op.operator), Scale(op.scalar))


@lower.register
def _(op: OperatorLeftVectorMult):
    return Composition(Multiply(layout_of(op.range).to_tensor(op.vector)), lower(op.operator))


@lower.register
def _(op: OperatorRightVectorMult):
    return Composition(lower(op.operator), Multiply(layout_of(op.domain).to_tensor(op.vector)))


@lower.register
def _(op: OperatorVectorSum):
    return Composition(Shift(layout_of(op.range).to_tensor(op.vector)), lower(op.operator))


@lower.register
def _(op: FunctionalLeftVectorMult):
    return Outer(lower(op.functional), layout_of(op.range).to_tensor(op.vector))


@lower.register
def _(op: FunctionalTranslation):
    shift = layout_of(op.domain).to_tensor(op.translation)
    return Composition(lower(op.functional), Shift(each(lambda part: -part, shift)))


@lower.register
def _(op: FunctionalQuadraticPerturb):
    layout = layout_of(op.domain)
    term = None if op.linear_term is None else layout.to_tensor(op.linear_term)
    return QuadraticPerturbation(lower(op.functional), op.quadratic_coeff, term,
                                 op.constant, layout)


@lower.register
def _(op: BregmanDistance):
    layout = layout_of(op.domain)
    constant = op.subgrad.inner(op.point)
    return Bregman(lower(op.functional), op.functional(op.point), layout.to_tensor(op.subgrad),
                   getattr(constant, "real", constant), layout)


@lower.register
def _(op: odl.ScalingOperator):
    return Scale(op.scalar)
