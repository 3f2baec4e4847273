"""Filtered backprojection for the angles and detectors that a scan has."""

import functools
import math
import operator
import warnings

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.group import QuarterTurn
from odl_learned.operators.tomography.fan_backprojection import (
    FanBackprojection,
    angle_between,
    ray_angles,
)
from odl_learned.operators.tomography.projectors.stacked import plane_of
from odl_learned.operators.tomography.ramp import WINDOWS, ramp_filter
from odl_learned.operators.tomography.ray import ray_transform_in
from odl_learned.operators.tomography.symmetrized import SinogramTurn, SymmetrizedRayTransform
from odl_learned.operators.tomography.view_weights import (
    angular_weights,
    require_arc,
    short_scan_weights,
)
from odl_learned.validation import is_finite_number
from odl_learned.weights import constant_weight


def fbp(forward_op: odl.Operator, filter_type: str = "Hann",
        frequency_scaling: float = 1.0) -> odl.Operator:  # fmt: skip
    r"""Return filtered backprojection, an approximate inverse of the ray transform.

    .. math:: A^\dagger y = A^* (h * g y), \quad \hat h(\omega) = |\omega| \, w(\omega),

    for parallel beams, where ``g`` is the part of the half circle that a view stands for. For fan
    beams with a flat detector the data are multiplied by the cosine of the fan angle and by the
    share that a ray has in its line, half on a full circle and a smooth function on a short scan,
    and the backprojection divides by the squared distance to the source (`FanBackprojection`).
    For parallel beams choose pixels no smaller than bins: ``A^*`` covers others unevenly.

    Parameters
    ----------
    forward_op : odl.applications.tomo.RayTransform, or a scalar multiple of one
        The forward operator. In the plane, and for parallel beams of a volume, slice by slice, its
        angles may be any that leave no large gap, for fan beams also on one arc that is half a
        circle and the fan long. For a `SymmetrizedRayTransform` the backprojection is symmetrized,
        too.
    filter_type : str, optional
        Window ``w``: Ram-Lak, Shepp-Logan, Cosine, Hamming or Hann.
    frequency_scaling : float, optional
        Relative cutoff frequency, in (0, 1].

    Returns
    -------
    reconstruction : odl.Operator
        Linear operator from ``forward_op.range`` to ``forward_op.domain``.

    Raises
    ------
    TypeError
        If the operator is not a ray transform.
    ValueError
        If the filter is unknown, the cutoff out of bounds, angles are missing, or the disk in the
        domain is seen by fewer than two bins or by views usually more than a radian apart.
    NotImplementedError
        If a detector is curved, or the source of a fan beam leaves its circle.

    Warns
    -----
    RuntimeWarning
        If the detector does not see all of the largest disk in the domain: data are truncated then,
        which falsifies the image everywhere.

    References
    ----------
    Natterer, F. The Mathematics of Computerized Tomography. SIAM 2001, section V.1. Kak, A. C. and
    Slaney, M. Principles of Computerized Tomographic Imaging. IEEE Press 1988, section 3.4.2. Of
    cone beams in space, by ``odl.applications.tomo.fbp_op``: exact only for a distant source.
    """
    symmetrized, forward_op = _without_symmetrization(forward_op)
    op = ray_transform_in(forward_op)
    if not (is_finite_number(frequency_scaling) and 0 < frequency_scaling <= 1):
        raise ValueError(
            f"frequency_scaling is {frequency_scaling!r}; expected a number in (0, 1]."
        )
    scalar, node = 1.0, forward_op
    while node is not op:
        scalar, node = scalar * node.scalar, node.operator
    if scalar == 0:
        raise ValueError("forward_op is zero times a ray transform; expected a nonzero multiple.")
    if str(filter_type).lower() not in WINDOWS:
        raise ValueError(f"filter_type is {filter_type!r}; expected one of {', '.join(WINDOWS)}.")
    plane = plane_of(op)
    if isinstance(plane.geometry, (tomo.Parallel2dGeometry, tomo.FanBeamGeometry)):
        _require_bins(plane)
        _warn_if_truncated(plane)
        parallel = isinstance(plane.geometry, tomo.Parallel2dGeometry)
        back, weights = (_of_parallel if parallel else _of_fan)(op, symmetrized)
        weigh = odl.MultiplyOperator(op.range.element(
            np.broadcast_to(weights, op.range.shape).astype(op.range.dtype)))  # fmt: skip
        inverse = back @ _filter(op, filter_type, frequency_scaling) @ weigh
    else:
        inverse = tomo.fbp_op(op, filter_type=filter_type, frequency_scaling=frequency_scaling)
    return inverse if scalar == 1 else float(1 / scalar) * inverse


def _filter(op, filter_type, frequency_scaling):
    return ramp_filter(op.range, _bin_width(op), filter_type.lower(), frequency_scaling)


def _bin_width(op):
    return float(op.geometry.det_partition.cell_sides[0])


