r"""The loop of the methods of first order: steps of certain decrease, doubts, and a certified end.

A method is a `Rule`: where to look for the next parameters, and how accurate to be there. The loop
never takes a step that may increase the exact function, and never ends because of a bad gradient:
where no decrease is found, or where the gradient seems to vanish, the gradient is first evaluated
more accurately, and only if that confirms it the loop ends.
"""

import abc
import math

import torch

from odl_learned.learning.bilevel.first_order.evaluations import Accuracy, Evaluation, Evaluations
from odl_learned.learning.bilevel.first_order.line_search import parabola, search
from odl_learned.learning.bilevel.progress import Journal
from odl_learned.learning.bilevel.run import require_run
from odl_learned.learning.bilevel.settings import described, setting_of
from odl_learned.validation import require_count, require_positive


class Rule(abc.ABC):
    """What tells one descent method from another."""

    name = ""
    longer = False
    tries = 12
    backtrack = staticmethod(parabola)

    def prepare(self, evaluations, here):
        """Return the evaluation at hand, made as accurate as the method wants it."""
        return here

    @abc.abstractmethod
    def arc(self, here):
        """Return ``t -> parameters``, the arc of the next search, from ``here`` at 0."""

    @property
    @abc.abstractmethod
    def stretch(self):
        """Length of a good step divided by that of the gradient, about."""

    @abc.abstractmethod
    def accepted(self, found):
        """Learn from a step, and return the `Accuracy` of the next trial."""

    @abc.abstractmethod
    def restart(self):
        """Forget the past; return whether that changes the next arc."""

    @abc.abstractmethod
    def settings(self):
        """Return what must be the same when a run is continued, a dict of numbers and texts."""

    @abc.abstractmethod
    def state(self):
        """Return what a checkpoint may hold."""

    @abc.abstractmethod
    def restore(self, state):
        """Put a state back."""


def descend(
    problem, params0, mode, solver, rule, *, accuracy, adjoint_accuracy, gtol, ftol, maxiter, run,
):  # fmt: skip
    """Minimize the upper level by a rule; parameters as in `gradient_based.lbfgsb`."""
    for name, value in (("gtol", gtol), ("ftol", ftol)):
        require_positive(name, value)
    require_count("maxiter", maxiter, 0)
    require_run(run)
    params = problem.clip(params0.detach())
    evaluations = Evaluations(problem, mode, solver, run.reduce)
    asked = evaluations.asked(accuracy, adjoint_accuracy)
    setting = setting_of(problem, params0) | {
        "method": rule.name, "accuracy": asked.lower, "adjoint_accuracy": asked.adjoint,
        "gtol": float(gtol), "ftol": float(ftol), "mode": described(mode),
        "solver": described(solver), **rule.settings(),
    }  # fmt: skip
    with Journal(setting, run) as journal:
        loop = _Loop(evaluations, rule, journal, float(gtol), float(ftol))
        state = journal.resume()
        if state is None:
            loop.begin(params, asked)
        else:
            loop.restore(state)
        reason = None
        while reason is None:
            reason = "maxiter" if journal.steps > maxiter else loop.step()
        here, _ = evaluations.sharper(loop.here, ftol * max(abs(loop.here.value), 1e-300))
        return journal.learned(here.params, here.value, here.value_bound, reason)


