r"""Semi-smooth Newton for few weights of a field of experts, with second derivatives.

K. Kunisch, T. Pock, A bilevel optimization approach for parameter learning in variational models,
SIAM J. Imaging Sci. 6 (2013).
"""

import numpy as np
import torch

from odl_learned.energies.filters.experts import ExpertsEnergy
from odl_learned.energies.filters.weight_derivatives import (
    require_weights,
    second_adjoint,
    weight_slope,
)
from odl_learned.learning.bilevel.hypergradients.adjoint import (
    AdjointOperator,
    AdjointPreconditioner,
)
from odl_learned.learning.bilevel.hypergradients.hypergradient import Implicit
from odl_learned.learning.bilevel.loss import SquaredError
from odl_learned.learning.bilevel.lower.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver, Newton
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.learning.bilevel.progress import Journal, Learned
from odl_learned.learning.bilevel.run import Run, require_one_process
from odl_learned.learning.bilevel.settings import described, setting_of
from odl_learned.solvers.conjugate_gradient import conjugate_gradient
from odl_learned.validation import require_count, require_positive


def semismooth_newton(
    problem: BilevelProblem,
    params0: torch.Tensor,
    solver: LowerSolver = Newton(),
    *,
    accuracy: float = 1e-10,
    gtol: float = 1e-8,
    maxiter: int = 50,
    run: Run = Run(),
) -> Learned:
    r"""Minimize the upper level by Newton's method for the optimality system.

    With the reconstructions ``x``, their adjoints ``q`` and the weights ``theta >= a``, the system

    .. math:: \nabla_x E(x, \theta) = 0, \qquad \nabla_x^2 E \, q = \nabla \ell(x), \qquad
              \theta = \max(a, \theta - c z), \quad
              z = \nabla p - \sum_i (\partial_\theta \nabla_x E)^T q_i

    is linearized at points that satisfy the first two equations to a certified accuracy. What
    remains is the Newton step for ``theta``, with the second derivative of the reduced function

    .. math:: f'' = \sum_i V_i^T \big( \ell'' V_i - D_i \big) - D_i'^T + p'', \qquad
              \nabla_x^2 E \, V = - \partial_\theta \nabla_x E,

    where ``D, D'`` are the second derivatives of ``<q, d_x E>`` along ``(V, 1)``: one linear system
    per weight and image. It exists for potentials of which the second derivative is only
    semi-smooth, such as `CubicAbsolute`. Weights with ``theta - c z <= a`` move to ``a``. Far from
    a minimum, where ``f''`` is not positive definite, its eigenvalues are replaced by their
    moduli, and steps are halved until the value decreases for sure, or the residual by half; near
    it the steps are full and the convergence is superlinear.

    Parameters
    ----------
    problem : BilevelProblem
        Of an `ExpertsEnergy` with the weights as parameters, as of `fixed_filters`, and the loss
        `SquaredError`.
    params0 : tensor ``(K,)``
        Start, within the bounds of the problem.
    solver : callable, optional
        Of the lower level, as for `LowerLevel`. Default: ``lower.Newton()``.
    accuracy : float
        Of the reconstructions and the residuals of the adjoints.
    gtol : float
        Ends where ``|theta - P(theta - z)|`` is at most this.
    maxiter : int
        Number of steps.
    run : Run
        Checkpoint, callback and progress bar.

    Returns
    -------
    Learned
        Reasons: ``"gradient"``, ``"maxiter"``, or ``"rounding"`` where no step is better for sure.

    Raises
    ------
    TypeError
        If the energy or the loss has no second derivatives, or filters are learned.
    """
    require_problem(problem)
    if not isinstance(problem.energy, ExpertsEnergy) or not isinstance(problem.loss, SquaredError):
        raise TypeError(
            f"the problem has a {type(problem.energy).__name__} and a {type(problem.loss).__name__}"
            "; expected an ExpertsEnergy and a SquaredError, whose second derivatives are known. "
            "Use gradient_based.lbfgsb for others."
        )
    problem.require_start(params0)
    require_weights(problem.energy, params0)
    require_positive("accuracy", accuracy)
    require_positive("gtol", gtol)
    require_count("maxiter", maxiter)
    require_one_process(run, "semismooth_newton")
    setting = setting_of(problem, params0) | {
        "method": "semismooth_newton", "accuracy": float(accuracy), "gtol": float(gtol),
        "solver": described(solver)}
    reduced = _Reduced(problem, solver, float(accuracy))
    with Journal(setting, run) as journal:
        saved = journal.resume()
        here = reduced.at(problem.clip(params0.detach().double()) if saved is None
                          else saved["params"])  # fmt: skip
        if saved is None:
            journal.accepted(here.row(0.0), lambda: {"params": here.params})
        reason = None
        while reason is None:
            if here.residual <= gtol:
                reason = "gradient"
            elif journal.steps > maxiter:
                reason = "maxiter"
            else:
                there, t = _searched(reduced, here)
                if there is None:
                    reason = "rounding"
                else:
                    here = there
                    journal.accepted(here.row(t), lambda: {"params": here.params})
        return journal.learned(here.params, here.value, here.value_bound, reason)


