r"""Derivative-free bilevel learning with dynamic accuracy.

.. math:: \min_\theta f(\theta) = \sum_i c\, |\hat x_i(\theta) - x_i^*|^2 + p(\theta), \qquad
          a \le \theta \le b .

The lower level is solved as accurately as the decision at hand needs, and no further: Algorithm 1
of M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel learning, Journal
of Mathematical Imaging and Vision 63 (2021), with line numbers and equations from there.
"""

import math

import numpy as np
import torch

from odl_learned.learning.bilevel.accuracy_rules import DynamicAccuracy
from odl_learned.learning.bilevel.interpolation import InterpolationSet, axis_points
from odl_learned.learning.bilevel.lower_solvers import Accelerated
from odl_learned.learning.bilevel.problem import require_method
from odl_learned.learning.bilevel.progress import Journal, setting_of
from odl_learned.learning.bilevel.residuals import (
    Box,
    BudgetError,
    Evaluations,
    PixelResiduals,
    Point,
    described,
)
from odl_learned.learning.bilevel.trust_region import criticality, model_step
from odl_learned.validation import require_count, require_positive

ETA1, ETA2, SHRINK, GROW = 0.1, 0.7, 0.5, 2.0  # of the paper, as is eta_1' = 0.05
CRITICAL, SHORT, SAFE = 1e-3, 0.5, 0.1  # the last two of Cartis and Roberts, DFO-GN, 2019


def dynamic_accuracy(problem, params0, maxeval, solver=None, residuals=PixelResiduals(), radius=0.1,
                     largest_radius=1.0, smallest_radius=1e-6, eta=0.05, model_accuracy=10.0,
                     checkpoint=None, callback=None, progress=False):  # fmt: skip
    r"""Learn parameters without derivatives and with as little lower-level work as possible.

    Gauss-Newton models ``m(s) = |r~ + J s|^2 + p(theta + s)`` interpolate the residuals linearly at
    n + 1 points, where they are known up to ``10 Delta^2``; the penalty enters exactly. A step
    ``s`` is judged by ``rho = (f~(theta) - f~(theta + s)) / (m(0) - m(s))``, with both values known
    to (32),

    .. math:: |\tilde f - f| \le \eta_1' [m(0) - m(s)],

    or so well that the interval of ``rho`` leaves no choice.

    Parameters
    ----------
    problem : BilevelProblem
        With finite bounds, to which the trust region is scaled, and the loss `SquaredError`.
    params0 : tensor ``(P,)``
        Start, within the bounds; up to about a hundred parameters.
    maxeval : int
        Largest number of points where the lower level is solved, more than P. To know one of them
        more accurately later counts as work, not as an evaluation.
    solver : lower-level solver, optional
        See `LowerLevel`. Default: ``Accelerated()``.
    residuals : PixelResiduals or ImageResiduals, optional
        `PixelResiduals` (default): one residual for every real number of all images, whose models
        know more; `ImageResiduals`: one for every image, as in the paper. Lower levels start at the
        nearest of the last P + 1 reconstructions, or at what the model predicts.
    radius, largest_radius, smallest_radius : float, optional
        First, largest and smallest trust-region radius, where the box has width one; when its
        lower bound is below the smallest, the algorithm stops.
    eta : float, optional
        ``eta_1'``, at most 0.05.
    model_accuracy : float, optional
        Residuals of models are known up to this times ``Delta^2``; 10 in the paper. Errors of
        n + 1 points add up: with many parameters and `ImageResiduals`, 1 takes fewer evaluations.
    checkpoint, callback, progress : optional
        See `Journal`; rows are evaluations, more accurate ones of known points included.

    Returns
    -------
    Learned
        ``value_bound`` is a certificate if that of the solver is; ``reason`` is ``"radius"`` or
        ``"maxeval"``. The history has ``evaluation`` (number of points so far), ``params``,
        ``value``, ``value_bound``, ``accuracy`` (asked for the reconstructions), ``error_bound``
        (reached), ``gradients`` and ``hessian_products`` (of single images, since the start),
        ``radius``, ``ratio`` (the last ``rho``), ``best`` and ``best_value`` (of the iterate), and
        ``seconds``.

    Raises
    ------
    ValueError
        If bounds are not finite, the start is not within them, or numbers contradict the theory.
    TypeError
        If the loss is not a squared error.
    """
    require_positive("eta", eta)
    require_positive("model_accuracy", model_accuracy)
    if eta > min(ETA1, 1 - ETA2) / 2:
        raise ValueError(
            f"eta is {eta}, expected at most {min(ETA1, 1 - ETA2) / 2}: decisions with less "
            "accurate values may be wrong; use fixed_accuracy to see what happens then."
        )
    return learn(problem, params0, maxeval, Accelerated() if solver is None else solver, residuals,
                 DynamicAccuracy(eta, model_accuracy), (radius, largest_radius, smallest_radius),
                 (checkpoint, callback, progress), max(8, len(params0) + 1))  # fmt: skip


