r"""Linear interpolation on n + 1 points: models of residuals, and how good they can be.

The residuals are interpolated at ``z_0`` (the center) and ``z_1, ..., z_n`` by ``r(z_0) + J s``.
With ``Lagrange`` polynomials ``l_t(s) = c_t^T s`` for ``t >= 1`` and ``l_0 = 1 - sum_t c_t^T s``,
where the columns of ``J`` are sums of residuals times ``c_t``, the model is fully linear in the
ball of radius ``Delta`` around ``z_0`` (Conn, Scheinberg and Vicente 2009) if the points are in it
up to a factor, no polynomial is large there, and the residuals are known up to ``O(Delta^2)``.
"""

import numpy as np

from odl_learned.learning.bilevel.derivative_free.trust_region import ball_box_step


class InterpolationSet:
    """The center and n other points, each a `Point` with its residuals.

    Parameters
    ----------
    center : Point
    others : list of n Points
    spread, poisedness : float, optional
        Points may be ``spread`` radii away; Lagrange polynomials may be as large as
        ``poisedness``.
    """

    def __init__(self, center, others, spread=2.0, poisedness=10.0):
        self.center, self.others = center, list(others)
        self.spread, self.poisedness = spread, poisedness

    def jacobian(self):
        """Return ``J`` of shape ``(m, n)``."""
        change = np.stack([e.residuals - self.center.residuals for e in self.others])
        return np.linalg.lstsq(self._shifts(), change, rcond=None)[0].T

    def everyone(self):
        """Return all points, the center first."""
        return [self.center, *self.others]

    def accurate(self, accuracy):
        """Whether all residuals are known up to this."""
        return all(e.errors.max() <= accuracy for e in self.everyone())

    def worst(self, radius, step, center):
        """Return the number of the point that a new one replaces best, and how well.

        Parameters
        ----------
        radius : float
        step : array ``(n,)``
            The new point, relative to the center.
        center : array ``(n,)``
            Of the next model, relative to this center: distances are measured from there.

        Returns
        -------
        t : int
        size : float
            ``|l_t|`` there times the fourth power of the distance in radii, if that is larger than
            one (Powell).
        """
        large = np.abs(self._lagrange() @ step)
        distances = np.linalg.norm(self._shifts() - center, axis=1)
        influence = large * np.maximum(1.0, distances / radius) ** 4
        t = int(np.argmax(influence))
        return t, float(influence[t])

    def poised(self, radius):
        """Whether the geometry is that of a fully linear model in the ball."""
        largest = np.linalg.norm(self._lagrange(), axis=1).max() * radius
        return bool(self._distances().max() <= self.spread * radius and largest <= self.poisedness)

    def to_improve(self, radius):
        """Return the number of the point to replace for better geometry, and its distance."""
        distances = self._distances()
        t = int(np.argmax(distances))
        if distances[t] <= self.spread * radius:
            t = int(np.argmax(np.linalg.norm(self._lagrange(), axis=1)))
        return t, float(distances[t])

    def better_points(self, t, radius):
        """Return where ``|l_t|`` is large in ball and box: the best places for point ``t``.

        The largest and the smallest value of ``l_t``, the latter only if it is at least half as
        large.
        """
        z, slope = self.center.z, self._lagrange()[t]
        flat = np.zeros((len(z), len(z)))
        steps = [ball_box_step(sign * slope, flat, radius, -z, 1 - z) for sign in (-1.0, 1.0)]
        sizes = [abs(slope @ s) for s in steps]
        return [np.clip(z + s, 0, 1) for s, size in zip(steps, sizes, strict=True)
                if size >= max(sizes) / 2]  # fmt: skip

    def replace(self, t, point):
        """Replace the point number ``t``."""
        self.others[t] = point

    def move_center(self, point, t):
        """Make this the center; the old one takes the place of point ``t``."""
        self.others[t], self.center = self.center, point

    def _shifts(self):
        return np.stack([e.z for e in self.others]) - self.center.z

    def _distances(self):
        return np.linalg.norm(self._shifts(), axis=1)

    def _lagrange(self):
        """``c_t`` as rows: ``c_t (z_u - z_0) = 1`` for ``t = u``, else 0."""
        return np.linalg.pinv(self._shifts()).T


def axis_points(z, radius):
    """Return for every axis the points ``z + Delta e_i`` and ``z - Delta e_i`` in the box."""
    steps = radius * np.eye(len(z))
    pairs = [[x for x in (z + s, z - s) if x.min() >= 0 and x.max() <= 1] for s in steps]
    inside = [[np.clip(z + s, 0, 1), np.clip(z - s, 0, 1)] for s in steps]
    return [pair or [max(both, key=lambda x: np.abs(x - z).max())]
            for pair, both in zip(pairs, inside, strict=True)]  # fmt: skip