class _Loop:
    def __init__(self, evaluations, rule, journal, gtol, ftol):
        self.evaluations, self.rule, self.journal = evaluations, rule, journal
        self.gtol, self.ftol, self.idle = gtol, ftol, 0

    def begin(self, params, accuracy):
        self.here, self.accuracy = self.evaluations.start(params, accuracy), accuracy
        self.record(0.0, 0.0)

    def step(self):
        """Take one step, or find out why there is none; return the reason to end, or None."""
        self.here = self.rule.prepare(self.evaluations, self.here)
        if self.slope(self.here) <= self.gtol:
            return self.doubt("gradient")
        found = search(self.evaluations, self.here, self.rule.arc(self.here), self.accuracy,
                       self.rule.tries, self.rule.longer, self.rule.backtrack)  # fmt: skip
        if found.there is None:
            before, self.here = self.here, found.here
            if found.undecidable:
                return "rounding"
            # The arc belongs to a gradient that was more accurate in the end: try again with that.
            return None if found.here.accuracy != before.accuracy else self.doubt("decrease")
        self.accuracy = self.evaluations.balanced(self.rule.accepted(found))
        self.here = found.there
        small = found.decrease <= self.ftol * max(abs(self.here.value), 1e-300)
        step = found.there.params - found.here.params
        # Along a step with negative curvature the decrease grows, however small it was.
        convex = float(step @ (found.there.gradient - found.here.gradient)) > 0
        near = self.linear_gain(self.here) <= 10 * self.ftol * abs(self.here.value)
        self.idle = self.idle + 1 if small and convex and near else 0
        self.record(float(step.norm()), found.decrease)
        return self.doubt("decrease") if self.idle > 1 else None

    def doubt(self, reason):
        """Return the reason to end if the gradient can be trusted, else make it more accurate.

        With an error of at most ``w`` of the gradient and steps ``k`` times the gradient, about
        ``k (|z| + w)^2 / 2`` is left to gain.
        """
        while True:
            here, slope = self.here, self.slope(self.here)
            enough = 0.5 * max(slope, self.gtol)
            if reason == "decrease":
                left = (2 * self.ftol * abs(here.value) / self.rule.stretch) ** 0.5
                if slope + here.gradient_bound <= left:
                    return reason
                enough = max(enough, 0.5 * left)
            if here.gradient_bound <= enough:
                return self.ended(reason)
            if self.evaluations.is_exhausted(here.accuracy):
                return "rounding"
            factor = min(max(0.5 * enough / here.gradient_bound, 0.01), 0.3)
            sharp = self.evaluations.attempt(here.params, here.accuracy.times(factor))
            if sharp is None:
                return "rounding"
            if sharp.value_bound > here.value_bound:
                sharp = sharp._replace(value=here.value, value_bound=here.value_bound)
            self.here, self.idle = sharp, 0
            self.accuracy = self.accuracy.least(sharp.accuracy)
            if self.slope(sharp) > 2 * max(slope, self.gtol):
                return None
            if math.isinf(sharp.gradient_bound) and self.evaluations.is_careful(here.accuracy):
                # Without constants, what the last factor of accuracy changed stands for the bound.
                change = 2 * float((sharp.gradient - here.gradient).norm())
                if change <= enough:
                    return self.ended(reason)

    def ended(self, reason):
        """Return the reason to end, unless there is a past to forget that may be to blame."""
        return reason if reason == "gradient" or not self.forgotten() else None

    def forgotten(self):
        """Start anew from the gradient alone; return whether that changes anything."""
        self.idle = 0
        return self.rule.restart()

    def slope(self, here):
        """The norm of the projected gradient."""
        clipped = self.evaluations.problem.clip(here.params - here.gradient)
        return float((here.params - clipped).norm())

    def linear_gain(self, here):
        """How much the first-order model decreases within the box, where that is bounded.

        It is large near stationary points of functions that are not convex, such as full sampling,
        where steps are short but far from the end.
        """
        lower, upper = box(self.evaluations.problem, here.params)
        reach = torch.where(here.gradient > 0, here.params - lower, upper - here.params)
        gains = here.gradient.abs() * reach
        return float(gains[torch.isfinite(reach)].sum())

    def record(self, length, decrease):
        here = self.here
        self.journal.accepted({
            "params": here.params, "value": here.value, "value_bound": here.value_bound,
            "projected_gradient": self.slope(here), "gradient_bound": here.gradient_bound,
            "accuracy": here.accuracy.lower, "adjoint_accuracy": here.accuracy.adjoint,
            "step": length, "decrease": decrease, **self.evaluations.work(),
        }, self.state)  # fmt: skip

    def state(self):
        return {"here": self.here.state(), "accuracy": tuple(self.accuracy), "idle": self.idle,
                "rule": self.rule.state(), "evaluations": self.evaluations.state()}  # fmt: skip

    def restore(self, state):
        self.here = Evaluation.restored(state["here"])
        self.accuracy, self.idle = Accuracy(*state["accuracy"]), state["idle"]
        self.rule.restore(state["rule"])
        self.evaluations.restore(state["evaluations"])


def box(problem, params):
    """Return the bounds of the parameters as tensors ``(P,)``."""
    return tuple(torch.as_tensor(b, dtype=params.dtype).expand_as(params)
                 for b in (problem.lower, problem.upper))  # fmt: skip
