"""Which samples of a batch still run, and what became of the others.

    samples = samples_of(x0, f.domain)
    active = Active(samples, x0)
    ...
    done = samples.norm(slope) <= accuracy
    if done.any():
        active.finish(done, x, niter, "accuracy", error_bound=bound)
        ...
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from odl_learned.solvers.arithmetic.samples import Batch, Element
from odl_learned.solvers.solution import Solution
from odl_learned.solvers.types import Image, Point


class Active:
    """The samples that still run, with notes on the others.

    Attributes
    ----------
    index : numpy.ndarray of int
        Numbers of the samples that still run, in the batch the solver was given.
    """

    def __init__(self, samples: Element | Batch, x: Point) -> None:
        self._samples, self._x, self._is_own = samples, x, False
        self.index = np.arange(samples.size)
        self._niter = np.zeros(samples.size, dtype=int)
        self._reason = np.full(samples.size, "", dtype=object)
        self._numbers: dict[str, np.ndarray] = {}
        self._dual: Point | None = None

    def finish(
        self,
        done: ArrayLike,
        x: Point,
        niter: ArrayLike,
        reason: ArrayLike,
        error_bound: ArrayLike | None = None,
        gap: ArrayLike | None = None,
        dual: Point | None = None,
        residual: ArrayLike | None = None,
    ) -> np.ndarray:
        """Note the result of some of the running samples, and take them out.

        Parameters
        ----------
        done : bool or bool array, one entry per running sample
        x : batch of the running samples
        niter : int or array, one entry per running sample
        reason : str or array, one entry per running sample
        error_bound, gap, residual : array, optional
            One number per running sample.
        dual : batch of the running samples, optional

        Returns
        -------
        rest : int array
            Positions of the remaining ones among those that were running; restrict what belongs to
            the iteration by ``samples.take(value, rest)``, and problems by `restricted`.
        """
        done = np.broadcast_to(np.asarray(done, dtype=bool), self.index.shape)
        where, position = self.index[done], np.flatnonzero(done)
        if where.size and not self._is_own and len(where) < self._samples.size:
            self._x, self._is_own = self._samples.scale(1.0, self._x), True
        self._x = self._noted(self._x, x, where, position)
        if dual is not None:
            self._dual = self._noted(self._dual, dual, where, position)
        for known, value in ((self._niter, niter), (self._reason, reason)):
            known[where] = np.broadcast_to(np.asarray(value, known.dtype), done.shape)[done]
        for name, values in (("error_bound", error_bound), ("gap", gap), ("residual", residual)):
            if values is not None:
                known = self._numbers.setdefault(name, np.full(self._samples.size, math.inf))
                known[where] = np.asarray(values)[done]
        self.index = self.index[~done]
        return np.flatnonzero(~done)

    def _noted(self, known, x, where, position):
        samples = self._samples
        if len(where) == samples.size:
            return x
        if known is None:
            known = samples.take(x, np.zeros(samples.size, dtype=int))
        return samples.put(known, where, samples.take(x, position))

    def whole(self, x: Image) -> Image:
        """All samples, those that still run as in ``x``, the others as they ended."""
        samples = self._samples
        if len(self.index) == samples.size:
            return x
        return samples.put(samples.scale(1.0, self._x), self.index, x)

    def name(self, wrong: np.ndarray) -> str:
        """Words for the first of the running samples where ``wrong``: empty for an element."""
        if isinstance(self._samples, Element):
            return ""
        return f" of sample {self.index[np.argmax(wrong)]}"

    def solution(self) -> Solution:
        """The `Solution` of all samples."""
        numbers = {name: self._samples.number(v) for name, v in self._numbers.items()}
        niter, reason = self._samples.number(self._niter), self._samples.number(self._reason)
        return Solution(self._x, numbers.get("error_bound"), niter, reason, numbers.get("gap"),
                        self._dual, numbers.get("residual"))
