"""Operator norms: closed forms where they are known, power iteration with a residual elsewhere."""

import functools
import math
import warnings
import weakref

import numpy as np
import odl

from odl_learned.odl_validation import require_array_space
from odl_learned.operators.fourier import SampledFourier, SampledFourierAdjoint
from odl_learned.operators.fourier_multiplier import FourierMultiplier
from odl_learned.operators.group import QuarterTurn, Reflection
from odl_learned.operators.motions import Rotation, RotoTranslation
from odl_learned.operators.multicoil import MultiCoilFourier, MultiCoilFourierAdjoint
from odl_learned.validation import require_positive, require_rng
from odl_learned.weights import has_constant_weight

_known = weakref.WeakKeyDictionary()


def operator_norm(op, rng=None, rtol=1e-3, maxiter=2000):
    r"""Return the norm of a linear operator in the inner products of its spaces.

    .. math:: |A| = \max_{x \ne 0} \frac{|A x|_Y}{|x|_X}.

    In closed form where `exact_norm` knows one, otherwise by power iteration on ``A* A``. With
    ``|x| = 1``, ``rho = <x, A* A x>`` and ``r = |A* A x - rho x|``, the value returned is
    ``sqrt(rho + r)``, an estimate from above: it is never smaller than what power iteration gives.

    Parameters
    ----------
    op : linear odl.Operator
        Needs an adjoint, unless a closed form is known.
    rng : numpy.random.Generator, optional
        Source of the starting point. By default it is fixed and the norm is remembered with the
        operator, so that asking again costs nothing.
    rtol : float, optional
        Stop as soon as ``sqrt(rho + r) <= (1 + rtol) sqrt(rho)``.
    maxiter : int, optional
        Largest number of applications of ``A* A``; a warning says when it was reached.

    Returns
    -------
    norm : float

    Raises
    ------
    TypeError
        If the operator is not linear.
    ValueError
        If the tolerance is not positive or the operator yields values that are not finite.
    NotImplementedError
        If the operator has no adjoint and no closed form is known.
    """
    if not isinstance(op, odl.Operator) or not op.is_linear:
        raise TypeError(
            f"op is {op!r}; expected a linear odl.Operator. A nonlinear one is linearized by "
            "op.derivative(x); a torch module becomes one by bridge.as_operator."
        )
    require_positive("rtol", rtol)
    known_rtol, norm = _known.get(op, (math.inf, None))
    if rng is None and known_rtol <= rtol:
        return norm
    norm = exact_norm(op)
    if norm is not None:
        _require_finite_values(norm)
        _known[op] = (0.0, float(norm))
        return float(norm)
    norm = _power_iteration(op, np.random.default_rng(0) if rng is None else rng, rtol, maxiter)
    if rng is None:
        _known[op] = (rtol, norm)
    return norm


def normalized(op):
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


def random_element(space, rng):
    """Return an element with independent standard normal entries, complex if the space is.

    Parameters
    ----------
    space : odl space on numpy, or a product of such spaces
    rng : numpy.random.Generator

    Raises
    ------
    TypeError
        If this is no space of arrays of real or complex numbers, or no such generator.
    """
    require_rng(rng)
    if isinstance(space, odl.ProductSpace):
        return space.element([random_element(part, rng) for part in space])
    require_array_space("space", space)
    values = rng.standard_normal(space.shape)
    if np.issubdtype(space.dtype, np.complexfloating):
        values = values + 1j * rng.standard_normal(space.shape)
    return space.element(values.astype(space.dtype))


