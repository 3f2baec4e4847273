r"""Steps whose decrease of the exact function is certain."""

from collections.abc import Callable
from typing import NamedTuple

from odl_learned.learning.bilevel.first_order.evaluations import Evaluation

_SUFFICIENT = 1e-4  # of the decrease that the gradient predicts
_STEEP = 0.9  # a slope that is still so much of the first one asks for a longer step


class Found(NamedTuple):
    """What a search along an arc found.

    ``here`` is the point it started from, perhaps evaluated more accurately; ``there`` the new one,
    or None; ``time`` its parameter on the arc; ``decrease`` a lower bound of the decrease;
    ``undecidable`` whether rounding errors are larger than what there is to gain.
    """

    here: Evaluation
    there: Evaluation | None
    time: float
    decrease: float
    undecidable: bool


def certainly_below(evaluations, here, there, predicted):
    r"""Decide whether ``f(there) <= f(here) - c predicted``, ``c = 1e-4``, for the exact ``f``.

    Where the intervals leave it open, both are evaluated more accurately. A decrease of less than
    a quarter of the prediction may be refused, so that the accuracy is never out of proportion.

    Parameters
    ----------
    evaluations : Evaluations
    here, there : Evaluation
    predicted : float
        ``-<z, there - here>``, positive.

    Returns
    -------
    below : bool or None
        None where rounding errors do not allow to decide.
    here, there : Evaluation
    """
    while True:
        if there.high <= here.low - _SUFFICIENT * predicted:
            return True, here, there
        if there.low > here.high - _SUFFICIENT * predicted:
            return False, here, there
        if here.value_bound + there.value_bound <= 0.1 * predicted:
            return False, here, there
        here, reached = evaluations.sharper(here, 0.04 * predicted)
        if reached:
            there, reached = evaluations.sharper(there, 0.04 * predicted)
        if not reached:
            return True if there.high <= here.low - _SUFFICIENT * predicted else None, here, there


def parabola(here, there, predicted):
    """The factor at which the parabola through both values and the first slope is smallest."""
    if there is None:
        return 0.25
    curvature = there.value - here.value + predicted
    return min(max(0.5 * predicted / curvature, 0.1), 0.5) if curvature > 0 else 0.5


def half(here, there, predicted):
    """The factor one half."""
    return 0.5


def search(evaluations, here, arc: Callable, accuracy, tries=12, longer=True, shorter=parabola):
    r"""Find a point on an arc where the exact function is certainly smaller.

    Armijo's rule by intervals; while the first trial falls and the arc is still steep at its end,
    the step is doubled.

    Parameters
    ----------
    evaluations : Evaluations
    here : Evaluation
    arc : callable
        ``t -> parameters``, with ``arc(0)`` those of `here`.
    accuracy : Accuracy
        Of the trials, as far as that decides.
    tries : int
        Number of points that are tried.
    longer : bool
        Whether steps may be longer than ``arc(1)``.
    shorter : callable
        ``(here, there or None, predicted) -> factor`` of the step after a failure, below 1.

    Returns
    -------
    Found
    """
    t, best, best_time, failed, undecidable = 1.0, None, 0.0, False, False
    for _ in range(tries):
        params = arc(t)
        step = params - here.params
        predicted = -float(here.gradient @ step)
        if not predicted > 0:
            break
        there = evaluations.attempt(params, accuracy)
        if there is None:
            below = False
        else:
            below, here, there = certainly_below(evaluations, here, there, predicted)
            if below is None:
                undecidable = best is None
                break
        if not below:
            if best is not None:
                break
            failed, t = True, t * shorter(here, there, predicted)
            continue
        if best is not None and there.value >= best.value:
            break
        best, best_time = there, t
        still = -float(there.gradient @ step)
        if failed or not longer or still < _STEEP * predicted or bool((arc(2 * t) == params).all()):
            break
        t = 2 * t
    decrease = 0.0 if best is None else here.low - best.high
    return Found(here, best, best_time, decrease, undecidable)