def _of_parallel(op, symmetrized):
    """The backprojection of parallel beams, and the weights of views.

    ``A* y = w_Y / (w_X h) sum_v M_v^T y_v`` with pixels of the side h and lengths M, where a bin of
    the width d is met by ``h^2 / d`` of a pixel, is ``w_Y / d`` times the sum over the views.
    """
    back, plane = op.adjoint if symmetrized is None else symmetrized.adjoint, plane_of(op)
    weights, _, _ = angular_weights(plane.geometry)
    ratio = _bin_width(op) / constant_weight("forward_op.range", plane.range)
    return back, (ratio * weights).reshape(-1, *[1] * (op.range.ndim - 1))


def _of_fan(op, symmetrized):
    """The backprojection of fan beams, and the weights of their rays."""
    geometry, back = op.geometry, FanBackprojection(op)
    weights, start, extent = angular_weights(geometry)
    fans, share = ray_angles(op), 0.5
    if extent < 2 * math.pi:
        require_arc(extent, _largest_fan(op))
        turns = (np.asarray(geometry.angles) - start) % (2 * math.pi)
        share = short_scan_weights(turns[:, None], fans, extent)
    radius = np.linalg.norm(geometry.src_position(geometry.angles) - geometry.translation, axis=1)
    cosines = (radius * back.rays.distances)[:, None] * np.cos(fans)
    if symmetrized is not None:
        back = _mean_over_turns(back, symmetrized.forward_op)
    return back, weights[:, None] * share * cosines


def _mean_over_turns(back, forward_op):
    """``1/4 sum_k R^{-k} B P^k`` of a backprojection B, with the turns of images and of data."""
    turns = (QuarterTurn(back.range, -k) @ back @ SinogramTurn(forward_op, k) for k in range(4))
    return 0.25 * functools.reduce(operator.add, turns)


def _without_symmetrization(forward_op):
    """The symmetrized ray transform inside of scalar multiples, or None, and the others of A."""
    scalar, op = 1.0, forward_op
    while isinstance(op, odl.OperatorLeftScalarMult):
        scalar, op = scalar * op.scalar, op.operator
    if not isinstance(op, SymmetrizedRayTransform):
        return None, forward_op
    return op, op.forward_op if scalar == 1 else scalar * op.forward_op


def _largest_disk(op):
    """Points of the largest circle around the center of the domain, shape (120, 2)."""
    domain, turns = op.domain.domain, np.linspace(0, 2 * math.pi, 120, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return domain.mid_pt + min(domain.extent) / 2 * circle


def _largest_fan(op):
    """The largest angle at a source between the axis and the largest disk in the domain."""
    sources = op.geometry.src_position(op.geometry.angles)[:, None]
    return float(np.abs(angle_between(op.geometry.translation - sources,
                                      _largest_disk(op) - sources)).max())


def _require_bins(op):
    """Raise ValueError unless two bins see the diameter of the largest disk, one period of it."""
    geometry, diameter = op.geometry, float(min(op.domain.domain.extent))
    shadow = 1.0
    if isinstance(geometry, tomo.FanBeamGeometry):
        shadow = 1 + geometry.det_radius / geometry.src_radius
    across = diameter * shadow / _bin_width(op)
    if min(across, op.range.shape[1]) < 2 - 1e-6:
        raise ValueError(
            f"forward_op has {op.range.shape[1]} bins of the width {_bin_width(op):.3g} on its "
            f"detector, {across:.3g} of them across the largest disk in the domain; expected at "
            "least 2, and for an image without blur as many as pixels: raise num_bins.")


def _warn_if_truncated(op):
    """Warn if a view does not see the largest disk around the center of the domain."""
    geometry, circle = op.geometry, _largest_disk(op)
    angles, detector = np.asarray(geometry.angles), geometry.det_partition
    middle = float(geometry.det_params.mid_pt[0])
    point, axis = geometry.det_point_position(angles, middle), geometry.det_axis(angles)
    if isinstance(geometry, tomo.Parallel2dGeometry):
        rays = np.broadcast_to(geometry.det_to_src(angles, middle)[:, None], (len(angles), 120, 2))
    else:
        rays = geometry.src_position(angles)[:, None] - circle
    # circle + t ray = point + s axis, crossed with the ray: s = (circle - point) x ray / axis x ray
    seen = _cross(circle - point[:, None], rays) / _cross(axis[:, None], rays) + middle
    missing = max(float(detector.min_pt[0] - seen.min()), float(seen.max() - detector.max_pt[0]))
    if missing > 0.5 * float(detector.cell_sides[0]):
        warnings.warn(
            f"the detector of forward_op would have to reach {missing:.3g} farther to see the "
            "largest disk in the domain, expected all of it: where an object is outside of the "
            "views, filtered backprojection is wrong everywhere. Widen the detector, or choose a "
            "domain that it sees.",
            RuntimeWarning,
            stacklevel=3,
        )


def _cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
