"""The rays of a plane in front of a flat detector: a few vectors for each view."""

import dataclasses

import numpy as np
from odl.applications import tomo

from odl_learned.operators.tomography.cone.rays import ConeRays


@dataclasses.dataclass(frozen=True, eq=False)
class ParallelRays:
    """Directions and detectors of all views; bin ``i`` is centered at ``p + i a``.

    Parameters
    ----------
    directions : float64 array, shape (V, 2)
        Unit vectors along the rays.
    corners, steps : float64 arrays, shape (V, 2)
        The center ``p`` of the first bin of each view, and the step ``a`` from bin to bin.
    bins : int
        Their number.
    """

    directions: np.ndarray
    corners: np.ndarray
    steps: np.ndarray
    bins: int


@dataclasses.dataclass(frozen=True, eq=False)
class FanRays:
    """Sources and detectors of all views; bin ``i`` is centered at ``p + i a``.

    Parameters
    ----------
    sources, corners, steps : float64 arrays, shape (V, 2)
        The source of each view, the center ``p`` of its first bin, the step ``a`` from bin to bin.
    bins : int
        Their number.
    """

    sources: np.ndarray
    corners: np.ndarray
    steps: np.ndarray
    bins: int

    @property
    def distances(self):
        """The distance of each source from the line of its detector, shape (V,)."""
        return np.abs(_cross(self.corners - self.sources, self.steps)) / np.linalg.norm(
            self.steps, axis=1)  # fmt: skip

    def angles(self, center):
        """The angle of each ray against that through a point, counterclockwise, shape (V, n)."""
        sources = self.sources[:, None]
        places = self.corners[:, None] + np.arange(self.bins)[:, None] * self.steps[:, None]
        return angle_between(center - sources, places - sources)


def parallel_rays(geometry: tomo.Parallel2dGeometry) -> ParallelRays:
    """Return the rays of a geometry of parallel beams."""
    angles, first = np.asarray(geometry.angles, dtype=float), _first_bin(geometry)
    return ParallelRays(
        geometry.det_to_src(angles, first), geometry.det_point_position(angles, first),
        geometry.det_axis(angles) * float(geometry.det_partition.cell_sides[0]),
        int(geometry.det_partition.shape[0]))  # fmt: skip


def fan_rays(geometry: tomo.FanBeamGeometry) -> FanRays:
    """Return the rays of a geometry of fan beams with a flat detector."""
    angles, first = np.asarray(geometry.angles, dtype=float), _first_bin(geometry)
    return FanRays(
        geometry.src_position(angles), geometry.det_point_position(angles, first),
        geometry.det_axis(angles) * float(geometry.det_partition.cell_sides[0]),
        int(geometry.det_partition.shape[0]))  # fmt: skip


def fan_of(rays: ConeRays) -> FanRays:
    """Return the fan beam that a cone beam looks like from above, along the third axis."""
    return FanRays(rays.sources[:, :2], rays.corners[:, :2], rays.across[:, :2], rays.bins[0])


def widened(rays, before, after):
    """Return `FanRays` or `ConeRays` with more bins before the first and after the last, across."""
    if isinstance(rays, ConeRays):
        return dataclasses.replace(rays, corners=rays.corners - before * rays.across,
                                   bins=(before + rays.bins[0] + after, rays.bins[1]))
    return dataclasses.replace(rays, corners=rays.corners - before * rays.steps,
                               bins=before + rays.bins + after)


def angle_between(a, b):
    """The angle from ``a`` to ``b``, counterclockwise, for vectors along the last axis."""
    return np.arctan2(_cross(a, b), np.sum(a * b, axis=-1))


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _first_bin(geometry):
    return float(geometry.det_partition.grid.coord_vectors[0][0])
