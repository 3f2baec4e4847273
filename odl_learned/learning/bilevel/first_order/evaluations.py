r"""The reduced problem: values and gradients with error bounds, and comparisons that hold.

What the algorithms of first order see of a bilevel problem is

.. math:: f(\theta) \in [v - b, v + b], \qquad |\nabla f(\theta) - z| \le \omega,

and a way to ask for more accuracy. Values are compared as intervals, so that a decrease that is
accepted is one of the exact function.
"""

import math
from typing import NamedTuple

import torch

from odl_learned.learning.bilevel.hypergradients.certificates import require_hypergradient
from odl_learned.learning.bilevel.lower.lower_level import LowerLevel
from odl_learned.validation import require_method, require_positive

# Sums of float64 values have relative errors of a few units of 1e-16 times the depth of the sum.
_ROUNDING = 1e-14


class Accuracy(NamedTuple):
    """What is asked for: of the lower level, ``|x_i - xhat_i|``, and of the adjoint, ``|r_i|``."""

    lower: float
    adjoint: float

    def times(self, factor):
        """Return both multiplied by a number."""
        return Accuracy(self.lower * factor, self.adjoint * factor)

    def least(self, other):
        """Return the smaller of both, one by one."""
        return Accuracy(min(self.lower, other.lower), min(self.adjoint, other.adjoint))


class Evaluation(NamedTuple):
    """The upper level at some parameters; bounds are of errors of value and gradient."""

    params: torch.Tensor
    value: float
    value_bound: float
    gradient: torch.Tensor
    gradient_bound: float
    accuracy: Accuracy
    is_corrected: bool

    @property
    def low(self):
        """A lower bound of the exact value."""
        return self.value - self.value_bound

    @property
    def high(self):
        """An upper bound of the exact value."""
        return self.value + self.value_bound

    def state(self):
        """Return what a checkpoint may hold."""
        return {**self._asdict(), "accuracy": tuple(self.accuracy)}

    @staticmethod
    def restored(state):
        """Return the evaluation of a state."""
        found = {name: state[name] for name in Evaluation._fields}
        return Evaluation(**{**found, "accuracy": Accuracy(*state["accuracy"])})


def alone(values):
    """The sum over one process: the values themselves."""
    return values


