r"""The duality gap of total generalized variation on sheets, with a feasible dual variable.

For the problem and its dual

    min_{u,v}  |u - y|^2 / 2 + |D u - v|_1 + beta |E v|_1,
    max_{|q| <= 1, |r| <= beta, q = E* r}  |y|^2 / 2 - |y - D* q|^2 / 2,

``q`` is computed from ``r``, and both are multiplied by the largest factor up to one that makes
``q`` feasible. Both bounds may differ from pixel to pixel, ``|q| <= w`` and ``|r| <= beta``, with
the norms ``|w (D u - v)|_1`` and ``|beta E v|_1``.
"""

import itertools
import math

import numpy as np

from odl_learned.solvers.variation.sheets import per_image


class Differences:
    """The differences ``D`` and ``E`` on whole sheets of the images of one channel.

    Parameters
    ----------
    xp : module
        The array-API namespace of the sheets.
    sheets : Sheets
    weights : list of float
        Factors of the differences along the axes.
    """

    def __init__(self, xp, sheets, weights):
        self.xp, self.sheets, self.weights = xp, sheets, weights
        #: The pairs of axes of the entries of ``E`` off the diagonal.
        self.pairs = list(itertools.combinations(range(len(weights)), 2))

    def at(self, sheet, shift=0):
        """All entries of a sheet, shifted; a view."""
        return self.sheets.at(sheet, 0, self.sheets.size * self.sheets.entries, shift)

    def gradient(self, u):
        """The entries of ``D u``."""
        for i, (s, c) in enumerate(zip(self.sheets.strides, self.weights, strict=True)):
            yield self._without((self.at(u, s) - self.at(u)) * c, (i, -1))

    def gradient_adjoint(self, q):
        """The summands of ``D* q``, one for every axis."""
        for field, s, c in zip(q, self.sheets.strides, self.weights, strict=True):
            yield (self.at(field, -s) - self.at(field)) * c

    def symmetrized(self, v):
        """The entries of ``E v``."""
        at, strides, c = self.at, self.sheets.strides, self.weights
        for i, s in enumerate(strides):
            yield self._without((at(v[i]) - at(v[i], -s)) * c[i], (i, -1), (i, 0))
        for i, j in self.pairs:
            bend = (at(v[i], strides[j]) - at(v[i])) * (c[j] * math.sqrt(0.5))
            bend = bend + (at(v[j], strides[i]) - at(v[j])) * (c[i] * math.sqrt(0.5))
            yield self._without(bend, (i, -1), (j, -1))

    def symmetrized_adjoint(self, r):
        """Sheets of ``E* r``."""
        at, sheets, c, fields = self.at, self.sheets, self.weights, []
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

    def _without(self, values, *edges):
        """Values set to zero at the first or last index of some axes, in place."""
        size, entries = self.sheets.size, self.sheets.entries
        for axis, index in edges:
            self.sheets.edge(values, (0, size * entries, 0, size), axis, index)[...] = 0
        return values


# With q = E* r and x = y - D* q the gap is a sum without cancellation,
# (|D u - v| - q . (D u - v)) + (beta |E v| - r . E v) + |u - x|^2 / 2, as <q, v> = <r, E v>.
def gap_and_value(differences, state, radius, beta, remainder):
    """Return the feasible ``q``, duality gaps and values of the objective.

    Parameters
    ----------
    differences : Differences
    state : tuple ``(y, u, v, r)`` of lists with an entry per channel
        Sheets of images ``y`` and ``u``, lists of sheets of fields ``v`` and ``r``.
    radius, beta : float, or array with an entry for each of the sheets
        Bounds of ``q`` and ``r``.
    remainder : callable
        What the gap holds of ``u - x``, pointwise.

    Returns
    -------
    q : list of lists of sheets
    gap, value, zero_gap : numpy.ndarray of shape ``(size,)``
        The last one is that of ``u = 0`` and ``v = 0``.
    """
    xp, size, at = differences.xp, differences.sheets.size, differences.at
    row = differences.sheets.strides[0]

    def rows(values):
        return values.reshape(size, -1)

    fields = [differences.symmetrized_adjoint(r) for r in state[3]]
    largest = xp.max(rows(_length(xp, [at(q) for q in itertools.chain(*fields)]) / radius), axis=1)
    shrink = (1 / xp.maximum(largest, xp.ones_like(largest))).reshape(-1, 1)
    for q in itertools.chain(*fields):
        rows(at(q))[...] *= shrink
    slopes, bends, gap, value, zero = [], [], 0, 0, 0
    for y, u, v, r, q in zip(*state, fields, strict=True):
        misfit = at(u) - at(y)
        value = value + misfit * misfit / 2
        for i, slope in enumerate(differences.gradient(u)):
            slopes.append(slope - at(v[i]))
            gap = gap - at(q[i]) * slopes[-1]
        for flux in differences.gradient_adjoint(q):
            misfit = misfit + flux
        gap = gap + remainder(misfit)
        zero = zero + (misfit - at(u)) * (misfit - at(u)) / 2
        for i, bend in enumerate(differences.symmetrized(v)):
            bends.append(bend)
            gap = gap - (rows(at(r[i]) * bend) * shrink).reshape(-1)
    variation = radius * _length(xp, slopes) + beta * _length(xp, bends)
    gap, value = (per_image(xp, number + variation, size, row) for number in (gap, value))
    rounding = 2 * float(xp.finfo(variation.dtype).eps) * per_image(xp, variation, size, row)
    return fields, np.maximum(gap, 0) + rounding, value, per_image(xp, zero, size, row)


def _length(xp, fields):
    """Pointwise Euclidean norm."""
    return xp.sqrt(sum(field * field for field in fields))
