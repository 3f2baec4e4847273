"""The iteration of `rof_iteration` in compiled sweeps, for images in the plane on the CPU.

Bit by bit the numbers are those of the plain form.
"""

import math

import numpy as np

from odl_learned import compiled
from odl_learned.solvers.variation.rof_iteration import GAMMA, PrimalDual
from odl_learned.solvers.variation.sheets import block_rows, can_sweep
from odl_learned.solvers.variation.strips import Strips

#: Iterations in one sweep.
DEPTH = 16


def iteration(y, weights, exponent, stability, radius=None):
    """Return `Sweeps` where they can run, else the plain `PrimalDual`, for the same arguments."""
    form = Sweeps if can_sweep(y) else PrimalDual
    return form(y, weights, exponent, stability, radius)


class Sweeps:
    """The iterates, as of `rof_iteration.PrimalDual`, in pieces for threads.

    Parameters
    ----------
    y : numpy.ndarray ``(size, channels, rows, columns)``
    weights, exponent, stability, radius
        As there.
    """

    def __init__(self, y, weights, exponent, stability, radius=None):
        self.weights, self.exponent = weights, exponent
        self.tau, self.sigma = 1.0, stability / (4 * sum(c**2 for c in weights))
        fields = np.zeros((*y.shape[:2], 2, *y.shape[2:]), dtype=y.dtype)
        self._cut(y, y.copy(), y * y.dtype.type(self.sigma), fields, radius)

    def _cut(self, y, x, z, p, radius):
        self._strips = strips = Strips(y.shape[0], y.shape[2:], block_rows(y), DEPTH,
                                       compiled.useful_threads(y.size))  # fmt: skip
        self._y, self._x, self._z, self._p = (strips.cut(part) for part in (y, x, z, p))
        none = [np.empty((0, 0, 0), dtype=y.dtype)] * len(strips.pieces)
        self._radius = none if radius is None else strips.cut(radius)
        self._shrink = none if radius is None else [r**-2 for r in self._radius]
        self._factors = [y.dtype.type(c) for c in self.weights]
        self._is_weighted = radius is not None

    def advance(self, count):
        """Some iterations."""
        from odl_learned.compiled.rof import sweep

        while count > 0:
            steps = np.array([self._step() for _ in range(min(count, DEPTH))], self._y[0].dtype)
            rows = self._strips.shape[0]
            compiled.run_all(sweep, [
                (*state, steps, *self._factors, self.exponent, p.begin == 0, p.end == rows)
                for p, *state in zip(self._strips.pieces, self._y, self._x, self._z, self._p,
                                     self._shrink, strict=True)])  # fmt: skip
            for part in (self._x, self._z, self._p):
                self._strips.renew(part)
            count -= len(steps)

    def _step(self):
        """The numbers of the next iteration."""
        pull = self.tau / (1 + self.tau)
        theta = 1 / math.sqrt(1 + 2 * GAMMA * self.tau)
        self.tau, self.sigma = theta * self.tau, self.sigma / theta
        return pull, self.sigma, self.sigma * theta

    def measure(self):
        """Gaps and values of the objective, and the gaps of the image zero."""
        from odl_learned.compiled.rof import measure

        strips, channels = self._strips, self._y[0].shape[1]
        split = 2 * (2 // self.exponent)
        sums = np.empty((strips.size, strips.blocks, split + 3 * channels, strips.shape[1]))
        compiled.run_all(measure, [
            (*state, *self._factors, self.exponent, p.top - p.begin, strips.height,
             strips.of_blocks(p, sums))
            for p, *state in zip(strips.pieces, self._y, self._x, self._p, self._radius,
                                 strict=True)])  # fmt: skip
        sums = np.moveaxis(sums.sum(axis=-1), 0, -1)
        lengths, defects = sums[:, 0:split:2], np.maximum(sums[:, 1:split:2], 0)
        defects += 2 * float(np.finfo(self._y[0].dtype).eps) * lengths
        squares = sums[:, split:] / 2
        return (_added(defects, squares[:, 1::3]), _added(lengths, squares[:, 0::3]),
                _added(squares[:, 2::3]))

    def x(self):
        """The images, of shape ``(size, channels, *shape)``."""
        return self._strips.join(self._x)

    def p(self):
        """The dual variables, of shape ``(size, channels, d, *shape)``."""
        return self._strips.join(self._p)

    def v(self):
        """None: total variation has no vector field."""
        return None

    def take(self, index):
        """The iterates of some of the images."""
        new = object.__new__(type(self))
        new.weights, new.exponent = self.weights, self.exponent
        new.tau, new.sigma = self.tau, self.sigma
        radius = self._strips.join(self._radius)[index] if self._is_weighted else None
        new._cut(*(self._strips.join(part)[index] for part in (self._y, self._x, self._z, self._p)),
                 radius)  # fmt: skip
        return new


def _added(*parts):
    """Sums of arrays ``(blocks, terms, size)``, one after the other as in the plain form."""
    terms = np.concatenate(parts, axis=1)
    return np.cumsum(terms.reshape(-1, terms.shape[-1]), axis=0)[-1]
