r"""Variational regularization as problems for ODL's primal-dual solver, with duality gaps.

All problems have the form ``min_x f(x) + g(L x)`` and unpack as ``f, g, L = problem``::

    problem = tv_problem(forward_op, l2_fidelity(data), alpha, BoxConstraint(space, 0, 1))
    f, g, L = problem
    tau, sigma = problem.step_sizes()
    x, y = L.domain.zero(), L.range.zero()
    odl.solvers.pdhg(x, f, g, L, niter=300, tau=tau, sigma=sigma, y=y)
    problem.gap(x, y)

Rows of ``L`` are scaled to norm one, and the functionals in ``g`` undo it:
``g_i(n_i z)`` takes the place of ``g_i(z)`` where ``L_i / n_i`` takes that of ``L_i``. The values
and minimizers are those of the problem as written; pdhg then takes blockwise steps (Pock, T. and
Chambolle, A. Diagonal preconditioning for first order primal-dual algorithms. ICCV 2011).
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import odl
from odl.functionals import Functional, GroupL1Norm, L2NormSquared, SeparableSum, ZeroFunctional

from odl_learned.functionals import precise_value
from odl_learned.operators import SymmetrizedGradient, gradient, operator_norm
from odl_learned.validation import require_positive


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    r"""A convex problem ``min_x f(x) + g(L x)`` that can measure how far from solved it is.

    Parameters
    ----------
    f : odl.functionals.Functional
        On ``L.domain``, with a proximal.
    g : odl.functionals.Functional
        On ``L.range``, whose convex conjugate has a proximal.
    L : linear odl.Operator
    dual_value : callable
        Maps a dual variable in ``L.range`` to a lower bound of the minimum.
    balance : float
        Natural ratio of primal and dual steps, see `step_sizes`.
    """

    f: Functional
    g: Functional
    L: odl.Operator
    dual_value: Callable
    balance: float = 1.0

    def __iter__(self):
        return iter((self.f, self.g, self.L))

    def value(self, x):
        """Return ``f(x) + g(L x)`` as a float; ``x`` is an element of ``L.domain``."""
        _require_element("x", x, self.L, "domain")
        return precise_value(self.f, x) + precise_value(self.g, self.L(x))

    def gap(self, x, y):
        r"""Return the duality gap, an upper bound of the distance of ``value(x)`` to the minimum.

        .. math:: \text{gap}(x, y) = \text{value}(x) - \text{dual\_value}(y)
                  \ge \text{value}(x) - \min .

        Sums are in double precision, so that it holds up to the rounding of ``L`` and its adjoint.
        Infinite where ``x`` violates the constraint, or where the problem has no constraint: then
        a dual variable is feasible only if ``L* y = 0`` exactly (`tikhonov_problem` excepted).

        Parameters
        ----------
        x : element of ``L.domain``
        y : element of ``L.range``
            Dual variable, as updated in place by ``odl.solvers.pdhg(..., y=y)``. Any will do.
        """
        _require_element("y", y, self.L, "range")
        value = self.value(x)
        return math.inf if value == math.inf else value - self.dual_value(y)

    def step_sizes(self, ratio=1.0):
        r"""Return step sizes for pdhg as Python floats.

        .. math:: \tau \sigma |L|^2 = 0.99, \qquad \tau / \sigma = (\text{ratio} \cdot b)^2,

        where ``b`` is the attribute ``balance``, an estimate of the size of the solution over that
        of its dual variable, which the bound of pdhg asks for. It makes the iterates independent
        of the units of image, data and length. A larger ratio moves the image faster.

        Parameters
        ----------
        ratio : float, optional
            Positive.

        Returns
        -------
        tau, sigma : float
        """
        require_positive("ratio", ratio)
        step = math.sqrt(0.99) / operator_norm(self.L, rtol=1e-2)
        return ratio * self.balance * step, step / (ratio * self.balance)


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
    if constraint is None:
        f, g, L = squared, D, A
    else:
        f, g = constraint, SeparableSum(D, squared)
        L = odl.BroadcastOperator(A, odl.IdentityOperator(forward_op.domain))
    return Problem(f, g, L, _fenchel_dual(f, g, L), balance)


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
    f = constraint or ZeroFunctional(forward_op.domain)
    g = SeparableSum(D, (float(alpha) * norm**2 / 2) * L2NormSquared(grad.range))
    L = odl.BroadcastOperator(A, (1 / norm) * grad)
    return Problem(f, g, L, _fenchel_dual(f, g, L), balance)


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
    f = constraint or ZeroFunctional(forward_op.domain)
    g = SeparableSum(D, radius * GroupL1Norm(grad.range))
    L = odl.BroadcastOperator(A, (1 / norm) * grad)
    f_conj, d_conj, adjoint = f.convex_conj, D.convex_conj, L.adjoint

    def dual_value(y):
        shrink = _feasible_factor((y[1], radius))
        return -precise_value(f_conj, -shrink * adjoint(y)) - precise_value(d_conj, shrink * y[0])

    return Problem(f, g, L, dual_value, _balance(A, D, curvature, radius))


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
    L = odl.ProductSpaceOperator([[A, 0], [row_u, coupling], [0, row_v]])
    constraint = constraint or ZeroFunctional(space)
    f = SeparableSum(constraint, ZeroFunctional(grad.range))
    g = SeparableSum(D, radius_u * GroupL1Norm(grad.range), radius_v * GroupL1Norm(sym.range))
    f_conj, d_conj = constraint.convex_conj, D.convex_conj

    def dual_value(y):
        p, _, r = y
        q = (norm_u / scale) * row_v.adjoint(r)
        shrink = _feasible_factor((q, radius_u), (r, radius_v))
        z = A.adjoint(p) + row_u.adjoint(q)
        return -precise_value(f_conj, -shrink * z) - precise_value(d_conj, shrink * p)

    return Problem(f, g, L, dual_value, _balance(A, D, curvature, radius_u))


def _require_element(name, element, op, side):
    if element not in getattr(op, side):
        raise TypeError(
            f"{name} is not an element of L.{side}, {getattr(op, side)!r}; start from "
            f"L.{side}.zero(), or pass L.{side}.element(...)."
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


def _fenchel_dual(f, g, L):
    """Return the dual value of a problem whose conjugates are finite wherever ``f*`` is."""
    f_conj, g_conj, adjoint = f.convex_conj, g.convex_conj, L.adjoint
    return lambda y: -precise_value(f_conj, -1 * adjoint(y)) - precise_value(g_conj, y)


def _feasible_factor(*fields_and_radii):
    """Return the largest factor up to one that brings all pointwise lengths below their radii."""
    factor = 1.0
    for field, radius in fields_and_radii:
        squares = sum(np.abs(part.data).astype(np.float64) ** 2 for part in field)
        largest = math.sqrt(squares.max())
        if largest > radius:
            factor = min(factor, radius / largest)
    return factor
