"""Quasi-Newton learning with bounds of the parameters: L-BFGS on the reduced problem."""

import torch

from odl_learned.learning.bilevel.first_order.descent import Rule, box, descend
from odl_learned.learning.bilevel.first_order.limited_memory import LimitedMemory, free_parameters
from odl_learned.learning.bilevel.hypergradients.certificates import Mode
from odl_learned.learning.bilevel.hypergradients.hypergradient import Implicit
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver, Newton
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.learning.bilevel.progress import Learned
from odl_learned.learning.bilevel.run import Run
from odl_learned.validation import require_count, require_positive


def lbfgsb(
    problem: BilevelProblem,
    params0: torch.Tensor,
    mode: Mode = Implicit(),
    solver: LowerSolver = Newton(),
    *,
    accuracy: float | None = None,
    adjoint_accuracy: float | None = None,
    gtol: float = 1e-6,
    ftol: float = 1e-8,
    maxiter: int = 200,
    memory: int = 10,
    max_step: float = 1.0,
    run: Run = Run(),
) -> Learned:
    r"""Minimize the upper level by projected L-BFGS with inexact values and gradients.

    Each step goes from ``theta`` to ``P(theta + t d)``, ``P`` the projection onto the box, ``d``
    from the last steps on the parameters that are free. It is accepted only if the intervals of
    the values prove that the exact upper level decreases,

    .. math:: v' + b' \le v - b - 10^{-4} \langle z, \theta - \theta' \rangle,

    and both levels are solved as accurately as that takes: more where intervals overlap, less
    where they are narrow against the decrease. Where no such step is found, or the gradient seems
    to vanish, the gradient is evaluated more accurately first: its bound, or the change of 30
    times more accuracy, must be small against it, or the method goes on.

    Parameters
    ----------
    problem : BilevelProblem
    params0 : tensor ``(P,)``
        Start, real, within the bounds of the problem.
    mode : callable, optional
        Hypergradients with bounds of the value. Default: ``hypergradients.Implicit()``.
    solver : callable, optional
        Of the lower level, as for `LowerLevel`. Default: ``lower.Newton()``.
    accuracy, adjoint_accuracy : float, optional
        To start with: of the reconstructions, ``|x_i - xhat_i|``, and of the residuals of the
        adjoint equations. They are changed as needed; default: a hundredth of the distance
        from ``x0`` to the truth, and of the gradient of the loss there.
    gtol : float
        Ends where the norm of ``theta - P(theta - z)`` is below, with a gradient to be trusted.
    ftol : float
        Ends where two steps in a row decrease the value by less than this part of it, and the
        first-order model within the box by less than ten times that; also the relative error
        bound of the final value, where it can be reached.
    maxiter : int
        Number of steps.
    memory : int
        Number of steps that are remembered.
    max_step : float
        Length of the first steps at most, in the largest parameter; grows with success.
    run : Run
        Checkpoint, callback, progress bar, and the sum over processes that share the pairs.

    Returns
    -------
    Learned
        Reasons: ``"gradient"``, ``"decrease"``, ``"maxiter"``, or ``"rounding"`` where more
        accuracy was needed than there is.

    Raises
    ------
    ValueError
        For numbers out of range, a mode without certificates, or a checkpoint of something else.

    Source: D. P. Bertsekas, SIAM J. Control Optim. 20, 1982 (two metrics); J. Nocedal and S. J.
    Wright, Numerical Optimization, chapter 7. Learning like this with SciPy's L-BFGS-B and exact
    gradients: F. Sherry et al., IEEE Trans. Med. Imaging 39, 2020.
    """
    require_problem(problem)
    problem.require_start(params0)
    rule = _QuasiNewton(problem, params0, memory, max_step)
    return descend(
        problem, params0, mode, solver, rule, accuracy=accuracy, adjoint_accuracy=adjoint_accuracy,
        gtol=gtol, ftol=ftol, maxiter=maxiter, run=run,
    )  # fmt: skip


class _QuasiNewton(Rule):
    name, longer = "lbfgsb", True

    def __init__(self, problem, params0, memory, max_step):
        require_positive("max_step", max_step)
        require_count("memory", memory)
        self._problem, self._memory = problem, LimitedMemory(int(memory))
        self._lower, self._upper = box(problem, params0)
        self._radius, self._stretch = float(max_step), 1.0
        self._settings = {"memory": int(memory), "max_step": float(max_step)}

    def settings(self):
        return self._settings

    def arc(self, here):
        free = free_parameters(here.params, here.gradient, self._lower, self._upper)
        direction = self._memory.direction(here.gradient, free)
        length = float(direction.abs().max())
        if not self._memory.pairs:
            direction = direction * (0.1 * self._radius / length)
        elif length > self._radius:
            direction = direction * (self._radius / length)
        return lambda t: self._problem.clip(here.params + t * direction)

    @property
    def stretch(self):
        return self._memory.stretch or self._stretch

    def accepted(self, found):
        step = found.there.params - found.here.params
        self._memory.update(step, found.there.gradient - found.here.gradient)
        self._stretch = float(step.norm() / found.here.gradient.norm())
        length = float(step.abs().max())
        if length > 0.9 * self._radius:
            self._radius = 2 * length
        elif found.time < 0.3:
            self._radius = max(2 * length, 0.1 * self._radius)
        # The error of a gradient that belongs to this error of the value is of lower order.
        ratio = 1e-2 * found.decrease / max(found.there.value_bound, 1e-300)
        return found.there.accuracy.times(min(max(ratio, 0.03), 10.0))

    def restart(self):
        again = bool(self._memory.pairs)
        self._memory.clear()
        return again

    def state(self):
        return {"pairs": self._memory.state(), "radius": self._radius,
                "stretch": self._stretch}  # fmt: skip

    def restore(self, state):
        self._memory.restore(state["pairs"])
        self._radius, self._stretch = state["radius"], state["stretch"]
