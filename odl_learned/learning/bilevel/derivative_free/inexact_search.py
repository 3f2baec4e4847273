r"""The trust-region search of derivative-free learning with inexact values.

Algorithm 1 of M. J. Ehrhardt and L. Roberts, Inexact derivative-free optimization for bilevel
learning, Journal of Mathematical Imaging and Vision 63 (2021), with line numbers and equations from
there; radii and points to replace after C. Cartis and L. Roberts, A derivative-free Gauss-Newton
method, Math. Program. Comput. 11 (2019).
"""

import math

import numpy as np
import torch

from odl_learned.learning.bilevel.derivative_free.interpolation import InterpolationSet, axis_points
from odl_learned.learning.bilevel.derivative_free.residuals import Point
from odl_learned.learning.bilevel.derivative_free.trust_region import criticality, model_step

ETA1, ETA2, SHRINK, GROW = 0.1, 0.7, 0.5, 2.0  # of the paper, as is eta_1' = 0.05
CRITICAL, SHORT, SAFE = 1e-3, 0.5, 0.1  # the last two of Cartis and Roberts, DFO-GN, 2019


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
