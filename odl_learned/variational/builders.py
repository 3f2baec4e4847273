"""Tikhonov, squared gradients, total variation, its generalization, and fields of experts."""

import math

import numpy as np
import odl
from odl.functionals import Functional, GroupL1Norm, L2NormSquared, SeparableSum, ZeroFunctional

from odl_learned.functionals import weighted_l1
from odl_learned.operators import FilterBank, SymmetrizedGradient, gradient, operator_norm
from odl_learned.validation import require_positive
from odl_learned.variational.problem import Problem


def tikhonov_problem(forward_op, fidelity, alpha, constraint=None):
    r"""Return Tikhonov's problem.

    .. math:: \min_{x \in C} D(A x) + \frac{\alpha}{2} |x|^2 .

    ``L = A`` without a constraint, ``L = (A, I)`` with one, up to scaling.

    Parameters
    ----------
    forward_op : linear odl.Operator
        ``A`` from X to Y.
    fidelity : odl.functionals.Functional
        ``D`` on Y, with value, proximal and a convex conjugate that can be evaluated, for example
        ``l2_fidelity(data)``.
    alpha : float
        Regularization parameter, positive.
    constraint : odl.functionals.Functional, optional
        Indicator of ``C`` on X with a finite conjugate: `BoxConstraint`, `MagnitudeBound`.

    Returns
    -------
    problem : Problem

    Raises
    ------
    TypeError, ValueError
        If spaces do not match, the operator is not linear or zero, or a parameter not positive.
    """
    A, D, curvature = _data_term(forward_op, fidelity, constraint)
    require_positive("alpha", alpha)
    balance = 1 / math.sqrt(alpha * curvature)
    squared = (float(alpha) / 2) * L2NormSquared(forward_op.domain)
    convexity = float(alpha) + (_convexity(D) if _is_identity(A) else 0.0)
    if constraint is None:
        f, g, L = squared, D, A
    else:
        f, g = constraint, SeparableSum(D, squared)
        L = odl.BroadcastOperator(A, odl.IdentityOperator(forward_op.domain))
    return Problem(f, g, L, balance=balance, strong_convexity=convexity)


def h1_problem(forward_op, fidelity, alpha, constraint=None):
    r"""Return the problem of squared gradients.

    .. math:: \min_{u \in C} D(A u) + \frac{\alpha}{2} \int |\nabla u|^2 .

    Parameters and errors as for `tikhonov_problem`; ``A`` acts on a ``uniform_discr`` space.
    """
    A, D, _ = _data_term(forward_op, fidelity, constraint)
    require_positive("alpha", alpha)
    grad = gradient(forward_op.domain)
    norm = operator_norm(grad)
    balance = 0.3 / (alpha * norm**2)
    squared = (float(alpha) * norm**2 / 2) * L2NormSquared(grad.range)
    convexity = _convexity(D) if _is_identity(A) else 0.0
    if convexity and constraint is None:
        f, g, L = D, squared, (1 / norm) * grad
    else:
        f = constraint or ZeroFunctional(forward_op.domain)
        g = SeparableSum(D, squared)
        L = odl.BroadcastOperator(A, (1 / norm) * grad)
    return Problem(f, g, L, balance=balance, strong_convexity=convexity)


def tv_problem(forward_op, fidelity, alpha, constraint=None):
    r"""Return the problem of total variation.

    .. math:: \min_{u \in C} D(A u) + \alpha \int |\nabla u|_2 .

    Parameters and errors as for `tikhonov_problem`; ``A`` acts on a ``uniform_discr`` space.

    References
    ----------
    Rudin, L., Osher, S. and Fatemi, E. Nonlinear total variation based noise removal algorithms.
    Physica D 60 (1992).
    """
    A, D, curvature = _data_term(forward_op, fidelity, constraint)
    require_positive("alpha", alpha)
    grad = gradient(forward_op.domain)
    norm = operator_norm(grad)
    radius = float(alpha) * norm
    length, row = radius * GroupL1Norm(grad.range), (1 / norm) * grad
    free = ZeroFunctional(grad.range)
    balance = _balance(A, D, curvature, radius)
    convexity = _convexity(D) if _is_identity(A) else 0.0
    if convexity and constraint is None:
        return Problem(D, length, row, g_conj=free, radii=((None, radius),),
                       balance=balance, strong_convexity=convexity)  # fmt: skip
    return Problem(
        constraint or ZeroFunctional(forward_op.domain),
        SeparableSum(D, length),
        odl.BroadcastOperator(A, row),
        g_conj=SeparableSum(D.convex_conj, free),
        radii=((1, radius),),
        balance=balance,
        strong_convexity=convexity,
    )


