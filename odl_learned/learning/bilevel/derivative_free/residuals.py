r"""Residuals of the upper level at points of the unit box, known up to what was asked for.

.. math:: f(\theta) = \sum_i c\, |\hat x_i(\theta) - x_i^*|^2 + p(\theta) = |r(\theta)|^2
          + p(\theta), \qquad \theta = a + z (b - a), \quad z \in [0, 1]^n .

A reconstruction with a distance of at most ``e_i`` to the exact one gives residuals with errors of
at most ``sqrt(c) e_i``.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import torch

from odl_learned.learning.bilevel.loss import SquaredError
from odl_learned.learning.bilevel.lower.lower_level import LowerLevel


class Point(NamedTuple):
    """What is known at a point.

    Parameters
    ----------
    z : array ``(n,)``
        The point, in the unit box.
    residuals : array ``(m,)``
        ``r~``.
    errors : array ``(B,)``
        Bounds of the norm of ``r~ - r``, for every image.
    value, value_bound : float
        ``f~ = |r~|^2 + p`` and a bound of ``|f~ - f|``.
    """

    z: np.ndarray
    residuals: np.ndarray
    errors: np.ndarray
    value: float
    value_bound: float


@dataclasses.dataclass(frozen=True)
class PixelResiduals:
    """``sqrt(c) (x_i - x_i*)``: a residual for every real number of all images.

    Their models predict reconstructions, too, which is where new ones start.
    """

    def __call__(self, loss: SquaredError, x: torch.Tensor) -> torch.Tensor:
        r = math.sqrt(loss.factor) * loss.error(x)
        return (torch.view_as_real(r.contiguous()) if r.is_complex() else r).double().reshape(-1)

    def reconstructions(self, loss: SquaredError, residuals: np.ndarray) -> torch.Tensor:
        """Return the images with these residuals."""
        truth, r = loss.truth, torch.as_tensor(residuals / math.sqrt(loss.factor))
        if truth.is_complex():
            r = torch.view_as_complex(r.reshape(*truth.shape, 2))
        return truth + r.reshape(truth.shape).to(truth.dtype)


@dataclasses.dataclass(frozen=True)
class ImageResiduals:
    """``sqrt(c) |x_i - x_i*|``: a residual for every image, as in the paper."""

    def __call__(self, loss: SquaredError, x: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(loss.value(x))

    def reconstructions(self, loss: SquaredError, residuals: np.ndarray) -> None:
        """Return None: distances do not tell."""
        return None


class BudgetError(Exception):
    """All evaluations are used."""


class Evaluations:
    """Solves the lower level, counts, and keeps the journal.

    The checkpoint holds the state of the search at the beginning of its iteration and the
    evaluations since then; a run that is continued replays these.

    Parameters
    ----------
    problem : BilevelProblem
    box : Box
    solver : lower-level solver
    residuals : PixelResiduals or ImageResiduals
    journal : Journal
    maxeval : int
    memory : int
        See `LowerLevel`.
    """

    def __init__(self, problem, box, solver, residuals, journal, maxeval, memory):
        self._problem, self._box, self._residuals = problem, box, residuals
        self._journal, self._maxeval = journal, maxeval
        self._lower_level = LowerLevel(problem, solver, memory)
        self._root = math.sqrt(problem.loss.factor)
        self._log, self._position, self._anchor = [], 0, None
        self.count, self.floor = 0, 0.0
        self._started = {"count": 0, "floor": 0.0}
        state = journal.resume()
        if state is not None:
            self._log, self._anchor = list(state["log"]), state["search"]
            self._lower_level.restore(state["lower_level"])
            self.count, self.floor = state["count"], state["floor"]
            self._started = {"count": self.count, "floor": self.floor}

    @property
    def resumed(self):
        """State of the search at the beginning of the iteration to continue, or None."""
        return self._anchor

    def begin(self, state):
        """Note the state of the search at the beginning of an iteration."""
        if self._position >= len(self._log):
            self._anchor, self._started = state, {"count": self.count, "floor": self.floor}
            self._log, self._position = [], 0

    def __call__(self, z, precision, search, expected=None, again=False):
        """Return the `Point` at ``z`` with residuals up to the precision.

        Parameters
        ----------
        z : array ``(n,)``
        precision : float
        search : object with ``radius``, ``ratio`` and ``best``
            For the row of the journal.
        expected : array ``(m,)``, optional
            Residuals that a model predicts there.
        again : bool
            Whether the point is only to be known better.

        Raises
        ------
        BudgetError
            If this is a new point and all evaluations are used.
        """
        if not again and self.count >= self._maxeval:
            raise BudgetError
        self.count += not again
        replayed = self._position < len(self._log)
        if not replayed:
            self._log.append(self._solve(z, precision, expected))
        residuals, errors, bound = self._log[self._position]
        self._position += 1
        r = residuals.numpy()
        point = Point(z, r, errors.numpy(), float(r @ r) + self._box.penalty(z), bound)
        largest = float(point.errors.max())
        if largest > precision:  # the solver can do no better
            self.floor = max(self.floor, largest)
        if not replayed:
            self._journal.accepted(self._row(point, precision, search), self._state)
        return point

    def _solve(self, z, precision, expected):
        loss, params = self._problem.loss, self._box.params(z)
        solution = self._lower_level.solve(params, precision / self._root,
                                           self._start(params, expected))  # fmt: skip
        errors = torch.as_tensor(solution.error_bound, dtype=torch.float64)
        bound = float(loss.value_bound(solution.x, errors).sum())
        return self._residuals(loss, solution.x), self._root * errors, bound

    def _start(self, params, expected):
        """The prediction or what the lower level remembers, the one with the smaller gradient."""
        known, loss = self._lower_level.start(params), self._problem.loss
        predicted = None
        if expected is not None and self._lower_level.memory:
            predicted = self._residuals.reconstructions(loss, expected)
        if predicted is None:
            return known
        f = self._lower_level.fixed(params)
        slopes = (f.gradient(x).abs().square().flatten(1).sum(1) for x in (predicted, known))
        better = torch.lt(*slopes).reshape(-1, *[1] * (known.ndim - 1))
        return torch.where(better, predicted, known)

    def _row(self, point, precision, search):
        best, work = search.best or point, self._lower_level.work
        return {
            "evaluation": self.count, "params": self._box.params(point.z), "value": point.value,
            "value_bound": point.value_bound, "accuracy": precision / self._root,
            "error_bound": float(point.errors.max()) / self._root, "gradients": work.gradients,
            "hessian_products": work.hessian_products, "radius": search.radius,
            "ratio": search.ratio, "best": self._box.params(best.z), "best_value": best.value,
        }  # fmt: skip

    def _state(self):
        return {"search": self._anchor, "log": self._log, **self._started,
                "lower_level": self._lower_level.state()}  # fmt: skip
