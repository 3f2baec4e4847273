"""The rays of a cone beam scanner with a flat detector: four vectors for each view."""

import dataclasses

import numpy as np
from odl.applications import tomo


@dataclasses.dataclass(frozen=True, eq=False)
class ConeRays:
    """Sources and detectors of all views; bin ``(i, j)`` is centered at ``p + i u + j v``.

    Circles, helices, detectors that are offset or tilted, and sources that wander are the same
    here: whatever the trajectory is, a view consists of these four vectors.

    Parameters
    ----------
    sources, corners : float64 arrays, shape (V, 3)
        The source of each view, and the center ``p`` of its first bin, in the units of the space.
    across, along : float64 arrays, shape (V, 3)
        The steps ``u`` and ``v`` from bin to bin along the two axes of the detector.
    bins : pair of int
        Their numbers.
    """

    sources: np.ndarray
    corners: np.ndarray
    across: np.ndarray
    along: np.ndarray
    bins: tuple[int, int]


def cone_rays(geometry: tomo.ConeBeamGeometry) -> ConeRays:
    """Return the rays of a geometry of ODL.

    Parameters
    ----------
    geometry : odl.applications.tomo.ConeBeamGeometry
        With a flat detector whose bins are equally wide.

    Raises
    ------
    NotImplementedError
        If the detector is curved.
    """
    if geometry.det_curvature_radius is not None:
        raise NotImplementedError(
            "the geometry has a curved detector, expected a flat one; interpolate the data to a "
            "flat detector."
        )
    angles, partition = np.asarray(geometry.angles, dtype=float), geometry.det_partition
    first = [float(centers[0]) for centers in partition.grid.coord_vectors]
    axes = geometry.det_axes(angles) * np.asarray(partition.cell_sides)[:, None]
    return ConeRays(
        np.atleast_2d(geometry.src_position(angles)),
        np.atleast_2d(geometry.det_point_position(angles, first)),
        np.ascontiguousarray(axes[:, 0]), np.ascontiguousarray(axes[:, 1]),
        (int(partition.shape[0]), int(partition.shape[1])))  # fmt: skip
