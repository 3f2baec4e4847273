"""What norms and Lipschitz constants that operators declare have to satisfy."""

import warnings

import numpy as np
import odl

from odl_learned.conformance.failure import require
from odl_learned.conformance.sampling import (
    available,
    in_isometric_coordinates,
    norm,
    positive,
    precision,
    sample,
)
from odl_learned.conformance.spectra import largest_ratio
from odl_learned.operators import exact_norm, operator_norm


def check_norm(op, rng):
    """``operator_norm(A)`` bounds the largest singular value, and is within 1 % of it.

    It agrees up to rounding where `operators.exact_norm` knows it in closed form.
    """
    exact = _norm_of_matrix(op)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if not available(lambda: operator_norm(op)):
            return
        declared = operator_norm(op)
    said = [str(warning.message) for warning in said if "not the adjoint" in str(warning.message)]
    require(not said, said[0] if said else "")
    require(isinstance(declared, float), f"norm {declared!r} is not a Python float")
    rounding = 10 * precision(op)
    if exact is None:
        reached = largest_ratio(op, rng)
        require(declared >= (1 - rounding) * reached,
                f"operator_norm(A) is {declared}, but |A x| = {reached} |x| for some x")
        return
    room = rounding if exact_norm(op) is not None else 0.01
    require((1 - rounding) * exact <= declared <= (1 + room) * exact + 1e-12,
            f"operator_norm(A) is {declared:.12g}, expected the largest singular value, which is "
            f"{exact:.12g}; correct the rule of operators.exact_norm, or the adjoint")


def check_own_norm(op, rng):
    """A method ``norm`` of the operator's own returns its norm: not less, nor 1 % more."""
    if type(op).norm is odl.Operator.norm or not available(op.norm):
        return
    declared, exact = float(op.norm()), _norm_of_matrix(op)
    reached = largest_ratio(op, rng) if exact is None else exact
    require(declared >= reached * (1 - 10 * precision(op)),
            f"A.norm() is {declared:.8g}, but |A x| = {reached:.8g} |x| for some x; a norm that is "
            "too small makes steps too long")
    require(exact is None or declared <= 1.01 * exact + 1e-12,
            f"A.norm() is {declared:.8g}, expected the largest singular value {exact or 0:.8g}")


def check_own_lipschitz(op, rng):
    """``|F x - F z| <= L |x - z|`` for the ``L`` that a method ``norm`` of its own returns."""
    if type(op).norm is odl.Operator.norm or not available(op.norm):
        return
    x = sample(op, rng)
    for scale in (1e-3, 1.0, 1e3):
        z = x + scale * (sample(op, rng) - x)
        ratio = norm(op(x) - op(z)) / positive(norm(x - z))
        require(ratio <= float(op.norm()) * (1 + 1e-4) + 1e-12,
                f"F varies by {ratio:.6g}, more than F.norm(), which is {float(op.norm()):.6g}")


def _norm_of_matrix(op):
    """The largest singular value in the inner products, or None where the matrix is too large."""
    matrix = in_isometric_coordinates(op)
    if matrix is None:
        return None
    # LAPACK answers NaN by an exception of its own, or does not answer, as it was built.
    require(np.isfinite(matrix).all(),
            "the matrix of A, whose columns are A e_j, has entries that are not finite")
    return float(np.linalg.norm(matrix, 2))
