"""What each ray of a fan or cone beam counts for in filtered backprojection."""

import math

import numpy as np
from odl.applications import tomo

from odl_learned.operators.tomography.cone.rays import ConeRays
from odl_learned.operators.tomography.coverage import (
    ROUND,
    bins_missing,
    largest_disk,
    warn_if_truncated,
)
from odl_learned.operators.tomography.interpolated.flat_rays import (
    FanRays,
    angle_between,
)
from odl_learned.operators.tomography.view_weights import (
    angular_weights,
    offset_detector_weights,
    require_arc,
    short_scan_weights,
)

#: Bins on the near side of the axis that a detector needs to count as one that is moved aside.
OVERLAP = 2


def bins_added(op: tomo.RayTransform, rays: FanRays) -> tuple[int, int]:
    """Return how many bins without data a detector needs before its first and after its last.

    None, unless views run over a full circle and the detector is moved aside, so that it sees the
    largest disk in the domain on one side of the axis only: data are zero beyond the near end then,
    and filtered data are not.

    Parameters
    ----------
    op : odl.applications.tomo.RayTransform
        Of a fan beam, or of a cone beam.
    rays : FanRays
        Its rays, in the plane of the circle.

    Warns
    -----
    RuntimeWarning
        If the detector does not see all of the largest disk in another case.
    """
    missing, (_, _, extent) = bins_missing(rays, largest_disk(op.domain)), angular_weights(
        op.geometry)  # fmt: skip
    near = int(missing[1] > missing[0])
    ends, fans = _near_ends(rays, op.geometry.translation[:2], near)
    overlap = np.abs(ends[:, 0]) * rays.distances / np.linalg.norm(rays.steps, axis=1)
    is_aside = np.all(ends * fans[:, [near - 1]] < 0) and overlap.min() >= OVERLAP
    if missing[near] > ROUND >= missing[1 - near] and is_aside and extent == 2 * math.pi:
        added = math.ceil(missing[near])
        return (0, added) if near else (added, 0)
    warn_if_truncated(rays, max(missing))
    return 0, 0


def divergent_weights(
    op: tomo.RayTransform, rays: FanRays, added: tuple[int, int], turning: float
) -> np.ndarray:
    """Return the angle of each view times the share of a ray in its line times ``R D cos(c)``.

    The share is half on a full circle, `offset_detector_weights` where the detector is moved aside,
    and `short_scan_weights` on an arc.

    Parameters
    ----------
    op, rays
        As for `bins_added`.
    added : pair of int
        What it returned.
    turning : {1, -1}
        1 if the scanner turns counterclockwise.

    Returns
    -------
    weights : float64 array, shape (V, n)

    Raises
    ------
    ValueError
        If views are missing.
    """
    center, share = op.geometry.translation[:2], 0.5
    weights, start, extent = angular_weights(op.geometry)
    ends, fans = _near_ends(rays, center, int(added[1] > 0))
    if extent < 2 * math.pi:
        require_arc(extent, _largest_fan(rays, center, largest_disk(op.domain)))
        turns = (np.asarray(op.geometry.angles) - start) % (2 * math.pi)
        share = short_scan_weights(turns[:, None], turning * fans, extent)
    elif any(added):
        share = offset_detector_weights(-np.sign(ends) * fans, np.abs(ends))
    radii = np.linalg.norm(rays.sources - center, axis=1)
    return weights[:, None] * share * (radii * rays.distances)[:, None] * np.cos(fans)


def rising_cosines(rays: ConeRays) -> np.ndarray:
    """Return the cosines between the rays of a cone beam and the plane of its circle, (V, n, m)."""
    first, (columns, rows) = (rays.corners - rays.sources)[:, None], map(np.arange, rays.bins)
    flat = first[..., :2] + columns[:, None] * rays.across[:, None, :2]
    heights = first[..., 2] + rows * rays.along[:, None, 2]
    lengths = np.linalg.norm(flat, axis=2)[:, :, None]
    return lengths / np.hypot(lengths, heights[:, None])


def _near_ends(rays, center, last):
    """The angles between the axis and one end of the detector, (V, 1), and all bins, (V, n)."""
    edges = rays.corners + (last * rays.bins - 0.5) * rays.steps
    ends = angle_between(center - rays.sources, edges - rays.sources)
    return ends[:, None], rays.angles(center)


def _largest_fan(rays, center, points):
    """The largest angle at a source between the axis and some points."""
    sources = rays.sources[:, None]
    return float(np.abs(angle_between(center - sources, points - sources)).max())
