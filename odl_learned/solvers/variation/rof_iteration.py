r"""The primal-dual iteration of total variation denoising.

With the data divided by the regularization parameter, ``y := y / alpha``, the problem has none:

    min_x  |x - y|^2 / 2 + |D x|_1,        dual:  max_{|p| <= 1}  |y|^2 / 2 - |y - D* p|^2 / 2,

and Algorithm 2 of Chambolle and Pock is, with ``b = tau / (1 + tau)``,

    p    := project(p + sigma D z)               z is the extrapolated x
    dx    = b (y - D* p - x),   x := x + dx
    theta = 1 / sqrt(1 + 2 gamma tau),   tau := theta tau,   sigma := sigma / theta
    z    := x + theta dx.

Where pixels have weights w, ``|w D x|_1`` and ``|p| <= w`` take the places of ``|D x|_1`` and ``|p|
<= 1``.

In a sweep over the rows, the dual update of a block reads ``z`` in the block and the row after, the
primal one reads ``p`` in the block and the row before: one sweep in place is one iteration.
"""

import math

import numpy as np
from array_api_compat import array_namespace

from odl_learned.solvers.variation.sheets import Sheets, block_size, per_image

#: Of the strong convexity, one, that the steps make use of.
GAMMA = 0.7


class PrimalDual:
    """The iterates of images of shape ``(size, channels, *shape)``.

    Parameters
    ----------
    y : array
        Data divided by the regularization parameter.
    weights : list of float
        Factors of the differences along the axes, at most one.
    exponent : {2, 1}
    stability : float
        The constant ``tau sigma |D|^2``.
    radius : array of shape ``(size, *shape)``, or None
        Bounds of the dual variables, at most one; default: one everywhere.
    """

    def __init__(self, y, weights, exponent, stability, radius=None):
        xp = array_namespace(y)
        sheets = Sheets(y.shape[0], y.shape[2:], block_size(y))
        channels, axes = range(y.shape[1]), range(len(weights))
        self._hold(xp, sheets, weights, exponent,
                   y=[sheets.sheet(xp, y[:, c, ...]) for c in channels],
                   x=[sheets.sheet(xp, y[:, c, ...]) for c in channels],
                   z=[sheets.sheet(xp, y[:, c, ...]) for c in channels],
                   p=[[sheets.zeros(xp, y) for _ in axes] for c in channels],
                   radius=[] if radius is None else [
                       sheets.sheet(xp, radius), sheets.sheet(xp, radius**-2)])  # fmt: skip
        self.tau = 1.0
        self.sigma = stability / (4 * sum(c**2 for c in weights))
        for z in self._z:
            xp.multiply(z, self.sigma, out=z)

    def _hold(self, xp, sheets, weights, exponent, y, x, z, p, radius):
        self.xp, self.sheets, self.weights, self.exponent = xp, sheets, weights, exponent
        self._y, self._x, self._z, self._p = y, x, z, p
        self._radius = radius
        longest = max(end - begin for begin, end, _, _ in sheets.blocks) if sheets.blocks else 0
        self._work = [xp.empty(longest, dtype=y[0].dtype, device=y[0].device) for _ in range(3)]
        self._one = xp.ones(1, dtype=y[0].dtype, device=y[0].device)
        self._plan = [self._views(block) for block in sheets.blocks]

    def _views(self, block):
        """The slices that a block works on, taken once."""
        begin, end, _, _ = block
        sheets, at = self.sheets, self.sheets.at
        s, t, u = (work[: end - begin] for work in self._work)
        rises, falls = [], []
        for y, x, z, p in zip(self._y, self._x, self._z, self._p, strict=True):
            fluxes = []
            for i, stride in enumerate(sheets.strides):
                own, c = at(p[i], begin, end), self.weights[i]
                rises.append((i, at(z, begin, end, stride), at(z, begin, end),
                              at(x, begin, end, stride), at(x, begin, end),
                              own, sheets.edge(own, block, i), sheets.edge(t, block, i), c))
                fluxes.append((own, at(p[i], begin, end, -stride), c))
            falls.append((at(y, begin, end), at(x, begin, end), at(z, begin, end), fluxes))
        one_group = self.exponent == 2
        groups = [[r[5] for r in rises if one_group or r[0] == i] for i in range(len(self.weights))]
        radius = [at(r, begin, end) for r in self._radius]
        return block, rises, falls, groups[:1] if one_group else groups, radius, (s, t, u)

    def advance(self, count):
        """Some iterations."""
        for _ in range(count):
            self.step()

    def step(self):
        """One iteration."""
        xp = self.xp
        subtract, add, multiply = xp.subtract, xp.add, xp.multiply
        maximum, divide, sqrt = xp.maximum, xp.divide, xp.sqrt
        pull = self.tau / (1 + self.tau)
        theta = 1 / math.sqrt(1 + 2 * GAMMA * self.tau)
        self.tau, self.sigma = theta * self.tau, self.sigma / theta
        one, ahead_of = self._one, self.sigma * theta
        for _, rises, falls, groups, radius, (s, t, _) in self._plan:
            for _, ahead, here, _, _, p, edge, _, c in rises:
                subtract(ahead, here, out=t)
                if c != 1:
                    multiply(t, c, out=t)
                add(p, t, out=p)
                if edge is not None:
                    edge[...] = 0
            for group in groups:
                multiply(group[0], group[0], out=s)
                for p in group[1:]:
                    multiply(p, p, out=t)
                    add(s, t, out=s)
                if radius:
                    multiply(s, radius[1], out=s)
                maximum(s, one, out=s)
                sqrt(s, out=s)
                divide(one, s, out=s)
                for p in group:
                    multiply(p, s, out=p)
            for y, x, z, fluxes in falls:
                subtract(y, x, out=t)
                self._add_divergence(fluxes, t, s)
                multiply(t, pull, out=t)
                add(x, t, out=x)
                multiply(t, ahead_of, out=t)
                multiply(x, self.sigma, out=z)
                add(z, t, out=z)

    def _add_divergence(self, fluxes, t, s):
        """``t - D* p``."""
        xp = self.xp
        for p, before, c in fluxes:
            xp.subtract(p, before, out=s)
            if c != 1:
                xp.multiply(s, c, out=s)
            xp.add(t, s, out=t)

    # With r = y - D* p, the gap |x - y|^2 / 2 + |D x|_1 - |y|^2 / 2 + |r|^2 / 2 is a sum without
    # cancellation, (|D x| - p . D x) + |x - r|^2 / 2, since <p, D x> = <y - r, x>. Its first part
    # carries rounding errors of about 2 eps |D x|. At x = 0 it is |r|^2 / 2.
    def measure(self):
        """Gaps and values of the objective, and the gaps of the image zero."""
        xp = self.xp
        gap, value, zero = (np.zeros(self.sheets.size) for _ in range(3))
        rounding = 2 * float(xp.finfo(self._one.dtype).eps)
        row = self.sheets.strides[0]
        for block, rises, falls, groups, radius, (s, t, u) in self._plan:
            where, count = slice(*block[2:]), block[3] - block[2]
            for i in range(len(groups)):
                s[...], u[...] = 0, 0
                for axis, _, _, ahead, here, p, _, edge, c in rises:
                    if self.exponent == 1 and axis != i:
                        continue
                    xp.subtract(ahead, here, out=t)
                    xp.multiply(t, c, out=t)
                    if edge is not None:
                        edge[...] = 0
                    xp.add(u, t * p, out=u)
                    xp.multiply(t, t, out=t)
                    xp.add(s, t, out=s)
                xp.sqrt(s, out=s)
                if radius:
                    xp.multiply(s, radius[0], out=s)
                length = per_image(xp, s, count, row)
                value[where] += length
                xp.subtract(s, u, out=s)
                gap[where] += np.maximum(per_image(xp, s, count, row), 0) + rounding * length
            for y, x, _, fluxes in falls:
                xp.subtract(y, x, out=t)
                value[where] += per_image(xp, t * t, count, row) / 2
                self._add_divergence(fluxes, t, s)
                gap[where] += per_image(xp, t * t, count, row) / 2
                xp.add(t, x, out=t)
                zero[where] += per_image(xp, t * t, count, row) / 2
        return gap, value, zero

    def x(self):
        """The images, of shape ``(size, channels, *shape)``."""
        return self.xp.stack([self.sheets.images(x) for x in self._x], axis=1)

    def p(self):
        """The dual variables, of shape ``(size, channels, d, *shape)``."""
        images = self.sheets.images
        return self.xp.stack(
            [self.xp.stack([images(p) for p in parts], axis=1) for parts in self._p], axis=1)

    def v(self):
        """None: total variation has no vector field."""
        return None

    def take(self, index):
        """The iterates of some of the images."""
        old = self.sheets
        sheets = Sheets(index.shape[0], old.shape, old.block)

        def part(sheet):
            if isinstance(sheet, list):
                return [part(entry) for entry in sheet]
            return sheets.sheet(self.xp, old.images(sheet)[index, ...])

        new = object.__new__(type(self))
        new._hold(self.xp, sheets, self.weights, self.exponent,
                  *(part(sheet) for sheet in (self._y, self._x, self._z, self._p, self._radius)))
        new.tau, new.sigma = self.tau, self.sigma
        return new
