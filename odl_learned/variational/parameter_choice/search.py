r"""The search for the parameter where an increasing function that is known up to a bound is one."""

import math
from typing import NamedTuple

from odl_learned.solvers import DivergenceError

#: Largest error of a value that is asked for at first.
LOOSE = 0.25
#: Parameters of one search, at most.
MOST = 60


class Trial(NamedTuple):
    """What is proven of one parameter.

    Attributes
    ----------
    alpha : float
    lower, upper : float
        Bounds of ``|A x - y| / noise_norm`` for the exact minimizer ``x``.
    gap : float
        Duality gap of the computed one.
    niter : int
        Iterations that this took.
    """

    alpha: float
    lower: float
    upper: float
    gap: float
    niter: int


class Search:
    r"""The root of an increasing function ``v`` of ``alpha`` at one, step by step.

    A value ``v`` with an error ``e`` decides where the root is only if one is not between ``v - e``
    and ``v + e``; elsewhere it is computed again, with a smaller error, until it decides or

    .. math:: 1 - \text{rtol} \le v - e, \qquad v + e \le 1 + \text{rtol} .

    Attributes
    ----------
    alpha : float
        The parameter to try next, or the answer.
    error : float
        The error that is good enough there.
    low, high : float
        Where the function is proven to be below and above one; zero and infinity at first.
    reason : str or None
        Why the search ended.
    """

    def __init__(self, start, rtol, width, factor):
        self.alpha, self.error, self.reason = start, LOOSE, None
        self.low, self.high = 0.0, math.inf
        self.path = []
        self._start, self._rtol, self._width, self._factor = start, rtol, width, factor
        self._ends, self._last = {}, None  # log v, by side

    def observe(self, value, error, trial, stuck=None):
        """Take note of a value, and choose what to try next.

        Parameters
        ----------
        value, error : float
        trial : Trial
        stuck : str or None
            Why the error cannot be made smaller.
        """
        self.path.append(trial)
        self._require_monotone(trial)
        lower, upper = value - error, value + error
        if lower >= 1 - self._rtol and upper <= 1 + self._rtol:
            self.reason = "accuracy"
        elif lower > 1:
            self.high = self.alpha
            self._go_on("high", value)
        elif upper < 1:
            self.low = self.alpha
            self._go_on("low", value)
        elif stuck is not None or self._stands_still():
            self.reason = stuck or "maxiter"
        else:
            far = abs(value - 1)
            self.error = min(max(far / 2, 0.9 * (self._rtol - far)), error / 2)
        if self.reason is None and len(self.path) >= MOST:
            self.reason = "maxiter"

    # Solvers that take no accuracy do not get anywhere by being asked again.
    def _stands_still(self):
        same = [trial.gap for trial in self.path[-3:] if trial.alpha == self.alpha]
        return len(same) == 3 and same[-1] > 0.9 * same[0]

    def _go_on(self, side, value):
        log_value = math.log(max(value, 1e-12))
        before, self._ends[side] = self._ends.get(side), (math.log(self.alpha), log_value)
        if len(self._ends) == 2:
            if self.high <= self.low * (1 + self._width):
                self.reason = "accuracy"
                return
            self.alpha = math.exp(self._between(side))
            nearest = min(abs(math.expm1(v)) for _, v in self._ends.values())
            self.error = min(max(nearest / 4, 0.45 * self._rtol), LOOSE)
        else:
            self.alpha *= math.exp(math.copysign(self._step(before, side), -log_value))
            self.error = LOOSE

    # Regula falsi in logarithms; where one end stays, its value is halved (Illinois).
    def _between(self, side):
        if side == self._last:
            other = "low" if side == "high" else "high"
            at, value = self._ends[other]
            self._ends[other] = at, value / 2
        self._last = side
        (left, below), (right, above) = self._ends["low"], self._ends["high"]
        t = -below / (above - below)
        return left + min(max(t, 0.1), 0.9) * (right - left)

    # By the secant of the last two, a little further, so that the root comes between.
    def _step(self, before, side):
        here, value = self._ends[side]
        slope = 0.5
        if before is not None and before[0] != here:
            slope = max((value - before[1]) / (here - before[0]), 0.02)
        return min(max(1.2 * abs(value) / slope, math.log(2)), math.log(64))

    @property
    def is_exhausted(self):
        """Whether the next parameter is out of reach."""
        far = abs(math.log(self.alpha / self._start))
        return self.reason is None and far > math.log(self._factor)

    # The norm of the residual of the exact minimizer does not decrease with alpha.
    def _require_monotone(self, trial):
        for other in self.path:
            small, large = sorted((trial, other), key=lambda t: t.alpha)
            if small.alpha < large.alpha and small.lower > large.upper:
                raise DivergenceError(
                    f"the certificates contradict each other: |A x - y| is at least "
                    f"{small.lower:.6g} of the noise for alpha = {small.alpha:.6g} but at most "
                    f"{large.upper:.6g} for the larger alpha = {large.alpha:.6g}. Check that the "
                    "gaps of the solver are bounds, that the data term is 1/2 |A x - y|^2 with the "
                    "operator and data of the discrepancy, and that alpha multiplies all else."
                )
