"""What a detector has to see for filtered backprojection, and what is wrong where it does not."""

import math
import warnings

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.tomography.interpolated.cone import ConeShadows
from odl_learned.operators.tomography.interpolated.flat_rays import FanRays, ParallelRays
from odl_learned.operators.tomography.interpolated.shadows import plane_shadows
from odl_learned.validation import level_outside

#: Bins that a detector may be too short without a warning.
ROUND = 0.5


def largest_disk(space: odl.DiscretizedSpace) -> np.ndarray:
    """Points of the largest circle around the center of a domain, from above, shape (120, 2)."""
    domain, turns = space.domain, np.linspace(0, 2 * math.pi, 120, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return domain.mid_pt[:2] + min(domain.extent[:2]) / 2 * circle


def bins_missing(rays: ParallelRays | FanRays, points: np.ndarray) -> tuple[float, float]:
    """How many bins more a detector needs before its first and after its last to see points."""
    seen = plane_shadows(rays, (), ()).at(points)
    return -0.5 - float(seen.min()), float(seen.max()) - (rays.bins - 0.5)


def require_bins(op: tomo.RayTransform) -> None:
    """Raise ValueError unless two bins see the diameter of the largest disk, one period of it."""
    geometry, diameter = op.geometry, float(min(op.domain.domain.extent[:2]))
    shadow, width = 1.0, float(geometry.det_partition.cell_sides[0])
    if isinstance(geometry, (tomo.FanBeamGeometry, tomo.ConeBeamGeometry)):
        shadow = 1 + geometry.det_radius / geometry.src_radius
    across = diameter * shadow / width
    if min(across, op.range.shape[1]) < 2 - 1e-6:
        raise ValueError(
            f"forward_op has {op.range.shape[1]} bins of the width {width:.3g} on its "
            f"detector, {across:.3g} of them across the largest disk in the domain; expected at "
            "least 2, and for an image without blur as many as pixels: raise num_bins.")


def warn_if_truncated(rays: ParallelRays | FanRays, missing: float) -> None:
    """Warn if so many bins more would be needed to see the largest disk in the domain."""
    if missing > ROUND:
        width = float(np.linalg.norm(rays.steps[0]))
        warnings.warn(
            f"the detector of forward_op would have to reach {missing * width:.3g} farther to see "
            "the largest disk in the domain, expected all of it: where an object is outside of the "
            "views, filtered backprojection is wrong everywhere. Widen the detector, or choose a "
            "domain that it sees.",
            RuntimeWarning,
            stacklevel=level_outside("odl_learned"),
        )


def warn_if_too_low(shadows: ConeShadows, space: odl.DiscretizedSpace) -> None:
    """Warn if some view does not see the largest cylinder in a volume at all of its heights."""
    lowest, highest = (float(end[2]) for end in (space.domain.min_pt, space.domain.max_pt))
    foot, slope, height = (column[:, None] for column in shadows.rows.T)
    maps = shadows.plane.maps[:, 1]
    depths = maps[:, :2] @ largest_disk(space).T + maps[:, 2:]
    ends = [height + (row + 0.5 - foot) * depths / slope for row in (0, shadows.count)]
    bottom, top = float(np.minimum(*ends).max()), float(np.maximum(*ends).min())
    allowed = ROUND * float(space.cell_sides[2])
    if lowest < bottom - allowed or highest > top + allowed:
        warnings.warn(
            f"the detector of forward_op sees the largest cylinder in the domain at heights from "
            f"{bottom:.4g} to {top:.4g} in all views, expected from {lowest:.4g} to {highest:.4g}: "
            "beyond these, and only there, slices come out too thin. Choose a volume that it sees.",
            RuntimeWarning,
            stacklevel=level_outside("odl_learned"),
        )
