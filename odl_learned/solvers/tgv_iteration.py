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

import itertools
import math

import numpy as np
from array_api_compat import array_namespace

from odl_learned.solvers.sheets import Sheets, block_size, per_image

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
    stability : float
        The squared norm of the operator with steps, or a bound of it.
    """

    def __init__(self, y, weights, beta, stability):
        xp = array_namespace(y)
        sheets = Sheets(y.shape[0], y.shape[2:], block_size(y))
        channels, axes = range(y.shape[1]), range(len(weights))
        pairs = list(itertools.combinations(axes, 2))
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
            zeros(len(axes)), zeros(len(axes)), zeros(len(axes)), zeros(len(axes) + len(pairs)),
        ])  # fmt: skip

    def _hold(self, xp, sheets, weights, beta, state):
        self.xp, self.sheets, self.weights, self.beta = xp, sheets, weights, beta
        self._state = state
        self.pairs = list(itertools.combinations(range(len(weights)), 2))
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
                for n, (j, k) in enumerate(self.pairs):
                    if i in (j, k):
                        other = k if i == j else j
                        twist = r[len(strides) + n]
                        terms.append((at(twist, first, last, -strides[other]),
                                      at(twist, first, last), self.weights[other] / math.sqrt(2)))
                slopes.append((at(v[i], first, last), at(w[i], first, last), at(q[i], first, last),
                               terms))
            for n, (j, k) in enumerate(self.pairs):
                twist = at(r[len(strides) + n], begin, end)
                parts = [(at(w[a], begin, end, strides[b]), at(w[a], begin, end),
                          self.weights[b] / math.sqrt(2)) for a, b in ((j, k), (k, j))]
                edges = [sheets.edge(twist, block, j), sheets.edge(twist, block, k)]
                bends.append((parts, twist, edges))
            falls.append((at(y, first, last), at(u, first, last), at(z, first, last), fluxes))
        qs, rs = [rise[3] for rise in rises], [bend[1] for bend in bends]
        return work, rest, rises, bends, (qs, self._one), (rs, self._radius), falls, slopes

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
                    multiply(edge, 0.0, out=edge)
                subtract(q, w, out=q)
            for parts, r, edges in bends:
                for ahead, here, c in parts:
                    difference(xp, ahead, here, c, t)
                    add(r, t, out=r)
                for edge in edges:
                    if edge is not None:
                        multiply(edge, 0.0, out=edge)
            for fields, bound in (one, radius):
                multiply(fields[0], fields[0], out=s)
                for field in fields[1:]:
                    multiply(field, field, out=t)
                    add(s, t, out=s)
                xp.sqrt(s, out=s)
                if bound is not self._one:
                    divide(s, bound, out=s)
                xp.maximum(s, self._one, out=s)
                for field in fields:
                    divide(field, s, out=field)
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

    # With q = E* r and x = y - D* q the gap is a sum without cancellation,
    # (|D u - v| - q . (D u - v)) + (beta |E v| - r . E v) + |u - x|^2 / 2, as <q, v> = <r, E v>.
    def measure(self):
        """Gaps and values of the objective, of shape ``(size,)``; keeps the feasible ``q``."""
        xp, sheets = self.xp, self.sheets
        whole = 0, sheets.size * sheets.entries, 0, sheets.size

        def rows(values):
            return values.reshape(sheets.size, -1)

        def at(sheet, shift=0):
            return sheets.at(sheet, *whole[:2], shift)

        self._q = [self._moment(r, at) for r in self._state[6]]
        largest = xp.max(rows(length(xp, [at(q) for parts in self._q for q in parts])), axis=1)
        shrink = (1 / xp.maximum(largest, xp.ones_like(largest))).reshape(-1, 1)
        for q in itertools.chain(*self._q):
            rows(at(q))[...] *= shrink
        slopes, bends, gap, value = [], [], 0, 0
        for y, u, v, r, q in zip(*(self._state[n] for n in (0, 1, 3, 6)), self._q, strict=True):
            misfit = at(u) - at(y)
            value = value + misfit * misfit / 2
            for i, (stride, c) in enumerate(zip(sheets.strides, self.weights, strict=True)):
                slope = (at(u, stride) - at(u)) * c
                sheets.edge(slope, whole, i)[...] = 0
                slopes.append(slope - at(v[i]))
                gap = gap - at(q[i]) * slopes[-1]
                misfit = misfit - (at(q[i]) - at(q[i], -stride)) * c
            gap = gap + self.remainder(misfit)
            for i, bend in enumerate(self._bend(v, at, whole)):
                bends.append(bend)
                gap = gap - (rows(at(r[i]) * bend) * shrink).reshape(-1)
        variation = length(xp, slopes) + self.beta * length(xp, bends)
        gap, value = (per_image(xp, number + variation, sheets.size) for number in (gap, value))
        return np.maximum(gap, 0), value

    def pull(self):
        """The factor of a primal step in ``u``."""
        return self.tau / (1 + self.tau)

    def remainder(self, misfit):
        """What the gap holds of ``u - x``."""
        return misfit * misfit / 2

    def _bend(self, v, at, whole):
        """The entries of ``E v``."""
        strides, c, edge = self.sheets.strides, self.weights, self.sheets.edge
        for i, s in enumerate(strides):
            bend = (at(v[i]) - at(v[i], -s)) * c[i]
            edge(bend, whole, i)[...] = 0
            edge(bend, whole, i, 0)[...] = 0
            yield bend
        for i, j in self.pairs:
            bend = (at(v[i], strides[j]) - at(v[i])) * (c[j] * math.sqrt(0.5))
            bend = bend + (at(v[j], strides[i]) - at(v[j])) * (c[i] * math.sqrt(0.5))
            edge(bend, whole, i)[...] = 0
            edge(bend, whole, j)[...] = 0
            yield bend

    def _moment(self, r, at):
        """Sheets of ``E* r``."""
        sheets, c, fields = self.sheets, self.weights, []
        for i, s in enumerate(sheets.strides):
            field = sheets.zeros(self.xp, r[i])
            at(field)[...] = (at(r[i]) - at(r[i], s)) * c[i]
            fields.append(field)
        for n, (i, j) in enumerate(self.pairs):
            twist = r[len(c) + n]
            for own, other in ((i, j), (j, i)):
                flux = at(twist, -sheets.strides[other]) - at(twist)
                at(fields[own])[...] += flux * (c[other] * math.sqrt(0.5))
        return fields

    def x(self):
        """The images, of shape ``(size, channels, *shape)``."""
        return self.xp.stack([self.sheets.images(u) for u in self._state[1]], axis=1)

    def p(self):
        """The dual variables ``q`` last measured, of shape ``(size, channels, d, *shape)``."""
        images = self.sheets.images
        return self.xp.stack(
            [self.xp.stack([images(q) for q in parts], axis=1) for parts in self._q], axis=1)

    def slope(self):
        """``D* q`` for the ``q`` last measured, of shape ``(size, channels, *shape)``."""
        sheets, result = self.sheets, self.x()
        for channel, parts in enumerate(self._q):
            total = 0
            for q, stride, c in zip(parts, sheets.strides, self.weights, strict=True):
                end = sheets.size * sheets.entries
                total = total + (sheets.at(q, 0, end, -stride) - sheets.at(q, 0, end)) * c
            result[:, channel, ...] = total.reshape(sheets.size, *sheets.shape)
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
        new._hold(self.xp, sheets, self.weights, self.beta, part(self._state))
        new.tau, new.sigma = self.tau, self.sigma
        return new


class FixedImage(PrimalDual):
    """The same iterates with ``u = y`` fixed: they minimize ``|D u - v|_1 + beta |E v|_1``."""

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


def length(xp, fields):
    """Pointwise Euclidean norm."""
    return xp.sqrt(sum(field * field for field in fields))
