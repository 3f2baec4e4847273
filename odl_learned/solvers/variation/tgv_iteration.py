r"""The primal-dual iteration of total generalized variation, for batches of images.

With the data divided by the regularization parameter and lengths in pixels, the problem and its
dual are

    min_{u,v}  |u - y|^2 / 2 + |D u - v|_1 + beta |E v|_1,
    max_{|q| <= 1, |r| <= beta, q = E* r}  |y|^2 / 2 - |y - D* q|^2 / 2,

and Algorithm 1 of Chambolle and Pock, is

    q := project_1(q + sigma (D z - w)),    r := project_beta(r + sigma E w),
    u := (u + tau (y - D* q)) / (1 + tau),    z := 2 u - u_old,
    v := v + tau (q - E* r),                  w := 2 v - v_old.

Differences on the diagonal of ``E`` look back, those of ``D`` and off the diagonal ahead, so that
a block of dual updates is followed by the primal ones of the block shifted back by one row.
"""

import math

import numpy as np
from array_api_compat import array_namespace

from odl_learned.solvers.variation import tgv_sweeps
from odl_learned.solvers.variation.sheets import Sheets, block_rows, block_size, can_sweep
from odl_learned.solvers.variation.tgv_gap import Differences, gap_and_value

#: Primal step, the best of several in experiments (images of unit range, alpha from 0.05 to 0.2).
#: The products of the steps follow from stability.
TAU = 0.1


