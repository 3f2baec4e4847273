r"""Where points of the plane throw their shadows on a flat detector, and how deep they lie.

With a source S, bins centered at ``p + i a``, the distance D of S from their line, and the unit
vector n across it, the point x lies at the depth ``U = n . (x - S)``, and its shadow
``S + (D / U) (x - S)`` is at

    i = f + (D / U) a . (x - S) / |a|^2,    f = a . (S - p) / |a|^2.

Parallel beams of the direction r have ``i = (x - p) x r / (a x r)`` and U = 1. So ``i U`` and U are
affine functions of x for either: a view is a matrix with two rows and three columns.
"""

import dataclasses
import functools

import numpy as np

from odl_learned.operators.tomography.interpolated.flat_rays import FanRays, ParallelRays


@dataclasses.dataclass(frozen=True, eq=False)
class PlaneShadows:
    """The shadows of pixels in all views.

    Parameters
    ----------
    x, y : float64 arrays, shapes (nx,) and (ny,)
        Coordinates of the pixels.
    maps : float64 array, shape (V, 2, 3)
        ``(i + 1) U`` and U of each view as coefficients of x, y and 1.
    bins : int
        Number n of bins. Data are interpolated between their centers and zeros next to the ends.
    """

    x: np.ndarray
    y: np.ndarray
    maps: np.ndarray
    bins: int

    def at(self, points):
        """Return the bins ``i`` of the shadows of points, shape (P, 2), in all views, (V, P)."""
        shadows, depths = np.moveaxis(self.maps[..., :2] @ points.T + self.maps[..., 2:], 1, 0)
        return shadows / depths - 1

    def depths(self, view):
        """Return the depths of all pixels in a view, shape (nx, ny)."""
        return self._affine(view, 1)

    def interpolation(self, view):
        """Bins, fractions and weights of all pixels in a view.

        A pixel takes ``weight * ((1 - fraction) y[bin] + fraction * y[bin + 1])`` of its data with
        one zero before and two after them; the weight is ``U^-2``, zero behind the source.

        Returns
        -------
        bins : int64 array, shape (nx * ny,), from 0 to n + 1
        fractions, weights : float32 arrays, shape (nx * ny,)
        """
        shadows, depths = self._affine(view, 0).ravel(), self._affine(view, 1).ravel()
        seen = depths > 0
        depths = np.where(seen, depths, 1)
        places = np.where(seen, np.clip(shadows / depths, 0, self.bins + 1), 0)
        bins = places.astype(np.int64)
        weights = np.where(seen, 1 / (depths * depths), 0)
        return bins, (places - bins).astype(np.float32), weights.astype(np.float32)

    def _affine(self, view, row):
        a, b, c = self.maps[view, row]
        return (a * self.x + c)[:, None] + b * self.y


def plane_shadows(rays: ParallelRays | FanRays, x, y) -> PlaneShadows:
    """Return the shadows of pixels with these coordinates."""
    maps = _maps(rays)
    maps[:, 0] += maps[:, 1]  # the zero before the first bin
    return PlaneShadows(np.asarray(x, dtype=float), np.asarray(y, dtype=float), maps, rays.bins)


@functools.singledispatch
def _maps(rays):
    """``i U`` and U as coefficients of x, y and 1."""
    raise TypeError(f"rays are {rays!r}, expected ParallelRays or FanRays.")


@_maps.register
def _(rays: ParallelRays):
    crossing = _cross(rays.steps, rays.directions)
    places = np.stack([rays.directions[:, 1], -rays.directions[:, 0],
                       -_cross(rays.corners, rays.directions)], axis=1)  # fmt: skip
    depths = np.broadcast_to([0.0, 0.0, 1.0], places.shape)
    return np.stack([places / crossing[:, None], depths], axis=1)


@_maps.register
def _(rays: FanRays):
    squares = np.sum(rays.steps**2, axis=1)
    normals = np.stack([-rays.steps[:, 1], rays.steps[:, 0]], axis=1) / np.sqrt(squares)[:, None]
    to_detector = np.sum((rays.corners - rays.sources) * normals, axis=1)
    normals *= np.sign(to_detector)[:, None]
    scaled = rays.steps / squares[:, None]
    feet = np.sum((rays.sources - rays.corners) * scaled, axis=1)
    depths = _through(normals, rays.sources)
    places = _through(np.abs(to_detector)[:, None] * scaled, rays.sources)
    return np.stack([places + feet[:, None] * depths, depths], axis=1)


def _through(slopes, zeros):
    """Coefficients of ``slope . (x - zero)``."""
    return np.concatenate([slopes, -np.sum(slopes * zeros, axis=1)[:, None]], axis=1)


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
