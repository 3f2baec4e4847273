"""Fan and cone beams whose source runs on a circle, which filtered backprojection is made for."""

import numpy as np
from odl.applications import tomo

from odl_learned.operators.tomography.cone.rays import ConeRays, cone_rays
from odl_learned.operators.tomography.interpolated.flat_rays import FanRays, fan_of, fan_rays

#: Relative deviation of sources and detectors from a circle and its axis that counts as none.
ROUND = 1e-6
_OTHERWISE = "Reconstruct by variational.tv_problem or solvers.lsqr, which take any rays."


def circular_fan(geometry: tomo.FanBeamGeometry) -> FanRays:
    """Return the rays of a fan beam with a flat detector whose source runs on a circle.

    Raises
    ------
    NotImplementedError
        If the detector is curved, or the source leaves its circle.
    ValueError
        If a source is in the line of its detector.
    """
    if geometry.det_curvature_radius is not None:
        raise NotImplementedError(
            "forward_op has a curved detector, expected a flat one: the filter of filtered "
            "backprojection is another one there. Interpolate the data to a flat detector."
        )
    rays = fan_rays(geometry)
    _require_circle(rays.sources - geometry.translation)
    _require_in_front(rays)
    return rays


def circular_cone(geometry: tomo.ConeBeamGeometry) -> ConeRays:
    """Return the rays of a cone beam whose source runs on a circle about the third axis.

    Raises
    ------
    NotImplementedError
        If the detector is curved, the source leaves a circle about a line parallel to the third
        axis, or the axes of the detector are not across and along that line.
    ValueError
        If a source is in the plane of its detector.
    """
    rays, axis = cone_rays(geometry), np.asarray(geometry.axis, dtype=float)
    if abs(axis[2]) < 1 - ROUND:
        raise NotImplementedError(
            f"forward_op rotates about the axis {axis.tolist()}, expected the third one, "
            "(0, 0, 1): name the axes of the volume so that it is the last. " + _OTHERWISE)
    heights, arms = rays.sources[:, 2], rays.sources[:, :2] - geometry.translation[:2]
    if geometry.pitch != 0 or np.ptp(heights) > ROUND * np.abs(arms).max():
        raise NotImplementedError(
            f"forward_op has sources at heights from {heights.min():.6g} to {heights.max():.6g}, "
            f"with the pitch {geometry.pitch:.6g}, expected a circle: filtered backprojection of "
            "a helix has another formula. " + _OTHERWISE)
    _require_circle(arms)
    tilts = [np.abs(rays.across[:, 2]).max() / np.linalg.norm(rays.across[0]),
             np.abs(rays.along[:, :2]).max() / np.linalg.norm(rays.along[0])]  # fmt: skip
    if max(tilts) > ROUND:
        raise NotImplementedError(
            f"forward_op has a detector whose axes are {max(tilts):.3g} radians or more off those "
            "across and along the axis of rotation, expected none, det_axes_init=((1, 0, 0), "
            "(0, 0, 1)): the filter runs along its first axis. Interpolate the data to such a "
            "detector. " + _OTHERWISE)
    _require_in_front(fan_of(rays))
    return rays


def _require_in_front(rays):
    """Raise ValueError if a detector is seen edge on: all of its rays are the same one."""
    far = np.linalg.norm(rays.corners - rays.sources, axis=1)
    edge_on = rays.distances <= ROUND * far
    if np.any(edge_on):
        raise ValueError(
            f"forward_op has the source of view {int(np.argmax(edge_on))} in the plane of its "
            "detector, expected it in front: rays do not fan out. A geometry with src_to_det_init "
            "needs det_axis_init or det_axes_init across it.")


def _require_circle(arms):
    """Raise NotImplementedError unless sources are equally far from the axis."""
    radii = np.linalg.norm(arms, axis=1)
    if np.ptp(radii) > ROUND * radii.max():
        raise NotImplementedError(
            f"forward_op has sources from {radii.min():.6g} to {radii.max():.6g} away from the "
            "axis, expected a circle, as filtered backprojection needs it. " + _OTHERWISE)