# The dual of  min_(u,v) f(u) + D(A u) + alpha |grad u - v| + alpha beta |E v|  is to maximize
#     -f*(-(A* p + grad* q)) - D*(p)
# over  |q| <= alpha,  |r| <= alpha beta  pointwise and  q = E* r,  the stationarity in v. Iterates
# of pdhg satisfy the last equation only in the limit. So r is kept, q := E* r is computed, and
# (p, q, r) are all multiplied by the largest factor up to one that makes q and r feasible; that
# keeps A* p + grad* q as small as it was.
def tgv_problem(forward_op, fidelity, alpha, beta, constraint=None):
    r"""Return the problem of total generalized variation of second order.

    .. math:: \min_{u \in C, v} D(A u) + \alpha \int |\nabla u - v|_2
              + \alpha \beta \int |E v|_2,

    with the symmetrized gradient ``E``. The unknown is ``x = (u, w)`` in ``X x X^d``, where
    ``v = s w`` with ``s = |grad| / 6`` is measured in the units of ``u`` divided by a pixel: the
    same problem, but ``L`` is then well balanced whatever the unit of length. (Without it, pdhg
    hardly moves ``v`` on a fine grid. The factor was the best of several in experiments.)

    Parameters
    ----------
    forward_op, fidelity, alpha, constraint
        As for `tikhonov_problem`; ``A`` acts on a ``uniform_discr`` space.
    beta : float
        Ratio of the two weights, positive, in units of length; usually one to a few pixels.

    Returns
    -------
    problem : Problem
        Its variables: ``x[0]`` is the image, ``x[1]`` the field ``w``.

    References
    ----------
    Bredies, K., Kunisch, K. and Pock, T. Total Generalized Variation. SIAM J. Imaging Sci. 3
    (2010).
    """
    A, D, curvature = _data_term(forward_op, fidelity, constraint)
    require_positive("alpha", alpha)
    require_positive("beta", beta)
    space = forward_op.domain
    grad = gradient(space)
    sym = SymmetrizedGradient(grad.range)
    scale = operator_norm(grad) / 6
    norm_u = math.hypot(operator_norm(grad), scale)
    # |E v|^2 <= sum_ij |d_i v_j|^2 <= |grad|^2 |v|^2
    norm_v = scale * operator_norm(grad)
    radius_u, radius_v = float(alpha) * norm_u, float(alpha * beta) * norm_v

    row_u, row_v = (1 / norm_u) * grad, (scale / norm_v) * sym
    coupling = (-scale / norm_u) * odl.IdentityOperator(grad.range)
    # q := E* r in the units of the rows
    bound = (norm_u / scale) * row_v.adjoint
    balance, free = _balance(A, D, curvature, radius_u), ZeroFunctional(grad.range)
    lengths = radius_u * GroupL1Norm(grad.range), radius_v * GroupL1Norm(sym.range)
    no_lengths = free, ZeroFunctional(sym.range)
    same = [odl.IdentityOperator(part) for part in (forward_op.range, sym.range)]
    if constraint is None and _is_identity(A) and _convexity(D):
        return Problem(
            SeparableSum(D, free),
            SeparableSum(*lengths),
            odl.ProductSpaceOperator([[row_u, coupling], [0, row_v]]),
            SeparableSum(D.convex_conj, free),
            SeparableSum(*no_lengths),
            odl.ProductSpaceOperator([[0, bound], [0, same[1]]], *[grad.range * sym.range] * 2),
            ((0, radius_u), (1, radius_v)),
            balance,
        )
    constraint = constraint or ZeroFunctional(space)
    L = odl.ProductSpaceOperator([[A, 0], [row_u, coupling], [0, row_v]])
    return Problem(
        SeparableSum(constraint, free),
        SeparableSum(D, *lengths),
        L,
        SeparableSum(constraint.convex_conj, free),
        SeparableSum(D.convex_conj, *no_lengths),
        odl.ProductSpaceOperator([[same[0], 0, 0], [0, 0, bound], [0, 0, same[1]]],
                                 L.range, L.range),
        ((1, radius_u), (2, radius_v)),
        balance,
    )


def experts_problem(forward_op, fidelity, filters, alphas, constraint=None):
    r"""Return the problem of a nonsmooth field of experts.

    .. math:: \min_{u \in C} D(A u) + \sum_k \alpha_k \int |f_k * u| .

    The filters act on pixels, with the image reflected at its boundary, see
    `operators.FilterBank`. Differences of neighbors give anisotropic total variation; smoothed, the
    regularizer is `functionals.FieldsOfExperts`.

    Parameters
    ----------
    forward_op, fidelity, constraint
        As for `tikhonov_problem`.
    filters : array of real numbers, shape ``(K, s_1, ..., s_d)``
        ``f_k``, as for `operators.FilterBank`.
    alphas : array of real numbers, shape ``(K,)``
        Regularization parameters, nonnegative and not all zero. Filters with the parameter zero
        are left out.

    Returns
    -------
    problem : Problem

    Raises
    ------
    TypeError, ValueError
        As `tikhonov_problem`, or if shapes do not fit.

    References
    ----------
    S. Roth, M. J. Black, *Fields of experts*, Int. J. Comput. Vis. 82 (2009).
    """
    A, D, curvature = _data_term(forward_op, fidelity, constraint)
    bank = FilterBank(forward_op.domain, filters)
    weighted_l1(bank.range, alphas)
    kept = np.asarray(alphas) > 0
    if not kept.any():
        raise ValueError(
            "alphas are all zero; expected a positive one, since nothing is regularized otherwise. "
            "Unregularized least squares are solved by solvers.lsqr."
        )
    bank = FilterBank(forward_op.domain, np.asarray(filters)[kept])
    norm = operator_norm(bank)
    if norm == 0:
        raise ValueError("filters are all zero; expected one that is not, with a positive alpha.")
    radii = (np.asarray(alphas, dtype=float)[kept] * norm).tolist()
    # Multiples, whose factors may differ from sample to sample in a batch.
    ones = weighted_l1(bank.range, np.ones(len(radii)))
    lengths = SeparableSum(*(radius * one for radius, one in zip(radii, ones.functionals)))
    row, free = (1 / norm) * bank, ZeroFunctional(bank.range)
    balance = _balance(A, D, curvature, math.hypot(*radii))
    convexity = _convexity(D) if _is_identity(A) else 0.0
    if convexity and constraint is None:
        return Problem(D, lengths, row, g_conj=free, balance=balance, strong_convexity=convexity,
                       radii=tuple(((None, k), r) for k, r in enumerate(radii)))  # fmt: skip
    return Problem(
        constraint or ZeroFunctional(forward_op.domain),
        SeparableSum(D, lengths),
        odl.BroadcastOperator(A, row),
        g_conj=SeparableSum(D.convex_conj, free),
        radii=tuple(((1, k), radius) for k, radius in enumerate(radii)),
        balance=balance,
        strong_convexity=convexity,
    )


