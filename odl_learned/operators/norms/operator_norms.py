"""Operator norms: closed forms where they are known, a probable upper bound elsewhere."""

import math
import weakref

import numpy as np
import odl

from odl_learned.operators.norms.exact_norms import exact_norm
from odl_learned.operators.norms.lanczos import probable_bound
from odl_learned.operators.tomography.projectors.stacked import is_stacked, plane_of
from odl_learned.validation import is_finite_number, require_count, require_positive

#: Norms that were computed, with their accuracies and risks.
_known: weakref.WeakKeyDictionary[odl.Operator, tuple] = weakref.WeakKeyDictionary()


def operator_norm(op: odl.Operator, rng: np.random.Generator | None = None, rtol: float = 1e-3,
                  maxiter: int = 2000, risk: float = 1e-6) -> float:  # fmt: skip
    r"""Return the norm of a linear operator in the inner products of its spaces.

    .. math:: |A| = \max_{x \ne 0} \frac{|A x|_Y}{|x|_X}.

    In closed form where `exact_norm` knows one. Otherwise an upper bound from the bidiagonalization
    of ``A`` with a random start, which is too small with a probability of at most ``risk``, and
    larger than the norm by a fraction of at most ``rtol``:

    .. math:: |A|^2 \le x, \qquad
              \prod_{i \le k} \frac{x - \theta_i}{a_i b_i}
              = \frac{1}{\text{risk}} \sqrt{\frac{2 n}{\pi}},

    with the coefficients ``a, b`` and the Ritz values ``theta`` after ``k`` steps, and the real
    dimension ``n`` of the domain (derived in ``operators/norms/lanczos.py``). A few hundred are
    enough for ``rtol=1e-3``, ten to seventy for ``1e-2``, whatever the operator. So a step size of
    ``1 / norm`` is safe.

    Parameters
    ----------
    op : linear odl.Operator
        Needs an adjoint, unless a closed form is known.
    rng : numpy.random.Generator, optional
        Source of the starting point. By default it is fixed and the norm is remembered with the
        operator, so that asking again costs nothing; the probability is then that of an operator
        which was built without regard to this start.
    rtol : float, optional
        Stop as soon as the bound is larger than a lower bound by at most this fraction.
    maxiter : int, optional
        Largest number of applications of ``A`` and of ``A*``; a warning says when it was reached.
        The value is an upper bound all the same, but not so close.
    risk : float, optional
        Probability that the value is smaller than the norm, between the precision of the spaces,
        1e-7 in single, and one.

    Returns
    -------
    norm : float

    Raises
    ------
    TypeError
        If the operator is not linear, or a space has no inner product that is a weighted sum.
    ValueError
        If a number is out of its bounds or the operator yields values that are not finite.
    NotImplementedError
        If the operator has no adjoint and no closed form is known.

    References
    ----------
    van Dorsselaer, J. L. M., Hochstenbach, M. E. and van der Vorst, H. A. Computing probabilistic
    bounds for extreme eigenvalues of symmetric matrices with the Lanczos method. SIAM J. Matrix
    Anal. Appl. 22 (2000), the bounds by Lanczos polynomials.

    Hochstenbach, M. E. Probabilistic upper bounds for the matrix two-norm. J. Sci. Comput. 57
    (2013).

    Kuczynski, J. and Wozniakowski, H. Estimating the largest eigenvalue by the power and Lanczos
    algorithms with a random start. SIAM J. Matrix Anal. Appl. 13 (1992), for the number of steps.
    """
    if not isinstance(op, odl.Operator) or not op.is_linear:
        raise TypeError(
            f"op is {op!r}; expected a linear odl.Operator. A nonlinear one is linearized by "
            "op.derivative(x); a torch module becomes one by bridge.as_operator."
        )
    require_positive("rtol", rtol)
    require_count("maxiter", maxiter)
    if not (is_finite_number(risk) and 0 < risk < 1):
        raise ValueError(f"risk is {risk!r}; expected a probability between 0 and 1, such as 1e-6.")
    if isinstance(op, (odl.OperatorLeftScalarMult, odl.OperatorRightScalarMult)):
        return float(abs(op.scalar)) * operator_norm(op.operator, rng, rtol, maxiter, risk)
    known_rtol, known_risk, norm = _known.get(op, (math.inf, 1.0, math.inf))
    if rng is None and known_rtol <= rtol and known_risk <= risk:
        return norm
    if is_stacked(op):  # the same matrix in every slice
        return operator_norm(plane_of(op), rng, rtol, maxiter, risk)
    norm = exact_norm(op)
    if norm is not None:
        return _remembered(op, 0.0, 0.0, norm)
    rng_of_start = np.random.default_rng(0) if rng is None else rng
    norm = probable_bound(op, _adjoint(op), rng_of_start, rtol, risk, maxiter)
    return _remembered(op, rtol, risk, norm) if rng is None else norm


def normalized(op: odl.Operator) -> odl.Operator:
    r"""Return ``op`` divided by its norm, as an ODL expression.

    .. math:: \frac{1}{|A|} A

    Parameters
    ----------
    op : linear odl.Operator
        Must not be zero.

    Raises
    ------
    ValueError
        If the norm is zero.
    """
    norm = operator_norm(op)
    if norm == 0:
        raise ValueError("op is the zero operator; expected one that can be scaled to norm one.")
    return (1 / norm) * op


def _adjoint(op):
    try:
        return op.adjoint
    except NotImplementedError as error:
        raise NotImplementedError(
            f"{type(op).__name__} has no adjoint, expected one to bound its norm; implement the "
            "property adjoint, or register its norm with operators.exact_norm.register."
        ) from error


def _remembered(op, rtol, risk, norm):
    if not math.isfinite(norm):
        raise ValueError(
            "op or its adjoint yields values that are not finite; apply both to random "
            "elements and look for NaN."
        )
    _known[op] = rtol, risk, float(norm)
    return float(norm)
