"""Operators as products of unitary, diagonal and other parts, for norms in closed form.

``|U A| = s |A|`` where ``U* U = s^2 1``, and ``|A V| = s |A|`` where ``V V* = s^2 1``. So parts of
these kinds leave a product at its ends, neighbors that undo each other leave it in the middle, and
diagonal neighbors are one diagonal, whose norm is its largest entry.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import odl

from odl_learned.dispatch import rules_by_class
from odl_learned.operators.group import QuarterTurn, Reflection
from odl_learned.operators.tomography.symmetrized import SinogramTurn
from odl_learned.operators.transforms.fourier import SampledFourier
from odl_learned.operators.transforms.fourier_multiplier import FourierMultiplier
from odl_learned.operators.transforms.motions import Shear, Translation
from odl_learned.weights import component_weights, constant_weight, has_constant_weight


class Multiple(NamedTuple):
    """A number of magnitude ``s`` times the identity."""

    scale: float


class Unitary(NamedTuple):
    """``U* U = U U* = s^2 1``; two of one base, one of them inverse, cancel to ``s^2``."""

    scale: float = 1.0
    base: Any = None
    inverse: bool = False


class Isometry(NamedTuple):
    """``U* U = s^2 1``."""

    scale: float


class CoIsometry(NamedTuple):
    """``U U* = s^2 1``."""

    scale: float


class Diagonal(NamedTuple):
    """Multiplication by numbers, of these magnitudes: an array for every block."""

    magnitudes: tuple

    @property
    def largest(self):
        """The norm."""
        return max(float(block.max(initial=0)) for block in self.magnitudes)

    @property
    def least(self):
        """The smallest magnitude."""
        return min(float(block.min(initial=math.inf)) for block in self.magnitudes)

    @property
    def is_unitary(self):
        """Whether all magnitudes agree to rounding, so that this is a multiple of a unitary."""
        return self.largest - self.least <= 1e-14 * self.largest


class Opaque(NamedTuple):
    """Any other operator."""

    op: odl.Operator


def diagonal(*blocks: np.ndarray) -> Diagonal:
    """Return the `Diagonal` of arrays, one for every block."""
    return Diagonal(tuple(np.abs(np.asarray(block)).astype(np.float64) for block in blocks))


def factors(op: odl.Operator) -> list:
    """Return the parts of a linear operator from left to right, by its rule or its adjoint's."""
    if isinstance(op, odl.OperatorComp):
        return factors(op.left) + factors(op.right)
    if isinstance(op, (odl.OperatorLeftScalarMult, odl.OperatorRightScalarMult)):
        return [Multiple(float(abs(op.scalar))), *factors(op.operator)]
    if isinstance(op, odl.OperatorLeftVectorMult):
        return [_multiplication(op.vector), *factors(op.operator)]
    if isinstance(op, odl.OperatorRightVectorMult):
        return [*factors(op.operator), _multiplication(op.vector)]
    parts = parts_of(op)
    if parts is not None:
        return parts
    adjoint = adjoint_of(op)
    parts = None if adjoint is None else parts_of(adjoint)
    return [Opaque(op)] if parts is None else [_adjoint(part) for part in reversed(parts)]


def simplified(parts: list, right: bool = True) -> tuple[float, list]:
    """Return a scale and the parts that are left when all that only scale have gone.

    Parameters
    ----------
    parts : list of parts
    right : bool
        Whether parts may leave at the right end, too.

    Returns
    -------
    scale : float
    parts : list of parts
    """
    scale: float = 1.0
    rest: list = []
    for part in parts:
        if isinstance(part, Diagonal) and part.is_unitary:
            part = Unitary(part.largest)
        if isinstance(part, Multiple) or (not rest and isinstance(part, (Unitary, Isometry))):
            scale *= part.scale
        elif rest and _cancel(rest[-1], part):
            scale *= rest.pop().scale * part.scale
        elif rest and isinstance(rest[-1], Diagonal) and isinstance(part, Diagonal):
            blocks = zip(rest.pop().magnitudes, part.magnitudes, strict=True)
            rest.append(Diagonal(tuple(a * b for a, b in blocks)))
        else:
            rest.append(part)
    while right and rest and isinstance(rest[-1], (Unitary, CoIsometry)):
        scale *= rest.pop().scale
    return scale, rest


