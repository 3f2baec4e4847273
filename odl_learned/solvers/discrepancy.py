"""The discrepancy principle, as a value that solvers take."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import require_start
from odl_learned.solvers.types import Numbers, Point
from odl_learned.validation import is_finite_number


@dataclasses.dataclass(frozen=True)
class Discrepancy:
    r"""Stop as soon as :math:`|A x - y| \le \tau \, |\text{noise}|`.

    Parameters
    ----------
    forward_op : operator
    data : element or batch
        Measurement ``y``.
    noise_norm : float or array (B,)
        Norm of the noise in the norm of the range, positive.
    tau : float, optional
        Safety factor, at least one.
    """

    forward_op: Callable[..., Any]
    data: Point
    noise_norm: Numbers
    tau: float = 1.1

    def __post_init__(self):
        if isinstance(self.forward_op, type) or not callable(self.forward_op):
            raise TypeError(
                f"forward_op is {self.forward_op!r}; expected an operator, which maps x to data."
            )
        space = getattr(self.forward_op, "range", None)
        samples = samples_of(self.data, space)
        require_start("data", self.data, samples, space, "forward_op.range")
        noise_norm = np.asarray(self.noise_norm)
        is_real = noise_norm.dtype.kind in "fiu"
        if not (is_real and np.all(np.isfinite(noise_norm)) and np.all(noise_norm > 0)):
            raise ValueError(
                f"noise_norm is {self.noise_norm!r}; expected finite numbers greater than zero, the"
                " norm of the noise: the discrepancy principle never stops without noise."
            )
        if noise_norm.ndim and noise_norm.shape != (samples.size,):
            raise ValueError(
                f"noise_norm has shape {noise_norm.shape}, expected one number or "
                f"({samples.size},), one per sample."
            )
        if not (is_finite_number(self.tau) and self.tau >= 1):
            raise ValueError(f"tau is {self.tau!r}; expected a number of at least 1.")

    @property
    def limit(self) -> np.ndarray:
        """Norm of the residual to reach, one number or one per sample."""
        return self.tau * np.asarray(self.noise_norm, dtype=np.float64)

    def reached(self, x: Point) -> np.ndarray:
        """Whether the residual of each sample is down to the noise."""
        samples = samples_of(self.data, getattr(self.forward_op, "range", None))
        return samples.norm(self.forward_op(x) - self.data) <= self.limit

    def take(self, index: np.ndarray) -> "Discrepancy":
        """The principle for some of the samples."""
        samples = samples_of(self.data)
        noise_norm = np.asarray(self.noise_norm)
        noise_norm = self.noise_norm if noise_norm.ndim == 0 else noise_norm[index]
        forward_op = restricted(self.forward_op, index)
        return Discrepancy(forward_op, samples.take(self.data, index), noise_norm, self.tau)
