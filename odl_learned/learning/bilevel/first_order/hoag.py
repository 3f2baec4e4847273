r"""HOAG: gradient descent with accuracies that follow a schedule.

F. Pedregosa, Hyperparameter optimization with approximate gradient, ICML 2016, Algorithm 1.
"""

from collections.abc import Callable

import torch

from odl_learned.learning.bilevel.first_order.descent import Rule, descend
from odl_learned.learning.bilevel.first_order.evaluations import Accuracy
from odl_learned.learning.bilevel.first_order.line_search import half
from odl_learned.learning.bilevel.first_order.schedules import exponential
from odl_learned.learning.bilevel.hypergradients.certificates import Mode
from odl_learned.learning.bilevel.hypergradients.hypergradient import Implicit
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver, Newton
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.learning.bilevel.progress import Learned
from odl_learned.learning.bilevel.run import Run
from odl_learned.learning.bilevel.settings import described
from odl_learned.validation import require_method, require_positive


def hoag(
    problem: BilevelProblem,
    params0: torch.Tensor,
    mode: Mode = Implicit(),
    solver: LowerSolver = Newton(),
    *,
    schedule: Callable[[int], float] = exponential,
    step: float | None = None,
    accuracy: float | None = None,
    adjoint_accuracy: float | None = None,
    gtol: float = 1e-6,
    ftol: float = 1e-8,
    maxiter: int = 200,
    run: Run = Run(),
) -> Learned:
    r"""Minimize the upper level by projected gradient steps of scheduled accuracy.

    .. math:: \theta_{k+1} = P(\theta_k - t_k z_k), \qquad |x_i - \hat x_i| \le s_k \epsilon_0,
              \quad |r_i| \le s_k \delta_0 .

    The step is halved until the exact upper level certainly decreases, for which values may be
    computed more accurately than scheduled, and grows by 5 % after a success.

    Parameters
    ----------
    schedule : callable
        ``k -> s_k``: one of `schedules` or another one that is summable, with
        ``s_0 = 1``.
    step : float, optional
        ``t_0``. Default: the first step changes the parameters by at most 0.1.
    others
        As for `gradient_based.lbfgsb`; ``accuracy`` and ``adjoint_accuracy`` are ``eps_0`` and
        ``delta_0``.

    Returns
    -------
    Learned

    Source: Pedregosa 2016, Algorithm 1, with the adaptive step of section 4.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import first_order
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> learned = first_order.hoag(problem, alpha, maxiter=200)
    >>> print(f"{learned.params[0]:.1f}", learned.reason)
    -1.0 gradient
    """
    require_problem(problem)
    problem.require_start(params0)
    require_method("schedule", schedule, "exponential")
    rule = _Scheduled(problem, schedule, step)
    return descend(
        problem, params0, mode, solver, rule, accuracy=accuracy, adjoint_accuracy=adjoint_accuracy,
        gtol=gtol, ftol=ftol, maxiter=maxiter, run=run,
    )  # fmt: skip


class _Scheduled(Rule):
    name, backtrack, tries = "hoag", staticmethod(half), 30

    def __init__(self, problem, schedule, step):
        if step is not None:
            require_positive("step", step)
        self._problem, self._schedule, self._step = problem, schedule, step
        self._start, self._count = None, 0
        self._settings = {"schedule": described(schedule),
                          "step": None if step is None else float(step)}  # fmt: skip

    def settings(self):
        return self._settings

    def prepare(self, evaluations, here):
        if self._start is None:
            self._start = here.accuracy
        asked = self._start.times(self._schedule(self._count))
        if here.accuracy.lower <= asked.lower and here.accuracy.adjoint <= asked.adjoint:
            return here
        return evaluations.attempt(here.params, here.accuracy.least(asked)) or here

    def arc(self, here):
        if self._step is None:
            self._step = 0.1 / float(here.gradient.abs().max())
        direction = -self._step * here.gradient
        return lambda t: self._problem.clip(here.params + t * direction)

    @property
    def stretch(self):
        return self._step

    def accepted(self, found):
        self._step, self._count = self._step * found.time / 0.95, self._count + 1
        return self._start.times(self._schedule(self._count + 1))

    def restart(self):
        return False

    def state(self):
        start = None if self._start is None else tuple(self._start)
        return {"step": self._step, "count": self._count, "start": start}

    def restore(self, state):
        self._step, self._count = state["step"], state["count"]
        self._start = None if state["start"] is None else Accuracy(*state["start"])