class Evaluations:
    r"""Evaluates a bilevel problem, summed over processes.

    Parameters
    ----------
    problem : BilevelProblem
        The training pairs of this process.
    mode : callable
        ``(lower, params, accuracy, adjoint_accuracy) -> Hypergradient``; one with certificates.
    solver : lower-level solver, as for `LowerLevel`
    reduce : callable, optional
        ``float64 vector -> its sum over all processes``.
    """

    def __init__(self, problem, mode, solver, reduce=None):
        reduce = alone if reduce is None else reduce
        require_method("mode", mode, "hypergradients.Implicit()", 4)
        require_method("reduce", reduce, "distributed.all_reduce")
        self.problem, self.mode, self.reduce = problem, mode, reduce
        self.lower = LowerLevel(problem, solver)
        self.count, self.failure = 0, None
        slope = problem.loss.gradient(problem.x0)
        sums = torch.tensor([float(slope.abs().double().square().sum()), slope.shape[0]],
                            dtype=torch.float64)  # fmt: skip
        squares, samples = reduce(sums).tolist()
        # A typical |grad l_i|, and the distance at which l_i is flat: |x_i - truth_i| for squares.
        self._slope = max(squares / samples, 1e-300) ** 0.5
        self._distance = self._slope / problem.loss.lipschitz

    def asked(self, accuracy, adjoint_accuracy):
        """Return both as `Accuracy`; where they are None, one that is coarse but not useless."""
        accuracy = 1e-2 * self._distance if accuracy is None else accuracy
        adjoint_accuracy = 1e-2 * self._slope if adjoint_accuracy is None else adjoint_accuracy
        require_positive("accuracy", accuracy)
        require_positive("adjoint_accuracy", adjoint_accuracy)
        return Accuracy(float(accuracy), float(adjoint_accuracy))

    def balanced(self, accuracy):
        """Return accuracies that are not out of proportion to each other, nor useless.

        Relative to the typical distance and slope they are at most 0.1 and differ by a factor of
        at most 30.
        """
        lower, adjoint = accuracy.lower / self._distance, accuracy.adjoint / self._slope
        lower, adjoint = min(lower, 0.1, 30 * adjoint), min(adjoint, 0.1, 30 * lower)
        return Accuracy(lower * self._distance, adjoint * self._slope)

    def is_careful(self, accuracy):
        """Whether relative errors of gradients are small, but for conditioning."""
        return accuracy.lower <= 1e-4 * self._distance and accuracy.adjoint <= 1e-4 * self._slope

    def is_exhausted(self, accuracy):
        """Whether more accuracy cannot be had in double precision."""
        return accuracy.lower <= 1e-13 * self._distance or accuracy.adjoint <= 1e-13 * self._slope

    def __call__(self, params, accuracy):
        """Return the `Evaluation`; its value is the better one of the plain and the corrected.

        Where the lower level of a process cannot be solved, all numbers are NaN, for all processes.
        """
        size = len(params)
        try:
            numbers = self._numbers(params, accuracy)
        except ArithmeticError as error:
            self.failure = error
            numbers = torch.full((5 + size,), math.nan, dtype=torch.float64)
        sums = self.reduce(numbers)
        value, bound, magnitude, gradient_bound, corrected = sums[:5].tolist()
        self.count += 1
        return Evaluation(params, value, bound + _ROUNDING * magnitude, sums[5:].to(params),
                          gradient_bound, accuracy, corrected > 0)  # fmt: skip

    def _numbers(self, params, accuracy):
        found = self.mode(self.lower, params, accuracy.lower, accuracy.adjoint)
        require_hypergradient(found)
        value, bound = float(found.value), _number(found.value_bound)
        corrected = _number(found.corrected_value_bound) < bound
        if corrected:
            value, bound = float(found.corrected_value), float(found.corrected_value_bound)
        numbers = [value, bound, abs(value), _number(found.gradient_bound), float(corrected)]
        numbers = torch.tensor(numbers, dtype=torch.float64)
        return torch.cat([numbers, found.gradient.detach().cpu().double()])

    def attempt(self, params, accuracy):
        """Return the `Evaluation`, or None where the lower level cannot be solved."""
        found = self(params, accuracy)
        finite = math.isfinite(found.value) and bool(torch.isfinite(found.gradient).all())
        return found if finite and math.isfinite(found.value_bound) else None

    def start(self, params, accuracy):
        """Return the `Evaluation` where an algorithm starts, after it has been found usable.

        Raises
        ------
        ValueError
            If value or gradient are not finite, or the mode has no bound of the value.
        """
        found = self(params, accuracy)
        if not (math.isfinite(found.value) and torch.isfinite(found.gradient).all()):
            why = "" if self.failure is None else f" ({self.failure})"
            raise ValueError(
                f"value {found.value} or gradient at params0 is not finite{why}; start where the "
                "lower level is well conditioned, or scale the data."
            ) from self.failure
        if not math.isfinite(found.value_bound):
            if self.lower.refuted:
                raise ValueError(
                    "there is no bound of the upper-level value: a constant of the energy or the "
                    "loss was refuted; see the warning, and find it with check_energy."
                )
            raise ValueError(
                "the mode gives no bound of the upper-level value, expected one with certificates; "
                "use hypergradient.Implicit or Direct."
            )
        return found

    def sharper(self, found, bound, gradient_bound=math.inf):
        """Evaluate once more so that the errors are below these bounds, if they can be.

        The accuracies are scaled by the ratio of the bounds, until that no longer helps.

        Returns
        -------
        found : Evaluation
            The interval of its value is within the one before.
        reached : bool
        """
        failures = 0
        while found.value_bound > bound or found.gradient_bound > gradient_bound:
            ratio = min(bound / max(found.value_bound, 1e-300),
                        gradient_bound / max(found.gradient_bound, 1e-300))  # fmt: skip
            # The error of corrected values is of second order, so that a root is enough for them.
            factor = min(max(0.5 * (ratio**0.5 if found.is_corrected else ratio), 1e-3), 0.5)
            factor = min(factor, 0.1**failures)
            better = self.attempt(found.params, found.accuracy.times(factor))
            if better is None:
                return found, False
            stuck = (
                better.value_bound > max(bound, 0.7 * found.value_bound)
                or better.gradient_bound > max(gradient_bound, 0.7 * found.gradient_bound)
            )
            if better.value_bound > found.value_bound:
                better = better._replace(value=found.value, value_bound=found.value_bound)
            found = better
            # A warm start may have been better than asked for, so that once is no proof.
            failures = failures + 1 if stuck else 0
            if failures > 3 or self.is_exhausted(found.accuracy):
                return found, False
        return found, True

    def work(self):
        """Return how much was done so far, as a dict of numbers, over all processes."""
        work = self.lower.work
        numbers = {"gradients": work.gradients, "hessian_products": work.hessian_products}
        sums = self.reduce(torch.tensor(list(numbers.values()), dtype=torch.float64))
        return dict(zip(numbers, sums.tolist(), strict=True)) | {"evaluations": self.count}

    def state(self):
        """Return what a checkpoint may hold."""
        return {"lower": self.lower.state(), "adjoint": getattr(self.lower, "adjoint", None),
                "count": self.count}  # fmt: skip

    def restore(self, state):
        """Put a state back."""
        self.lower.restore(state["lower"])
        self.lower.adjoint = state["adjoint"]
        self.count = state["count"]


def _number(bound):
    return math.inf if bound is None else float(bound)
