"""The iteration of `rof_iteration` in compiled sweeps, for images and volumes on the CPU.

Bit by bit the numbers are those of the plain form. A volume is swept slab by slab as an image is
row by row.
"""

import math

import numpy as np

from odl_learned import compiled
from odl_learned.solvers.variation.rof_iteration import GAMMA, PrimalDual
from odl_learned.solvers.variation.sheets import block_rows, can_sweep
from odl_learned.solvers.variation.strips import Strips

#: Iterations in one sweep over images.
DEPTH = 16
#: Bytes of the slabs of a volume that the iterations of one sweep are to work on.
CACHE = 2**22


def iteration(y, weights, exponent, stability, radius=None):
    """Return `Sweeps` where they can run, else the plain `PrimalDual`, for the same arguments."""
    form = Sweeps if can_sweep(y, (2, 3)) else PrimalDual
    return form(y, weights, exponent, stability, radius)


class Sweeps:
    """The iterates, as of `rof_iteration.PrimalDual`, in pieces for threads.

    Parameters
    ----------
    y : numpy.ndarray ``(size, channels, rows, columns)``, or with three axes of volumes
    weights, exponent, stability, radius
        As there.
    """

    def __init__(self, y, weights, exponent, stability, radius=None):
        self.weights, self.exponent = weights, exponent
        self.tau, self.sigma = 1.0, stability / (4 * sum(c**2 for c in weights))
        self._shape = y.shape[2:]
        y = y.reshape(*y.shape[:3], -1)  # of a volume, slabs as rows
        radius = None if radius is None else radius.reshape(*radius.shape[:2], -1)
        fields = np.zeros((*y.shape[:2], len(weights), *y.shape[2:]), dtype=y.dtype)
        self._cut(y, y.copy(), y * y.dtype.type(self.sigma), fields, radius)

    def _cut(self, y, x, z, p, radius):
        slab = (3 + len(self.weights)) * y[0, :, 0].nbytes  # of all that an iteration works on
        self._depth = DEPTH if len(self._shape) == 2 else max(1, min(DEPTH, CACHE // slab))
        self._strips = strips = Strips(y.shape[0], y.shape[2:], block_rows(y), self._depth,
                                       compiled.useful_threads(y.size))  # fmt: skip
        self._y, self._x, self._z, self._p = (strips.cut(part) for part in (y, x, z, p))
        none = [np.empty((0, 0, 0), dtype=y.dtype)] * len(strips.pieces)
        self._radius = none if radius is None else strips.cut(radius)
        self._shrink = none if radius is None else [r**-2 for r in self._radius]
        self._factors = [y.dtype.type(c) for c in self.weights]
        self._is_weighted = radius is not None

    def advance(self, count):
        """Some iterations."""
        loops, width = self._loops()
        while count > 0:
            number = min(count, self._depth)
            steps = np.array([self._step() for _ in range(number)], self._y[0].dtype)
            rows = self._strips.shape[0]
            compiled.run_all(loops.sweep, [
                (*state, steps, *self._factors, *width, self.exponent, p.begin == 0, p.end == rows)
                for p, *state in zip(self._strips.pieces, self._y, self._x, self._z, self._p,
                                     self._shrink, strict=True)])  # fmt: skip
            for part in (self._x, self._z, self._p):
                self._strips.renew(part)
            count -= len(steps)

    def _loops(self):
        """The compiled loops, and what those of volumes have to know."""
        if len(self._shape) == 2:
            from odl_learned.compiled.variation import rof

            return rof, ()
        from odl_learned.compiled.variation import rof_volumes

        return rof_volumes, (self._shape[-1],)

    def _step(self):
        """The numbers of the next iteration."""
        pull = self.tau / (1 + self.tau)
        theta = 1 / math.sqrt(1 + 2 * GAMMA * self.tau)
        self.tau, self.sigma = theta * self.tau, self.sigma / theta
        return pull, self.sigma, self.sigma * theta

    def measure(self):
        """Gaps and values of the objective, and the gaps of the image zero."""
        loops, width = self._loops()
        strips, channels = self._strips, self._y[0].shape[1]
        split = 2 * (1 if self.exponent == 2 else len(self.weights))
        sums = np.empty((strips.size, strips.blocks, split + 3 * channels, strips.shape[1]))
        compiled.run_all(loops.measure, [
            (*state, *self._factors, *width, self.exponent, p.top - p.begin, strips.height,
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
        return self._joined(self._x)

    def p(self):
        """The dual variables, of shape ``(size, channels, d, *shape)``."""
        return self._joined(self._p)

    def _joined(self, parts):
        whole = self._strips.join(parts)
        return whole.reshape(*whole.shape[:-2], *self._shape)

    def v(self):
        """None: total variation has no vector field."""
        return None

    def take(self, index):
        """The iterates of some of the images."""
        new = object.__new__(type(self))
        new.weights, new.exponent = self.weights, self.exponent
        new.tau, new.sigma, new._shape = self.tau, self.sigma, self._shape
        radius = self._strips.join(self._radius)[index] if self._is_weighted else None
        new._cut(*(self._strips.join(part)[index] for part in (self._y, self._x, self._z, self._p)),
                 radius)  # fmt: skip
        return new


def _added(*parts):
    """Sums of arrays ``(blocks, terms, size)``, one after the other as in the plain form."""
    terms = np.concatenate(parts, axis=1)
    return np.cumsum(terms.reshape(-1, terms.shape[-1]), axis=0)[-1]
