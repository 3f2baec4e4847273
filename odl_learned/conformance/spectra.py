"""Where operators are largest, and functionals most and least curved, by Lanczos' method.

What it finds are directions; the checks judge by the values at points, so that a direction that is
not extreme can overlook a fault, but never invent one.
"""

import numpy as np
import odl

from odl_learned.conformance.sampling import available, flat, from_flat, is_complex, norm, positive
from odl_learned.weights import weigh


class Coordinates:
    """Elements of a space as real vectors with the same inner product, ``(W^1/2 x)``."""

    def __init__(self, space):
        self.space, self.is_complex = space, is_complex(space)
        self.roots = np.sqrt(np.real(flat(weigh(space.one()))))

    def vector(self, x):
        """Real and imaginary parts behind each other."""
        entries = self.roots * flat(x)
        return np.concatenate([entries.real, entries.imag]) if self.is_complex else entries

    def element(self, vector):
        """Inverse of :meth:`vector`."""
        if self.is_complex:
            half = len(vector) // 2
            vector = vector[:half] + 1j * vector[half:]
        return from_flat(self.space, vector / self.roots)


def extreme_directions(apply, start, steps):
    """Return unit vectors near those in which a symmetric map is smallest and largest.

    Parameters
    ----------
    apply : callable
        From vectors to vectors of the same length, linear and symmetric up to rounding.
    start : np.ndarray
    steps : int
        Largest number of applications; all directions are found after as many as ``start`` is long.
    """
    basis, diagonal, off = [], [], []
    v = start / positive(np.linalg.norm(start))
    for _ in range(min(steps, len(start))):
        w = apply(v)
        curvature = float(v @ w)
        if not np.isfinite(curvature):  # nor is it where an entry of w is not
            break
        basis.append(v)
        diagonal.append(curvature)
        rows = np.array(basis)
        for _ in range(2):  # once leaves rounding errors of the first
            w = w - rows.T @ (rows @ w)
        size = float(np.linalg.norm(w))
        if not 1e-9 * max(map(abs, diagonal)) < size < np.inf:
            break
        off.append(size)
        v = w / size
    if not basis:
        return []
    off = off[: len(basis) - 1]
    _, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return [np.array(basis).T @ vectors[:, column] for column in (0, -1)]


def largest_ratio(op, rng, steps=30):
    """Return ``|A x| / |x|`` for an ``x`` that makes it large: a lower bound of the norm."""
    if isinstance(op.domain, odl.core.set.Field):
        return norm(op(1.0))
    space = Coordinates(op.domain)
    start = rng.standard_normal(len(space.vector(op.domain.one())))
    candidates = [start]
    if available(lambda: op.adjoint):
        adjoint = op.adjoint
        candidates += extreme_directions(
            lambda v: space.vector(adjoint(op(space.element(v)))), start, steps)
    points = [space.element(v) for v in candidates]
    return max(norm(op(x)) / positive(norm(x)) for x in points)


def curved_pairs(f, x, rng, steps=40):
    """Return pairs of points near ``x``, in directions of the least and of the largest curvature.

    From differences of the gradient, ``(grad f(x + t v) - grad f(x - t v)) / (2 t)``.
    """
    space = Coordinates(f.domain)
    center = space.vector(x)
    t = 1e-3 * positive(np.linalg.norm(center))

    def ends(v):
        return space.element(center + t * v), space.element(center - t * v)

    def hessian(v):
        forward, backward = (space.vector(f.gradient(z)) for z in ends(v))
        return (forward - backward) / (2 * t)

    start = rng.standard_normal(len(center))
    return [ends(v) for v in extreme_directions(hessian, start, steps)]
