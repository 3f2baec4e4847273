"""Total generalized variation as a problem in the image and a field."""

import math

import odl
from odl.functionals import GroupL1Norm, SeparableSum, ZeroFunctional

from odl_learned.operators import SymmetrizedGradient, gradient, operator_norm
from odl_learned.validation import require_positive
from odl_learned.variational.data_term import data_term
from odl_learned.variational.problem import Problem


# The dual of  min_(u,v) f(u) + D(A u) + alpha |grad u - v| + alpha beta |E v|  is to maximize
#     -f*(-(A* p + grad* q)) - D*(p)
# over  |q| <= alpha,  |r| <= alpha beta  pointwise and  q = E* r,  the stationarity in v. Iterates
# of pdhg satisfy the last equation only in the limit. So r is kept, q := E* r is computed, and
# (p, q, r) are all multiplied by the largest factor up to one that makes q and r feasible; that
# keeps A* p + grad* q as small as it was.
def tgv_problem(
    forward_op: odl.Operator,
    fidelity: odl.functionals.Functional,
    alpha: float,
    beta: float,
    constraint: odl.functionals.Functional | None = None,
) -> Problem:
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
    term = data_term(forward_op, fidelity, constraint)
    A, D = term.operator, term.fidelity
    require_positive("alpha", alpha)
    require_positive("beta", beta)
    space = forward_op.domain
    grad = gradient(space)
    sym = SymmetrizedGradient(grad.range)
    norm = operator_norm(grad) or 1.0  # zero where there is one point only
    scale = norm / 6
    norm_u = math.hypot(norm, scale)
    # |E v|^2 <= sum_ij |d_i v_j|^2 <= |grad|^2 |v|^2
    norm_v = scale * norm
    radius_u, radius_v = float(alpha) * norm_u, float(alpha * beta) * norm_v

    row_u, row_v = (1 / norm_u) * grad, (scale / norm_v) * sym
    coupling = (-scale / norm_u) * odl.IdentityOperator(grad.range)
    # q := E* r in the units of the rows
    bound = (norm_u / scale) * row_v.adjoint
    balance, free = term.balance(radius_u), ZeroFunctional(grad.range)
    lengths = radius_u * GroupL1Norm(grad.range), radius_v * GroupL1Norm(sym.range)
    no_lengths = free, ZeroFunctional(sym.range)
    same = [odl.IdentityOperator(part) for part in (A.range, sym.range)]
    if term.is_denoising and constraint is None:
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
        image=odl.ProductSpaceOperator(
            [[odl.IdentityOperator(space), 0], [0, 0]], L.domain, L.domain),
        image_convexity=term.strong_convexity,
    )