class _Point:
    """The reduced function at some weights."""

    def __init__(self, problem, params, found):
        self.params, self.x, self.q = params, found.x, found.adjoint
        self.value, self.value_bound = found.corrected_value, found.corrected_value_bound
        self.gradient = found.gradient
        self.residual = float((params - problem.clip(params - found.gradient)).norm())

    def row(self, t):
        return {"params": self.params, "value": self.value, "value_bound": self.value_bound,
                "projected_gradient": self.residual, "step": t}  # fmt: skip


class _Reduced:
    """Values, gradients and Newton steps of the reduced function."""

    def __init__(self, problem, solver, accuracy):
        self.problem, self.accuracy = problem, accuracy
        self.lower, self.mode = LowerLevel(problem, solver), Implicit()

    def at(self, params):
        found = self.mode(self.lower, params, self.accuracy, self.accuracy)
        return _Point(self.problem, params, found)

    def hessian(self, here):
        """The second derivative, ``(K, K)``."""
        problem, energy = self.problem, self.problem.energy
        operator = AdjointOperator(self.lower.fixed(here.params), here.x)
        change = second_adjoint(energy, here.x, here.params, problem.data, here.q)
        units = torch.eye(len(here.params), dtype=torch.float64)
        shape = (len(here.params), len(energy.scales))
        sensitivities, rows, inner = [], [], []
        for unit in units:
            right = -weight_slope(energy, here.x, here.params, unit)
            size = right.flatten(1).norm(dim=1).clamp_min(1e-300).cpu().numpy()
            v = conjugate_gradient(operator, right, torch.zeros_like(right), 1e-8 * size, 10000,
                                   precondition=AdjointPreconditioner(operator)).x  # fmt: skip
            d_x, d_w = change(v, unit.reshape(shape).to(v))
            sensitivities.append(v)
            rows.append(2 * problem.loss.factor * v - d_x)
            inner.append(d_w.flatten().double())
        flat = torch.stack(sensitivities).flatten(1).double()
        matrix = flat @ torch.stack(rows).flatten(1).double().T - torch.stack(inner)
        matrix = matrix + torch.autograd.functional.hessian(problem.penalty, here.params)
        return (matrix + matrix.T) / 2

    def step(self, here):
        """The Newton step, to the bounds for the active weights."""
        problem, matrix = self.problem, self.hessian(here)
        # c of the complementarity; any positive number is right.
        c = 1 / float(matrix.diagonal().abs().max().clamp_min(1e-300))
        trial = here.params - c * here.gradient
        clipped = problem.clip(trial)
        active = (trial < clipped) | (trial > clipped)
        step = torch.where(active, clipped - here.params, 0.0)
        free = torch.nonzero(~active)[:, 0]
        if len(free):
            values, vectors = torch.linalg.eigh(matrix[free][:, free])
            values = values.abs().clamp_min(1e-10 * float(values.abs().max().clamp_min(1e-300)))
            right = (here.gradient + matrix @ step)[free]
            step[free] = -vectors @ ((vectors.T @ right) / values)
        return step


def _searched(reduced, here):
    """The next point and the length of its step, or None if there is none."""
    step = reduced.step(here)
    for t in 0.5 ** np.arange(20.0):
        there = reduced.at(reduced.problem.clip(here.params + float(t) * step))
        decreases = there.value + there.value_bound < here.value - here.value_bound
        if decreases or there.residual <= 0.5 * here.residual:
            return there, float(t)
    return None, 0.0