def _data_term(forward_op, fidelity, constraint):
    """Check all spaces; return ``A / |A|``, ``D(|A| .)`` and the curvature of ``D(A x)``."""
    if not isinstance(forward_op, odl.Operator) or not forward_op.is_linear:
        raise TypeError(
            f"forward_op is {forward_op!r}; expected a linear odl.Operator. A nonlinear one is "
            "linearized by forward_op.derivative(x); a torch module becomes one by "
            "bridge.as_operator."
        )
    for name, functional, space, where in (
        ("fidelity", fidelity, forward_op.range, "range"),
        ("constraint", constraint, forward_op.domain, "domain"),
    ):
        if functional is None and name == "constraint":
            continue
        if not isinstance(functional, Functional):
            raise TypeError(
                f"{name} is {functional!r}; expected a functional on forward_op.{where}, such as "
                "l2_fidelity(data) or BoxConstraint(space, 0, 1)."
            )
        if functional.domain != space:
            raise ValueError(
                f"{name} lives on {functional.domain!r}, expected {space!r}, the {where} of "
                f"forward_op; build it on forward_op.{where}."
            )
    norm = operator_norm(forward_op)
    if norm == 0:
        raise ValueError("forward_op is the zero operator; expected one that measures something.")
    curvature = fidelity.grad_lipschitz * norm**2
    if not (math.isfinite(curvature) and curvature > 0):
        curvature = norm**2
    if norm == 1:
        return forward_op, fidelity, curvature
    return (1 / norm) * forward_op, fidelity * norm, curvature


# The bound of pdhg after k steps, (|x* - x_0|^2 / tau + |y* - y_0|^2 / sigma) / 2k, is least for
# tau / sigma = (|x* - x_0| / |y* - y_0|)^2. From zero, |x*| is about that of the first step of
# gradient descent, |A* grad D(0)| / curvature, and |y*| is a fraction of its largest value
# radius * sqrt(volume). The fraction 1 / 0.15 fitted denoising, tomography and magnetic resonance,
# weakly and strongly regularized, within a factor of two.
def _balance(A, D, curvature, radius):
    """Return the ratio of primal and dual steps for a regularizer with dual ball of a radius."""
    if not math.isfinite(D.grad_lipschitz):
        return 1 / curvature
    size = float(A.adjoint(D.gradient(A.range.zero())).norm()) / curvature
    size /= radius * float(A.domain.one().norm())
    return 0.15 * size if math.isfinite(size) and size > 0 else 1 / curvature


def _is_identity(A):
    """Whether an operator, already divided by its norm, is the identity."""
    if isinstance(A, odl.ScalingOperator):
        return A.domain == A.range and A.scalar == 1
    if isinstance(A, odl.OperatorLeftScalarMult):
        return isinstance(A.operator, odl.ScalingOperator) and (
            abs(A.scalar * A.operator.scalar - 1) <= 1e-15
        )
    return False


def _convexity(functional):
    """Return the constant of strong convexity of a functional, zero where none is known."""
    if isinstance(functional, L2NormSquared):
        return 2.0
    if isinstance(functional, odl.functionals.FunctionalLeftScalarMult):
        return float(np.real(functional.scalar)) * _convexity(functional.functional)
    if isinstance(functional, odl.functionals.FunctionalRightScalarMult):
        return abs(functional.scalar) ** 2 * _convexity(functional.functional)
    if isinstance(functional, odl.functionals.FunctionalTranslation):
        return _convexity(functional.functional)
    if isinstance(functional, odl.functionals.FunctionalQuadraticPerturb):
        return _convexity(functional.functional) + 2 * float(functional.quadratic_coeff)
    return float(getattr(functional, "strong_convexity", 0.0))
