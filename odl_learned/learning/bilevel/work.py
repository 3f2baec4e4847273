"""The work of lower levels: what was spent, counted where energies are evaluated."""

import dataclasses

from odl_learned.learning.bilevel.energy import FixedEnergy


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
    """A `FixedEnergy` that adds what it does to a `Work`; its parts share the count."""

    def __init__(self, energy, params, data, work):
        super().__init__(energy, params, data)
        self.work = work

    def __call__(self, x):
        self.work.values += len(x)
        return super().__call__(x)

    def gradient(self, x):
        """Return ``d_x E``."""
        self.work.gradients += len(x)
        return super().gradient(x)

    def spend(self, count):
        """Count iterations that cost as much as gradients."""
        self.work.gradients += count

    def linearize(self, x):
        """Return the `Linearization` at ``x``."""
        return self._counted(super().linearize(x), len(x))

    def linearize_from(self, x, state):
        """Return a `Linearization` for Newton's method, and the next state."""
        linear, state = super().linearize_from(x, state)
        return self._counted(linear, len(x)), state

    def _counted(self, linear, count):
        self.work.gradients += count

        def hessian(v):
            self.work.hessian_products += len(v)
            return linear.hessian(v)

        return linear._replace(hessian=hessian)


def work_since(lower, before):
    """Return the `Work` since ``before = dataclasses.asdict(lower.work)``."""
    now = dataclasses.asdict(lower.work)
    return Work(**{name: now[name] - before[name] for name in now})
