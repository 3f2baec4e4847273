"""Tikhonov, squared gradients, total variation, and fields of experts."""

import math

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.functionals import GroupL1Norm, L2NormSquared, SeparableSum, ZeroFunctional

from odl_learned.functionals import weighted_l1
from odl_learned.operators import FilterBank, gradient, operator_norm
from odl_learned.validation import require_positive
from odl_learned.variational.data_term import data_term
from odl_learned.variational.problem import Problem


def tikhonov_problem(
    forward_op: odl.Operator,
    fidelity: odl.functionals.Functional,
    alpha: float,
    constraint: odl.functionals.Functional | None = None,
) -> Problem:
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
        Regularization parameter, positive. Rules that find it: `variational.parameter_choice`.
    constraint : odl.functionals.Functional, optional
        Indicator of ``C`` on X with a finite conjugate: `BoxConstraint`, `MagnitudeBound`.

    Returns
    -------
    problem : Problem

    Raises
    ------
    TypeError, ValueError
        If spaces do not match, the operator is not linear or zero, or a parameter not positive.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, solvers, variational
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> problem = variational.tikhonov_problem(
    ...     odl.IdentityOperator(X), functionals.l2_fidelity(X.one()), alpha=1.0)
    >>> solution = solvers.primal_dual(problem, accuracy=1e-6)
    >>> print(f"{solution.x.data[0, 0]:.3f}")  # 1 / (1 + alpha)
    0.500
    """
    term = data_term(forward_op, fidelity, constraint)
    A, D = term.operator, term.fidelity
    require_positive("alpha", alpha)
    balance = 1 / math.sqrt(alpha * term.curvature)
    squared = (float(alpha) / 2) * L2NormSquared(forward_op.domain)
    convexity = float(alpha) + term.strong_convexity
    if constraint is None:
        f, g, L = squared, D, A
    else:
        f, g = constraint, SeparableSum(D, squared)
        L = odl.BroadcastOperator(A, odl.IdentityOperator(forward_op.domain))
    return Problem(f, g, L, balance=balance, strong_convexity=convexity)


def h1_problem(
    forward_op: odl.Operator,
    fidelity: odl.functionals.Functional,
    alpha: float,
    constraint: odl.functionals.Functional | None = None,
) -> Problem:
    r"""Return the problem of squared gradients.

    .. math:: \min_{u \in C} D(A u) + \frac{\alpha}{2} \int |\nabla u|^2 .

    Parameters and errors as for `tikhonov_problem`; ``A`` acts on a ``uniform_discr`` space.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, solvers, variational
    >>> X = odl.uniform_discr([0, 0], [16, 16], (16, 16))
    >>> y, identity = odl.phantom.shepp_logan(X, modified=True), odl.IdentityOperator(X)
    >>> problem = variational.h1_problem(identity, functionals.l2_fidelity(y), alpha=0.5)
    >>> solution = solvers.primal_dual(problem, accuracy=1e-4)
    >>> smooth = functionals.H1Seminorm(X).proximal(0.5)(y)  # the same in closed form
    >>> print((solution.x - smooth).norm() < 0.02 * smooth.norm())
    True
    """
    term = data_term(forward_op, fidelity, constraint)
    A, D = term.operator, term.fidelity
    require_positive("alpha", alpha)
    grad = gradient(forward_op.domain)
    norm = operator_norm(grad) or 1.0  # zero where there is one point only
    balance = 0.3 / (alpha * norm**2)
    squared = (float(alpha) * norm**2 / 2) * L2NormSquared(grad.range)
    if term.is_denoising and constraint is None:
        f, g, L = D, squared, (1 / norm) * grad
    else:
        f = constraint or ZeroFunctional(forward_op.domain)
        g = SeparableSum(D, squared)
        L = odl.BroadcastOperator(A, (1 / norm) * grad)
    return Problem(f, g, L, balance=balance, strong_convexity=term.strong_convexity)


def tv_problem(
    forward_op: odl.Operator,
    fidelity: odl.functionals.Functional,
    alpha: float,
    constraint: odl.functionals.Functional | None = None,
) -> Problem:
    r"""Return the problem of total variation.

    .. math:: \min_{u \in C} D(A u) + \alpha \int |\nabla u|_2 .

    Parameters and errors as for `tikhonov_problem`; ``A`` acts on a ``uniform_discr`` space.

    References
    ----------
    Rudin, L., Osher, S. and Fatemi, E. Nonlinear total variation based noise removal algorithms.
    Physica D 60 (1992).
    """
    term = data_term(forward_op, fidelity, constraint)
    A, D = term.operator, term.fidelity
    require_positive("alpha", alpha)
    grad = gradient(forward_op.domain)
    norm = operator_norm(grad) or 1.0  # zero where there is one point only
    radius = float(alpha) * norm
    length, row = radius * GroupL1Norm(grad.range), (1 / norm) * grad
    free = ZeroFunctional(grad.range)
    balance = term.balance(radius)
    if term.is_denoising and constraint is None:
        return Problem(D, length, row, g_conj=free, radii=((None, radius),),
                       balance=balance, strong_convexity=term.strong_convexity)  # fmt: skip
    return Problem(
        constraint or ZeroFunctional(forward_op.domain),
        SeparableSum(D, length),
        odl.BroadcastOperator(A, row),
        g_conj=SeparableSum(D.convex_conj, free),
        radii=((1, radius),),
        balance=balance,
        strong_convexity=term.strong_convexity,
    )


def experts_problem(
    forward_op: odl.Operator,
    fidelity: odl.functionals.Functional,
    filters: ArrayLike,
    alphas: ArrayLike,
    constraint: odl.functionals.Functional | None = None,
) -> Problem:
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
    term = data_term(forward_op, fidelity, constraint)
    A, D = term.operator, term.fidelity
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
    balance = term.balance(math.hypot(*radii))
    if term.is_denoising and constraint is None:
        return Problem(D, lengths, row, g_conj=free, balance=balance,
                       radii=tuple(((None, k), r) for k, r in enumerate(radii)),
                       strong_convexity=term.strong_convexity)  # fmt: skip
    return Problem(
        constraint or ZeroFunctional(forward_op.domain),
        SeparableSum(D, lengths),
        odl.BroadcastOperator(A, row),
        g_conj=SeparableSum(D.convex_conj, free),
        radii=tuple(((1, k), radius) for k, radius in enumerate(radii)),
        balance=balance,
        strong_convexity=term.strong_convexity,
    )
