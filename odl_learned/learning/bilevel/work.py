"""The work of lower levels: what was spent, counted where energies are evaluated."""

import copy
import dataclasses

from odl_learned.energies.fixed_energy import FixedEnergy, in_double
from odl_learned.learning.bilevel.claims import Claims


@dataclasses.dataclass
class Work:
    """What was spent, counted in images: one gradient of a batch of ten are ten.

    Parameters
    ----------
    solves : int
        Calls of `LowerLevel.solve`.
    values, gradients, hessian_products : int
        Evaluations for single images; a linearization counts as a gradient.
    seconds : float
        Processor time of this process.
    """

    solves: int = 0
    values: int = 0
    gradients: int = 0
    hessian_products: int = 0
    seconds: float = 0.0


class CountedEnergy(FixedEnergy):
    """A `FixedEnergy` that adds what it does to a `Work`, and compares it with its `Claims`.

    Its parts share both. Gradients number 1, 2, 4, 8, ... are compared, each with the one before
    among these, and those of all linearizations: there are few, and each step of Newton's method
    goes where the energy is least convex.

    Parameters
    ----------
    energy, params, data
        As of `FixedEnergy`.
    work : Work
    refuted : list
        See `Claims`.
    """

    def __init__(self, energy, params, data, work, refuted):
        super().__init__(energy, params, data)
        self.work, self._last, self._count = work, None, 0
        self.claims = Claims(energy, params, self.grad_lipschitz, self.strong_convexity, refuted)

    @property
    def is_trial_due(self):
        """Whether to look for what refutes constants that do not follow from a formula.

        In solves with the number 0 or a power of two, and in all of them once there was something.
        """
        solves = self.work.solves
        return not self.energy.has_formulas and (
            solves & (solves - 1) == 0 or bool(self.claims.refuted))  # fmt: skip

    def __call__(self, x):
        self.work.values += len(x)
        return super().__call__(x)

    def gradient(self, x):
        """Return ``d_x E``."""
        self.work.gradients += len(x)
        slope = super().gradient(x)
        self._count += 1
        if self._count & (self._count - 1) == 0:
            self._compare(x, slope)
        return slope

    def spend(self, count):
        """Count iterations that cost as much as gradients."""
        self.work.gradients += count

    def linearize(self, x):
        """Return the `Linearization` at ``x``."""
        return self._counted(super().linearize(x), x)

    def linearize_from(self, x, state):
        """Return a `Linearization` for Newton's method, and the next state."""
        linear, state = super().linearize_from(x, state)
        return self._counted(linear, x), state

    def take(self, index):
        """Return the same for some of the samples."""
        part = super().take(index)
        part._last = None
        return part

    def in_double(self):
        """Return the same with data in double precision."""
        part = copy.copy(self)
        part.data, part._last = in_double(self.data), None
        return part

    def _counted(self, linear, x):
        self.work.gradients += len(x)
        self._compare(x, linear.gradient)

        frame = linear.frame
        if frame is not None:
            frame = frame._replace(hessian=self._counting(frame.hessian))
        return linear._replace(hessian=self._counting(linear.hessian), frame=frame)

    def _counting(self, product):
        def counted(v):
            self.work.hessian_products += len(v)
            return product(v)

        return counted

    def _compare(self, x, slope):
        if self._last is not None and self._last[0].shape == x.shape:
            self.claims.gradients(self, x, slope, *self._last)
        self._last = x.clone(), slope.clone()  # solvers may change theirs in place


def work_since(lower, before):
    """Return the `Work` since ``before = dataclasses.asdict(lower.work)``."""
    now = dataclasses.asdict(lower.work)
    return Work(**{name: now[name] - before[name] for name in now})
