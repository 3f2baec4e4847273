"""A limit of an energy, as a value that methods take, beside `solvers.Discrepancy`."""

import dataclasses
from collections.abc import Callable

import numpy as np

from odl_learned.solvers.arithmetic.samples import numbers_of, restricted
from odl_learned.solvers.types import Numbers, Point
from odl_learned.validation import is_finite_number, shown


@dataclasses.dataclass(frozen=True)
class Below:
    r"""Stop as soon as :math:`E(u_k) < \delta`.

    Parameters
    ----------
    energy : functional, or callable
        E, such as the data term ``1/2 |A u - y|^2``; of batches, with one value per sample.
    delta : float or array (B,)
        Finite; for white noise of standard deviation s in m data, ``m s^2 / 2``, times the weight
        of the space.

    Raises
    ------
    TypeError
        If the energy is not callable.
    ValueError
        If a limit is not finite.
    """

    energy: Callable[..., Numbers]
    delta: Numbers

    def __post_init__(self):
        if not callable(self.energy):
            raise TypeError(f"energy is {shown(self.energy)}; expected a functional, such as the "
                            "data term.")
        delta = self.delta
        if not (is_finite_number(delta) or isinstance(delta, np.ndarray) and delta.ndim == 1
                and delta.dtype.kind in "fiu" and np.isfinite(delta).all()):  # fmt: skip
            raise ValueError(f"delta is {shown(delta)}; expected a finite number, or an array of "
                             "them, one per sample.")

    def reached(self, x: Point) -> np.ndarray:
        """Whether the energy of each sample is below its limit."""
        return np.atleast_1d(numbers_of(self.energy(x)) < self.delta)

    def take(self, index: np.ndarray) -> "Below":
        """The same for some of the samples."""
        delta = self.delta[index] if isinstance(self.delta, np.ndarray) else self.delta
        return Below(restricted(self.energy, index), delta)