def adjoint_of(op: odl.Operator) -> odl.Operator | None:
    """Return the adjoint of an operator, or None where it has none."""
    try:
        return op.adjoint
    except NotImplementedError:
        return None


def _adjoint(part):
    if isinstance(part, Unitary):
        return Unitary(part.scale, part.base, not part.inverse)
    if isinstance(part, Isometry):
        return CoIsometry(part.scale)
    if isinstance(part, CoIsometry):
        return Isometry(part.scale)
    return part


def _cancel(left, right):
    if not (isinstance(left, Unitary) and isinstance(right, Unitary)) or left.base is None:
        return False
    return left.base == right.base and left.inverse != right.inverse


@rules_by_class(odl.Operator, "_call")
def parts_of(op: odl.Operator) -> list | None:
    """Return the parts of a linear operator from left to right, or None where no rule knows them.

    A `functools.singledispatch` function with a rule for each class of operators that is no
    expression of others. Their adjoints need none.

    Parameters
    ----------
    op : linear odl.Operator

    Returns
    -------
    parts : list of Multiple, Unitary, Isometry, CoIsometry and Diagonal, or None
    """
    return None


@parts_of.register
def _(op: odl.ScalingOperator):
    return [Multiple(float(abs(op.scalar)))] if op.domain == op.range else None


@parts_of.register
def _(op: odl.MultiplyOperator):
    if op.domain != op.range or isinstance(op.domain, odl.core.set.Field):
        return None
    factor = op.multiplicand
    return [Multiple(float(np.abs(factor))) if np.isscalar(factor) else _multiplication(factor)]


def _multiplication(element):
    """The multiplication by an element, whose blocks may have blocks."""
    return diagonal(*_arrays(element))


def _arrays(element):
    if isinstance(element.space, odl.ProductSpace):
        return [array for part in element for array in _arrays(part)]
    return [element.data]


@parts_of.register(QuarterTurn)
@parts_of.register(Reflection)
@parts_of.register(SinogramTurn)
@parts_of.register(Translation)
@parts_of.register(Shear)
def _(op):
    return [Unitary()]


@parts_of.register
def _(op: FourierMultiplier):
    base = "discrete Fourier", op.axes, op.is_real
    return [Unitary(1.0, base, True), diagonal(op.multiplier), Unitary(1.0, base)]


@parts_of.register
def _(op: SampledFourier):
    base = "centered Fourier", op.domain.shape
    return [diagonal(op.weights), Unitary(math.sqrt(op.weight_ratio), base)]


@parts_of.register
def _(op: odl.ComplexEmbedding):
    return [Isometry(float(abs(op.scalar)))] if op.domain.field == odl.RealNumbers() else None


@parts_of.register
def _(op: odl.ResizingOperator):
    spaces = op.domain, op.range
    if op.pad_mode != "constant" or not all(map(has_constant_weight, spaces)):
        return None
    ratio = constant_weight("range", op.range) / constant_weight("domain", op.domain)
    if all(m <= n for m, n in zip(op.domain.shape, op.range.shape, strict=True)):
        return [Isometry(math.sqrt(ratio))]
    if all(m >= n for m, n in zip(op.domain.shape, op.range.shape, strict=True)):
        return [CoIsometry(math.sqrt(ratio))]
    return None


@parts_of.register
def _(op: odl.ComponentProjection):
    return [CoIsometry(1 / _block_scale(op.domain, op.index))] if _is_block(op.index) else None


@parts_of.register
def _(op: odl.core.operator.pspace_ops.ComponentProjectionAdjoint):
    return [Isometry(_block_scale(op.range, op.index))] if _is_block(op.index) else None


def _is_block(index):
    return isinstance(index, (int, np.integer))


def _block_scale(product, index):
    return math.sqrt(component_weights(product)[index])
