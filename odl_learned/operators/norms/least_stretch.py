"""How much a linear operator stretches at least, where its parts tell."""

import math

import odl

from odl_learned.odl_fixes.sums import precision
from odl_learned.operators.norms.factors import (
    CoIsometry,
    Diagonal,
    Multiple,
    Opaque,
    factors,
    simplified,
)
from odl_learned.weights import component_weights


def least_stretch(op: odl.Operator) -> float:
    r"""Return a lower bound of the smallest singular value of a linear operator.

    .. math:: |A x|_Y \ge s |x|_X \text{ for all } x .

    Exact up to rounding for products of unitary, isometric and diagonal parts, as `factors` knows
    them; for blocks side by side, :math:`s^2 = \sum_i c_i s_i^2` with the weights of the range.

    Parameters
    ----------
    op : linear odl.Operator

    Returns
    -------
    s : float
        Zero where nothing is known.
    """
    parts = factors(op)
    scale, rest = simplified(parts, right=False)
    least = largest = scale
    for part in rest:
        low, high = _range(part)
        least, largest = low * least, high * largest
    if least == 0 or all(isinstance(part, Multiple) for part in parts):
        return least
    # Entries of Fourier transforms of kernels are known up to 100 eps of the largest one, filters
    # of wavelets are orthogonal to 1e-10, and single precision computes with 1e-7.
    slack = 1e-8 + 100 * max(precision(op.domain), precision(op.range))
    return max(0.0, least - slack * largest)


def _range(part):
    """A lower bound of the smallest singular value, and what its rounding is a fraction of."""
    if isinstance(part, Diagonal):
        return part.least, part.largest
    if isinstance(part, CoIsometry):
        return 0.0, part.scale
    if not isinstance(part, Opaque):
        return part.scale, part.scale
    op, low = part.op, 0.0
    if isinstance(op, odl.BroadcastOperator):
        blocks = zip(component_weights(op.range), op.operators, strict=True)
        low = math.sqrt(sum(weight * least_stretch(block) ** 2 for weight, block in blocks))
    return low, low