# For the selfadjoint B = A* A, |x| = 1 and rho = <x, B x>, expanding x in eigenvectors gives
#     |B x - rho x|^2 = sum_k c_k^2 (lambda_k - rho)^2 >= min_k (lambda_k - rho)^2,
# so that some eigenvalue lies within r = |B x - rho x| of rho. It is the largest one once x has
# turned towards its eigenspace, and then rho <= |A|^2 <= rho + r. The residual falls like 1/k even
# where the top of the spectrum is crowded, long before x converges.
def _power_iteration(op, rng, rtol, maxiter):
    try:
        adjoint = op.adjoint
    except NotImplementedError as error:
        raise NotImplementedError(
            f"{type(op).__name__} has no adjoint, expected one for power iteration; implement the "
            "property adjoint, or register its norm with operators.exact_norm.register."
        ) from error
    x = random_element(op.domain, rng)
    x = float(1 / x.norm()) * x
    for _ in range(maxiter):
        image = adjoint(op(x))
        rho = float(np.real(image.inner(x)))
        norm = float(image.norm())
        _require_finite_values(rho, norm)
        if norm == 0:
            return 0.0
        residual = float((image - rho * x).norm())
        if math.sqrt(max(rho, 0) + residual) <= (1 + rtol) * math.sqrt(max(rho, 0)):
            break
        x = float(1 / norm) * image
    else:
        warnings.warn(
            f"operator_norm stopped after {maxiter} iterations with an uncertainty of "
            f"{residual / rho:.1e} in the squared norm, expected {2 * rtol:.1e}; pass a larger "
            "maxiter or rtol, or check the adjoint.",
            RuntimeWarning,
            stacklevel=3,
        )
    return math.sqrt(max(rho, 0) + residual)


def _require_finite_values(*values):
    if not all(map(math.isfinite, values)):
        raise ValueError(
            "op or its adjoint yields values that are not finite; apply both to random "
            "elements and look for NaN."
        )


@functools.singledispatch
def exact_norm(op):
    """Return the norm of a linear operator in closed form, or None where none is known.

    A `functools.singledispatch` function: register a rule for an operator class of your own.

    Parameters
    ----------
    op : linear odl.Operator
    """
    return None


@exact_norm.register
def _(op: odl.OperatorLeftScalarMult):
    return abs(op.scalar) * operator_norm(op.operator)


@exact_norm.register
def _(op: odl.OperatorRightScalarMult):
    return abs(op.scalar) * operator_norm(op.operator)


@exact_norm.register
def _(op: odl.ScalingOperator):
    return abs(op.scalar)


@exact_norm.register
def _(op: odl.ZeroOperator):
    return 0.0


@exact_norm.register
def _(op: odl.MultiplyOperator):
    if op.domain != op.range or isinstance(op.domain, odl.core.set.Field):
        return None
    factor = op.multiplicand
    if isinstance(op.domain, odl.ProductSpace):
        return abs(factor) if np.isscalar(factor) else None
    return float(np.max(np.abs(factor.data if hasattr(factor, "data") else factor)))


@exact_norm.register(QuarterTurn)
@exact_norm.register(Reflection)
@exact_norm.register(Rotation)
@exact_norm.register(RotoTranslation)
def _unitary(op):
    return 1.0


@exact_norm.register
def _(op: FourierMultiplier):
    return float(np.max(np.abs(op.multiplier)))


@exact_norm.register
def _(op: SampledFourier):
    return float(np.max(np.abs(op.weights))) * math.sqrt(op.weight_ratio)


@exact_norm.register
def _(op: SampledFourierAdjoint):
    return exact_norm(op.forward_op)


@exact_norm.register
def _(op: MultiCoilFourier):
    # F is unitary: for S = c I, A* A is the multiplication by (w_Y / w_X) c^2 sum_c |s_c|^2.
    if np.ptp(np.abs(op.weights)) > 0:
        return None
    total = np.sum(np.abs(op.sensitivities) ** 2, axis=0, dtype=np.float64)
    return float(np.abs(op.weights).max()) * math.sqrt(op.weight_ratio * float(total.max()))


@exact_norm.register
def _(op: MultiCoilFourierAdjoint):
    return exact_norm(op.forward_op)


@exact_norm.register
def _(op: odl.Gradient):
    # With D the n x n Neumann difference, D^T D has the eigenvalues (2/h sin(pi k / (2 n)))^2,
    # k < n, and cosines as eigenvectors; these multiply up to joint eigenvectors over all axes.
    space = op.domain
    one_sided = op.method in ("forward", "backward") and op.pad_mode == "symmetric"
    if not (one_sided and has_constant_weight(space)) or op.range != space**space.ndim:
        return None
    largest = [
        2 / h * math.sin(math.pi * (n - 1) / (2 * n))
        for n, h in zip(space.shape, space.cell_sides, strict=True)
    ]
    return math.hypot(*largest)