class PrimalDual:
    """The iterates of images of shape ``(size, channels, *shape)``.

    Parameters
    ----------
    y : array
        Data divided by the regularization parameter.
    weights : list of float
        Factors of the differences along the axes, at most one.
    beta : float
        In pixels.
    radius, bend_radius : arrays of shape ``(size, *shape)``, or None
        Bounds of ``q`` and ``r`` in the places of one and ``beta``.
    stability : float
        The squared norm of the operator with steps, or a bound of it.
    """

    #: Whether ``u`` is no unknown.
    is_fixed = False

    def __init__(self, y, weights, beta, stability, radius=None, bend_radius=None):
        xp = array_namespace(y)
        sheets = Sheets(y.shape[0], y.shape[2:], block_size(y))
        channels, axes = range(y.shape[1]), range(len(weights))
        # |D| and |E| are at most sqrt(4 sum c_i^2), and |(D, -I; 0, E)| that of the norms.
        norm = math.sqrt(4 * sum(c**2 for c in weights))
        norm = np.linalg.norm([[norm, 1.0], [0.0, norm]], 2).item()
        self.tau, self.sigma = TAU, stability / (norm**2 * TAU)

        def zeros(count):
            return [[sheets.zeros(xp, y) for _ in range(count)] for _ in channels]

        images = [y[:, c, ...] for c in channels]
        self._hold(xp, sheets, weights, beta, [
            [sheets.sheet(xp, image) for image in images],
            [sheets.sheet(xp, image) for image in images],
            [sheets.sheet(xp, self.sigma * image) for image in images],
            zeros(len(axes)), zeros(len(axes)), zeros(len(axes)),
            zeros(math.comb(len(axes) + 1, 2)),
        ], [] if radius is None else [sheets.sheet(xp, r) for r in (radius, bend_radius)])

    def _hold(self, xp, sheets, weights, beta, state, radii):
        self.xp, self.sheets, self.weights, self.beta = xp, sheets, weights, float(beta)
        self._state, self._radii = state, radii
        self._differences = Differences(xp, sheets, weights)
        longest = max((end - begin for begin, end, _, _ in sheets.blocks), default=0)
        like = state[0][0]
        self._work = [xp.empty(longest + sheets.margin, dtype=like.dtype, device=like.device)
                      for _ in range(2)]  # fmt: skip
        self._radius = xp.full((1,), float(beta), dtype=like.dtype, device=like.device)
        self._one = xp.ones(1, dtype=like.dtype, device=like.device)
        self._plan = [self._views(n, block) for n, block in enumerate(sheets.blocks)]

    def _views(self, number, block):
        """The slices that a block works on, taken once."""
        begin, end, _, _ = block
        sheets, at, strides = self.sheets, self.sheets.at, self.sheets.strides
        pairs = self._differences.pairs
        work = [w[: end - begin] for w in self._work]
        rises, bends, falls, slopes = [], [], [], []
        first = begin - sheets.margin if number else 0
        last = end if number == len(sheets.blocks) - 1 else end - sheets.margin
        last = max(first, last)
        rest = [w[: last - first] for w in self._work]
        for y, u, z, v, w, q, r in zip(*self._state, strict=True):
            fluxes = []
            for i, s in enumerate(strides):
                c, own = self.weights[i], at(q[i], begin, end)
                rises.append((at(z, begin, end, s), at(z, begin, end), at(w[i], begin, end), own,
                              sheets.edge(own, block, i), c))
                fluxes.append((at(q[i], first, last), at(q[i], first, last, -s), c))
                bend = at(r[i], begin, end)
                edges = [sheets.edge(bend, block, i, 0), sheets.edge(bend, block, i)]
                bends.append(([(at(w[i], begin, end), at(w[i], begin, end, -s), c)], bend, edges))
                terms = [(at(r[i], first, last), at(r[i], first, last, s), c)]
                for n, (j, k) in enumerate(pairs):
                    if i in (j, k):
                        other = k if i == j else j
                        twist = r[len(strides) + n]
                        terms.append((at(twist, first, last, -strides[other]),
                                      at(twist, first, last), self.weights[other] / math.sqrt(2)))
                slopes.append((at(v[i], first, last), at(w[i], first, last), at(q[i], first, last),
                               terms))
            for n, (j, k) in enumerate(pairs):
                twist = at(r[len(strides) + n], begin, end)
                parts = [(at(w[a], begin, end, strides[b]), at(w[a], begin, end),
                          self.weights[b] / math.sqrt(2)) for a, b in ((j, k), (k, j))]
                edges = [sheets.edge(twist, block, j), sheets.edge(twist, block, k)]
                bends.append((parts, twist, edges))
            falls.append((at(y, first, last), at(u, first, last), at(z, first, last), fluxes))
        qs, rs = [rise[3] for rise in rises], [bend[1] for bend in bends]
        one, radius = [at(r, begin, end) for r in self._radii] or (self._one, self._radius)
        return work, rest, rises, bends, (qs, one), (rs, radius), falls, slopes

    def advance(self, count):
        """Some iterations, in compiled sweeps where there are."""
        if not self._can_sweep():
            for _ in range(count):
                self.step()
            return
        images = self.sheets.images
        numbers = self.pull(), self.tau, self.sigma, self.beta, *self.weights
        tgv_sweeps.advance(self._images(*self._state), [images(r) for r in self._radii], numbers,
                           block_rows(images(self._state[0][0])[:, None]), count)  # fmt: skip

    def _can_sweep(self):
        return len(self.weights) == 2 and can_sweep(self.sheets.images(self._state[0][0])[:, None])

    def _images(self, *parts):
        """Lists of images of all channels, views."""
        return [[self.sheets.images(sheet) for channel in part for sheet in
                 (channel if isinstance(channel, list) else [channel])] for part in parts]

    # All dual steps are equal, so are all primal ones; z and w are kept multiplied by sigma.
    def step(self):
        """One iteration."""
        xp, sigma = self.xp, self.sigma
        subtract, add, multiply, divide = xp.subtract, xp.add, xp.multiply, xp.divide
        pull, tau = self.pull(), self.tau
        for (s, t), (a, b), rises, bends, one, radius, falls, slopes in self._plan:
            for ahead, here, w, q, edge, c in rises:
                difference(xp, ahead, here, c, t)
                add(q, t, out=q)
                if edge is not None:
                    edge[...] = 0
                subtract(q, w, out=q)
            for parts, r, edges in bends:
                for ahead, here, c in parts:
                    difference(xp, ahead, here, c, t)
                    add(r, t, out=r)
                for edge in edges:
                    if edge is not None:
                        edge[...] = 0
            for fields, bound in (one, radius):
                multiply(fields[0], fields[0], out=s)
                for field in fields[1:]:
                    multiply(field, field, out=t)
                    add(s, t, out=s)
                xp.sqrt(s, out=s)
                if bound is not self._one:
                    divide(s, bound, out=s)
                xp.maximum(s, self._one, out=s)
                divide(self._one, s, out=s)
                for field in fields:
                    multiply(field, s, out=field)
            for y, u, z, fluxes in falls:
                subtract(y, u, out=a)
                for q, before, c in fluxes:
                    difference(xp, q, before, c, b)
                    add(a, b, out=a)
                multiply(a, pull, out=a)
                add(u, a, out=u)
                multiply(a, sigma, out=a)
                multiply(u, sigma, out=z)
                add(z, a, out=z)
            for v, w, q, terms in slopes:
                for n, (plus, minus, c) in enumerate(terms):
                    target = b if n else a
                    difference(xp, plus, minus, c, target)
                    if n:
                        add(a, b, out=a)
                subtract(q, a, out=a)
                multiply(a, tau, out=a)
                add(v, a, out=v)
                multiply(a, sigma, out=a)
                multiply(v, sigma, out=w)
                add(w, a, out=w)

    def measure(self):
        """Gaps and values of the objective, and the gaps of the image zero; keeps ``q``."""
        y, u, _, v, _, _, r = self._state
        if self._can_sweep():
            sheets = self.sheets
            self._q = [[sheets.zeros(self.xp, y[0]) for _ in self.weights] for _ in y]
            return tgv_sweeps.gap_and_value(
                self._images(y, u, v, r), [sheets.images(radius) for radius in self._radii],
                self.beta, self.weights, self.is_fixed, *self._images(self._q))
        radii = [self._differences.at(r) for r in self._radii] or (1.0, self.beta)
        self._q, gap, value, zero_gap = gap_and_value(
            self._differences, (y, u, v, r), *radii, self.remainder)
        return gap, value, zero_gap

    def pull(self):
        """The factor of a primal step in ``u``."""
        return self.tau / (1 + self.tau)

    def remainder(self, misfit):
        """What the gap holds of ``u - x``."""
        return misfit * misfit / 2

    def x(self):
        """The images, of shape ``(size, channels, *shape)``."""
        return self.xp.stack([self.sheets.images(u) for u in self._state[1]], axis=1)

    def p(self):
        """The dual variables ``q`` last measured, of shape ``(size, channels, d, *shape)``."""
        images = self.sheets.images
        return self.xp.stack(
            [self.xp.stack([images(q) for q in parts], axis=1) for parts in self._q], axis=1)

    def v(self):
        """The vector fields, of shape ``(size, channels, d, *shape)``."""
        images = self.sheets.images
        return self.xp.stack(
            [self.xp.stack([images(v) for v in parts], axis=1) for parts in self._state[3]], axis=1)

    def slope(self):
        """``D* q`` for the ``q`` last measured, of shape ``(size, channels, *shape)``."""
        result = self.x()
        for channel, q in enumerate(self._q):
            total = sum(self._differences.gradient_adjoint(q))
            result[:, channel, ...] = total.reshape(self.sheets.size, *self.sheets.shape)
        return result

    def take(self, index):
        """The iterates of some of the images."""
        old = self.sheets
        sheets = Sheets(index.shape[0], old.shape, old.block)

        def part(sheet):
            if isinstance(sheet, list):
                return [part(entry) for entry in sheet]
            return sheets.sheet(self.xp, old.images(sheet)[index, ...])

        new = object.__new__(type(self))
        new._hold(self.xp, sheets, self.weights, self.beta, part(self._state), part(self._radii))
        new.tau, new.sigma = self.tau, self.sigma
        return new


class FixedImage(PrimalDual):
    """The same iterates with ``u = y`` fixed: they minimize ``|D u - v|_1 + beta |E v|_1``."""

    is_fixed = True

    def pull(self):
        """Zero."""
        return 0.0

    def remainder(self, misfit):
        """Nothing: ``u`` is no unknown."""
        return 0 * misfit


def difference(xp, first, second, factor, out):
    """``factor (first - second)``."""
    xp.subtract(first, second, out=out)
    if factor != 1:
        xp.multiply(out, factor, out=out)
