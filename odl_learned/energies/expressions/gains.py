"""What operators do to lengths at least, and the norms of their rows, in closed form."""

import math

import numpy as np
import odl

from odl_learned.dispatch import rules_by_class
from odl_learned.odl_validation import require_operator
from odl_learned.operators import OrthogonalWavelet, Translation
from odl_learned.operators.norms.factors import (
    Diagonal,
    Isometry,
    Multiple,
    Unitary,
    factors,
    simplified,
)
from odl_learned.operators.transforms.fourier_multiplier import FourierMultiplier


def least_gain(op: odl.Operator) -> float:
    r"""Return a lower bound of ``|A x| / |x|`` in the inner products of the spaces.

    Known for products of unitary and of diagonal operators; zero elsewhere, which is always true.

    Parameters
    ----------
    op : linear odl.Operator
    """
    require_operator("op", op)
    scale, parts = simplified(factors(op), right=False)
    for part in parts:
        if isinstance(part, Diagonal):
            scale *= min(float(block.min(initial=math.inf)) for block in part.magnitudes)
        elif isinstance(part, Multiple | Unitary | Isometry):
            scale *= part.scale
        else:
            return 0.0
    return scale


@rules_by_class(odl.Operator, "_call")
def row_norm(op: odl.Operator) -> float | None:
    r"""Return a bound of the norms of the rows of one group of the matrix of an operator.

    Groups are the components at one place, where the range is a power space and the functional
    sees them together; a bound for those holds for single rows, too. Without weights of inner
    products. None, without a rule: then the norm of the whole matrix is taken, which is larger.

    Parameters
    ----------
    op : linear odl.Operator

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> from odl_learned.energies import expressions
    >>> X = odl.uniform_discr([0, 0], [9, 9], (9, 9))
    >>> D = operators.gradient(X)
    >>> print(f"{expressions.row_norm(D):.3f} {operators.operator_norm(D):.3f}")
    1.732 2.785
    """
    return None


@row_norm.register
def _(op: odl.IdentityOperator):
    return 1.0


@row_norm.register
def _(op: odl.Gradient):
    # Rows [-1/h_i at j, 1/h_i at j + e_i]: H (1 + 1 1^T) H with H = diag(1 / h), or fewer of them.
    if op.method not in ("forward", "backward"):
        return None
    sides = 1 / np.asarray(op.domain.cell_sides, dtype=float)
    gram = np.diag(sides**2) + np.outer(sides, sides)
    return math.sqrt(float(np.linalg.eigvalsh(gram)[-1]))


@row_norm.register(FourierMultiplier)
@row_norm.register(Translation)
def _(op):
    # Rows are shifts of one another where all axes are transformed: that of the unit impulse.
    if len(op.axes) < op.domain.ndim:
        return None
    impulse = np.zeros(op.domain.shape)
    impulse[(0,) * op.domain.ndim] = 1
    image = op(op.domain.element(impulse.astype(op.domain.dtype)))
    return float(np.linalg.norm(image.data))


@row_norm.register(odl.OperatorLeftScalarMult)
@row_norm.register(odl.OperatorRightScalarMult)
def _(op):
    norm = row_norm(op.operator)
    return None if norm is None else float(abs(op.scalar)) * norm


@row_norm.register
def _(op: OrthogonalWavelet):
    return 1.0


@row_norm.register
def _(op: odl.BroadcastOperator):
    norms = [norm for part in op.operators if (norm := row_norm(part)) is not None]
    return math.hypot(*norms) if len(norms) == len(op.operators) else None
