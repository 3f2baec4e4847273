r"""MAID: gradient descent whose accuracies go down only when they have to, and up again.

M. S. Salehi, S. Mukherjee, L. Roberts, M. J. Ehrhardt, An adaptively inexact first-order method for
bilevel optimization with application to hyperparameter learning, arXiv 2308.10098.
"""

import torch

from odl_learned.learning.bilevel.first_order.descent import Rule, descend
from odl_learned.learning.bilevel.first_order.line_search import half
from odl_learned.learning.bilevel.hypergradients.certificates import Mode
from odl_learned.learning.bilevel.hypergradients.hypergradient import Implicit
from odl_learned.learning.bilevel.lower.lower_solvers import LowerSolver, Newton
from odl_learned.learning.bilevel.problem import BilevelProblem, require_problem
from odl_learned.learning.bilevel.progress import Learned
from odl_learned.learning.bilevel.run import Run
from odl_learned.validation import is_finite_number, require_positive


def maid(
    problem: BilevelProblem,
    params0: torch.Tensor,
    mode: Mode = Implicit(),
    solver: LowerSolver = Newton(),
    *,
    step: float | None = None,
    momentum: float = 0.0,
    accuracy: float | None = None,
    adjoint_accuracy: float | None = None,
    shrink: float = 0.5,
    grow: float = 1.25,
    longer: float = 10 / 9,
    descent: float = 1e-4,
    gtol: float = 1e-6,
    ftol: float = 1e-8,
    maxiter: int = 200,
    run: Run = Run(),
) -> Learned:
    r"""Minimize the upper level by projected gradient steps of adaptive accuracy.

    .. math:: \theta_{k+1} = P\big(\theta_k - t_k z_k + \beta (\theta_k - \theta_{k-1})\big) .

    The accuracies of both levels are increased until ``-z`` is certain to be a descent direction,
    ``|z - grad f| <= (1 - eta) |z|``, and until the intervals of values prove a decrease; the step
    is halved until there is one. After a success the step grows, and the accuracies are relaxed.
    The bounds are those of the mode, not constants that were estimated; where it has none for the
    gradient, the values decide alone. The momentum is left out of steps where it points uphill.

    Parameters
    ----------
    step : float, optional
        ``t_0``. Default: the first step changes the parameters by at most 0.1.
    momentum : float
        ``beta``, at least 0 and less than 1.
    shrink, grow : float
        Factors of the accuracies, ``nu_under < 1`` while the direction is not certain, and
        ``nu_over >= 1`` after a success.
    longer : float
        Factor of the step after a success, at least 1.
    descent : float
        ``eta``.
    others
        As for `gradient_based.lbfgsb`.

    Returns
    -------
    Learned

    Source: Salehi et al. 2024, Algorithms 3.1 and 3.2.

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
    >>> run = bilevel.Run(callback=lambda row: None)  # called after every step
    >>> learned = first_order.maid(problem, alpha, maxiter=200, run=run)
    >>> print(f"{learned.params[0]:.1f}", learned.reason)
    -1.0 gradient
    """
    for name, value in (("shrink", shrink), ("grow", grow), ("longer", longer)):
        require_positive(name, value)
    for name, value, low, high in (
        ("momentum", momentum, 0, 1), ("shrink", shrink, 0, 1), ("descent", descent, 0, 1),
        ("1 / grow", 1 / grow, 0, 1 + 1e-15), ("1 / longer", 1 / longer, 0, 1 + 1e-15),
    ):  # fmt: skip
        if not (is_finite_number(value) and low <= value < high):
            raise ValueError(f"{name} is {value!r}; expected at least {low} and below {high:g}.")
    require_problem(problem)
    problem.require_start(params0)
    rule = _Adaptive(problem, step, momentum, shrink, grow, longer, descent)
    return descend(
        problem, params0, mode, solver, rule, accuracy=accuracy, adjoint_accuracy=adjoint_accuracy,
        gtol=gtol, ftol=ftol, maxiter=maxiter, run=run,
    )  # fmt: skip


class _Adaptive(Rule):
    name, backtrack, tries = "maid", staticmethod(half), 30

    def __init__(self, problem, step, momentum, shrink, grow, longer, descent):
        if step is not None:
            require_positive("step", step)
        self._problem, self._step, self._momentum = problem, step, float(momentum)
        self._shrink, self._grow, self._longer = float(shrink), float(grow), float(longer)
        self._descent, self._last = float(descent), None
        self._settings = {
            "step": None if step is None else float(step), "momentum": self._momentum,
            "shrink": self._shrink, "grow": self._grow, "longer": self._longer,
            "descent": self._descent,
        }  # fmt: skip

    def settings(self):
        return self._settings

    def prepare(self, evaluations, here):
        first = here.gradient_bound
        while not self._descends(here) and here.gradient_bound > 1e-3 * first < float("inf"):
            ratio = float(here.gradient.norm()) / here.gradient_bound
            factor = min(max(0.5 * ratio, 1e-2), self._shrink)
            better = evaluations.attempt(here.params, here.accuracy.times(factor))
            if better is None or better.gradient_bound > 0.9 * here.gradient_bound:
                break
            here = better
        return here

    def _descends(self, here):
        return here.gradient_bound <= (1 - self._descent) * float(here.gradient.norm())

    def arc(self, here):
        if self._step is None:
            self._step = 0.1 / float(here.gradient.abs().max())
        steepest = -self._step * here.gradient
        step = steepest if self._last is None else steepest + self._momentum * self._last
        uphill = float(here.gradient @ (self._problem.clip(here.params + step) - here.params)) >= 0
        step = steepest if uphill else step
        return lambda t: self._problem.clip(here.params + t * step)

    @property
    def stretch(self):
        return self._step / (1 - self._momentum)

    def accepted(self, found):
        self._last = found.there.params - found.here.params
        self._step *= found.time * self._longer
        return found.there.accuracy.times(self._grow)

    def restart(self):
        again = self._last is not None and self._momentum > 0
        self._last = None
        return again

    def state(self):
        return {"step": self._step, "last": self._last}

    def restore(self, state):
        self._step, self._last = state["step"], state["last"]
