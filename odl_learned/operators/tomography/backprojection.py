"""Filtered backprojection for the angles and detectors that a scan has."""

import functools
import math
import operator

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.group import QuarterTurn
from odl_learned.operators.tomography.coverage import (
    bins_missing,
    largest_disk,
    require_bins,
    warn_if_too_low,
    warn_if_truncated,
)
from odl_learned.operators.tomography.divergent_weights import (
    bins_added,
    divergent_weights,
    rising_cosines,
)
from odl_learned.operators.tomography.interpolated.circles import circular_cone, circular_fan
from odl_learned.operators.tomography.interpolated.cone import ConeBackprojection
from odl_learned.operators.tomography.interpolated.flat_rays import (
    fan_of,
    parallel_rays,
    widened,
)
from odl_learned.operators.tomography.interpolated.plane import PlaneBackprojection
from odl_learned.operators.tomography.projectors.stacked import plane_of
from odl_learned.operators.tomography.ramp import WINDOWS, ramp_filter
from odl_learned.operators.tomography.ray import ray_transform_in
from odl_learned.operators.tomography.symmetrized import SinogramTurn, SymmetrizedRayTransform
from odl_learned.operators.tomography.view_weights import angular_weights
from odl_learned.validation import is_finite_number
from odl_learned.weights import constant_weight


def fbp(forward_op: odl.Operator, filter_type: str = "Hann",
        frequency_scaling: float = 1.0) -> odl.Operator:  # fmt: skip
    r"""Return filtered backprojection, an approximate inverse of the ray transform.

    .. math:: A^\dagger y = A^* (h * g y), \quad \hat h(\omega) = |\omega| \, w(\omega),

    for parallel beams, where ``g`` is the part of the half circle that a view stands for. For fan
    beams with a flat detector the data are multiplied by the cosine of the fan angle and by the
    share that a ray has in its line, half on a full circle, a smooth function on a short scan or
    where the detector sees one side of the axis only, and the backprojection divides by the squared
    distance to the source (`PlaneBackprojection`). For cone beams on a circle the rows of the
    detector are filtered as those of fan beams (Feldkamp, Davis and Kress, `ConeBackprojection`):
    in the plane of the circle the density is right, as are its integrals along the axis; away from
    it what changes along the axis is smeared, and a ball loses 5 % where rays rise by 10 degrees.
    For parallel beams choose pixels no smaller than bins: ``A^*`` covers others unevenly.

    Parameters
    ----------
    forward_op : odl.applications.tomo.RayTransform, or a scalar multiple of one
        The forward operator. Parallel beams may be those of a volume, slice by slice. Its angles
        may be any that leave no large gap, for fan and cone beams also on one arc that is half a
        circle and the fan long; on a full circle the detector may be moved aside, so that it sees
        one half of the domain and a little more. For a `SymmetrizedRayTransform` the backprojection
        is symmetrized, too.
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
        If a detector is curved, or the source of a fan or cone beam leaves its circle, as on a
        helix, or if a cone beam turns about another axis than the third one.

    Warns
    -----
    RuntimeWarning
        If the detector does not see all of the largest disk in the domain: data are truncated then,
        which falsifies the image everywhere; or if it is too low for the volume, which falsifies
        the slices that it does not see.

    References
    ----------
    Natterer, F. The Mathematics of Computerized Tomography. SIAM 2001, section V.1. Kak, A. C. and
    Slaney, M. Principles of Computerized Tomographic Imaging. IEEE Press 1988, section 3.4.2.
    Feldkamp, L. A., Davis, L. C. and Kress, J. W. Practical cone-beam algorithm. J. Opt. Soc. Am. A
    1 (1984) 612-619. Wang, G. X-ray micro-CT with a displaced detector array. Med. Phys. 29 (2002).
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
    if isinstance(plane.geometry, tuple(_PARTS)):
        require_bins(plane)
        parts = next(parts for kind, parts in _PARTS.items() if isinstance(plane.geometry, kind))
        back, weights, added = parts(op, symmetrized)
        weigh = odl.MultiplyOperator(op.range.element(
            np.broadcast_to(weights, op.range.shape).astype(op.range.dtype)))  # fmt: skip
        ramp = ramp_filter(op.range, _bin_width(op), filter_type.lower(), frequency_scaling, added)
        inverse = back(ramp.range) @ ramp @ weigh
    else:
        inverse = tomo.fbp_op(op, filter_type=filter_type, frequency_scaling=frequency_scaling)
    return inverse if scalar == 1 else float(1 / scalar) * inverse


def _bin_width(op):
    return float(op.geometry.det_partition.cell_sides[0])


def _of_parallel(op, symmetrized):
    """The backprojection of parallel beams, and the weights of views.

    ``A* y = w_Y / (w_X h) sum_v M_v^T y_v`` with pixels of the side h and lengths M, where a bin of
    the width d is met by ``h^2 / d`` of a pixel, is ``w_Y / d`` times the sum over the views.
    """
    back, plane = op.adjoint if symmetrized is None else symmetrized.adjoint, plane_of(op)
    rays = parallel_rays(plane.geometry)
    warn_if_truncated(rays, max(bins_missing(rays, largest_disk(op.domain))))
    weights, _, _ = angular_weights(plane.geometry)
    ratio = _bin_width(op) / constant_weight("forward_op.range", plane.range)
    weights = (ratio * weights).reshape(-1, *[1] * (op.range.ndim - 1))
    return lambda data_space: back, weights, (0, 0)


def _of_fan(op, symmetrized):
    """The backprojection of fan beams, and the weights of their rays."""
    rays = circular_fan(op.geometry)
    added = bins_added(op, rays)

    def back(data_space):
        inverse = PlaneBackprojection(widened(rays, *added), data_space, op.domain)
        return inverse if symmetrized is None else _mean_over_turns(inverse, symmetrized.forward_op)

    return back, divergent_weights(op, rays, added, 1), added


def _of_cone(op, symmetrized):
    """The backprojection of cone beams, and the weights of their rays."""
    rays = circular_cone(op.geometry)
    added, turning = bins_added(op, fan_of(rays)), math.copysign(1, op.geometry.axis[2])
    weights = divergent_weights(op, fan_of(rays), added, turning)

    def back(data_space):
        inverse = ConeBackprojection(widened(rays, *added), data_space, op.domain)
        warn_if_too_low(inverse.shadows, op.domain)
        return inverse

    return back, weights[:, :, None] * rising_cosines(rays), added


_PARTS = {tomo.Parallel2dGeometry: _of_parallel, tomo.FanBeamGeometry: _of_fan,
          tomo.ConeBeamGeometry: _of_cone}  # fmt: skip


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