def learn(problem, params0, maxeval, solver, residuals, accuracy, radii, journal, memory=8):
    """Run Algorithm 1 with an accuracy rule; see `dynamic_accuracy` and `fixed_accuracy`."""
    problem.require_params(params0)
    require_method("residuals", residuals, "PixelResiduals()")
    require_count("maxeval", maxeval, len(params0) + 1)
    for name, value in zip(("radius", "largest_radius", "smallest_radius"), radii, strict=True):
        require_positive(name, value)
    box = Box(problem, params0)
    setting = setting_of(problem, params0) | vars(accuracy) | {
        "method": type(accuracy).__name__, "solver": described(solver),
        "radii": torch.tensor(radii, dtype=torch.float64), "residuals": described(residuals),
        "memory": memory}  # fmt: skip
    with Journal(setting, *journal) as rows:
        evaluations = Evaluations(problem, box, solver, residuals, rows, maxeval, memory)
        search = TrustRegion(evaluations, box, accuracy, radii)
        try:
            search.run(box.scaled(params0))
            reason = "radius"
        except BudgetError:
            reason = "maxeval"
        best = search.best
        return rows.learned(box.params(best.z), best.value, best.value_bound, reason)


class TrustRegion:
    """Algorithm 1, with a lower bound of the radius, ``resolution``, that never grows (Powell).

    It is halved only where steps fail or are short although the model is fully linear: so the
    radius can recover, and points are not replaced after every failure.
    """

    def __init__(self, evaluations, box, accuracy, radii):
        self._evaluations, self._box, self._accuracy = evaluations, box, accuracy
        self.radius, self._largest, self._smallest = map(float, radii)
        self.resolution = self.radius
        self.ratio, self.points, self._first = math.nan, None, None

    @property
    def best(self):
        """The iterate, or the first point before there are models."""
        return self._first if self.points is None else self.points.center

    def run(self, z):
        """Iterate until the radius is small (lines 1 to 13)."""
        state = self._evaluations.resumed
        if state is None:
            self._first_model(z)
        else:
            self._restore(state)
        while self.resolution >= self._smallest:
            self._evaluations.begin(self._state())
            step, decrease = self._step()
            if self._critical(step):
                self.radius = max(SAFE * self.radius, self.resolution)
                self._improve()
            elif self._accurate(decrease):
                self._judge(step, decrease)

    def _first_model(self, z):
        """Line 1: the start and a step along each axis, where the lower level is easier."""
        precision = self._accuracy.of_model(self.radius)
        center = self._first = self._evaluate(z, precision)
        others = [self._evaluate(min(pair, key=self._box.condition), precision)
                  for pair in axis_points(z, self.radius)]  # fmt: skip
        everyone = [center, *others]
        best = min(range(len(everyone)), key=lambda i: everyone[i].value)
        self.points = InterpolationSet(everyone.pop(best), everyone)

    def _critical(self, step):
        """Lines 5 to 8: whether the model is to be improved before a step.

        So it is in the criticality phase, and if the step is short (the safety step of Powell):
        what it promises is less than what the model is good for.
        """
        if np.linalg.norm(step) < SHORT * self.resolution:
            return True
        slope = self._model_criticality()
        return slope <= CRITICAL and not (self._fully_linear() and self.radius <= slope)

    def _accurate(self, decrease):
        """Lines 4 and 9: whether (32) holds at the center; if not, refine it: a new step is due."""
        center = self.points.center
        if self._accuracy.suffices(center, decrease):
            return True
        needed = self._accuracy.of_decrease(center, decrease)
        self.points.center = refined = self._refined(center, needed)
        return refined.value_bound >= center.value_bound  # the solver can do no better: go on

    def _judge(self, step, decrease):
        """Lines 10 to 12: evaluate, accept or reject, update radius and interpolation set.

        Steps with ``rho >= eta_1`` are accepted although the model may not be fully linear, where
        (33) asks for ``eta_2``: they decrease ``f`` by a fixed part of what the model promised, and
        with many parameters most models are not fully linear.
        """
        trial = self._trial(np.clip(self.points.center.z + step, 0, 1), decrease)
        self.ratio = (self.points.center.value - trial.value) / decrease
        accepted, length = self.ratio >= ETA1, float(np.linalg.norm(step))
        if self.ratio >= ETA2:
            self.radius = min(GROW * self.radius, self._largest)
        elif accepted:
            self.radius = max(SHRINK * self.radius, length)
        else:
            self.radius = min(SHRINK * self.radius, length)
        if self.radius < 1.5 * self.resolution:
            self.radius = self.resolution
        t, influence = self.points.worst(self.radius, step, accepted * step)
        if accepted:
            self.points.move_center(trial, t)
        elif influence >= 0.5:  # the model learns from its failure where that keeps the geometry
            self.points.replace(t, trial)
        if not accepted:
            self._improve()

    def _trial(self, z, decrease):
        """Evaluate until (32) holds, or until the interval of ``rho`` leaves no choice."""
        center = self.points.center
        trial = self._evaluate(z, self._accuracy.of_model(self.radius))
        while not self._accuracy.suffices(trial, decrease):
            ratio = (center.value - trial.value) / decrease
            doubt = (center.value_bound + trial.value_bound) / decrease
            if ratio + doubt < ETA1 or ratio - doubt >= ETA2:
                break
            needed = max(self._accuracy.of_decrease(trial, decrease), 0.01 * trial.errors.max())
            refined = self._refined(trial, needed)
            if refined.value_bound >= trial.value_bound:
                return refined
            trial = refined
        return trial

    def _improve(self):
        """One better point, or all residuals accurate, or else a finer resolution."""
        precision, points = self._accuracy.of_model(self.radius), self.points
        if not points.poised(self.radius):
            t, distance = points.to_improve(self.radius)
            near = max(min(0.1 * distance, 0.5 * self.radius), self.resolution)
            z = min(points.better_points(t, near), key=self._box.condition)
            points.replace(t, self._evaluate(z, precision))
        elif not self._fully_linear():
            if points.center.errors.max() > precision:
                points.center = self._refined(points.center, precision)
            for t, other in enumerate(points.others):
                if other.errors.max() > precision:
                    points.replace(t, self._refined(other, precision))
        elif self.radius <= self.resolution:
            self.resolution *= SHRINK

    def _step(self):
        center = self.points.center
        return model_step(
            center.residuals, self.points.jacobian(), self.radius, -center.z, 1 - center.z,
            lambda s: self._box.penalty(center.z + s), lambda s: self._box.expansion(center.z + s),
        )  # fmt: skip

    def _model_criticality(self):
        z, r = self.points.center.z, self.points.center.residuals
        slope = 2 * self.points.jacobian().T @ r + self._box.expansion(z)[0]
        return criticality(slope, -z, 1 - z)

    def _fully_linear(self):
        return self.points.poised(self.radius) and self._accuracy.accurate(
            self.points.everyone(), self.radius, self._evaluations.floor)  # fmt: skip

    def _evaluate(self, z, precision):
        for point in [] if self.points is None else self.points.everyone():
            if np.abs(point.z - z).max() <= 1e-9:
                known = point.errors.max() <= precision
                return point if known else self._refined(point, precision)
        expected = None
        if self.points is not None:
            center = self.points.center
            expected = center.residuals + self.points.jacobian() @ (z - center.z)
        return self._evaluations(z, precision, self, expected)

    def _refined(self, point, precision):
        """The same point, more accurate by a tenth at least."""
        precision = min(precision, 0.9 * float(point.errors.max()))
        return self._evaluations(point.z, precision, self, point.residuals, again=True)

    def _state(self):
        everyone = zip(*self.points.everyone(), strict=True)
        z, residuals, errors, values, bounds = everyone
        return {"radius": self.radius, "resolution": self.resolution,
                "ratio": self.ratio, "values": list(values),
                "bounds": list(bounds), "z": torch.as_tensor(np.stack(z)),
                "residuals": torch.as_tensor(np.stack(residuals)),
                "errors": torch.as_tensor(np.stack(errors))}  # fmt: skip

    def _restore(self, state):
        self.radius, self.resolution = state["radius"], state["resolution"]
        self.ratio = state["ratio"]
        arrays = (state[name].numpy() for name in ("z", "residuals", "errors"))
        center, *others = map(Point, *arrays, state["values"], state["bounds"])
        self.points = InterpolationSet(center, others)
