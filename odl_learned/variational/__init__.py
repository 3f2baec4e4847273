r"""Variational regularization as problems for primal-dual solvers, with duality gaps.

All problems have the form ``min_x f(x) + g(L x)`` and unpack as ``f, g, L = problem``::

    problem = tv_problem(forward_op, l2_fidelity(data), alpha, BoxConstraint(space, 0, 1))
    solution = solvers.primal_dual(problem, accuracy=1e-3)

    f, g, L = problem
    tau, sigma = problem.step_sizes()
    x, y = L.domain.zero(), L.range.zero()
    odl.solvers.pdhg(x, f, g, L, niter=300, tau=tau, sigma=sigma, y=y)
    problem.gap(x, y)

Rows of ``L`` are scaled to norm one, and the functionals in ``g`` undo it:
``g_i(n_i z)`` takes the place of ``g_i(z)`` where ``L_i / n_i`` takes that of ``L_i``. The values
and minimizers are those of the problem as written; pdhg then takes blockwise steps (Pock, T. and
Chambolle, A. Diagonal preconditioning for first order primal-dual algorithms. ICCV 2011).

How to find ``alpha`` is the matter of the room `parameter_choice`.
"""

from odl_learned.variational.builders import (
    experts_problem,
    h1_problem,
    tikhonov_problem,
    tv_problem,
)
from odl_learned.variational.problem import Problem
from odl_learned.variational.tgv import tgv_problem

__all__ = [
    "Problem", "experts_problem", "h1_problem", "tgv_problem", "tikhonov_problem", "tv_problem",
]  # fmt: skip
