"""Filtered backprojection for the angles and detectors that a scan has."""

import math

import numpy as np
import odl
from odl.applications import tomo

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
from odl_learned.operators.tomography.interpolated.cone import ConeBackprojection, cone_shadows
from odl_learned.operators.tomography.interpolated.flat_rays import (
    fan_of,
    parallel_rays,
    widened,
)
from odl_learned.operators.tomography.interpolated.plane import PlaneBackprojection
from odl_learned.operators.tomography.projectors.stacked import plane_of
from odl_learned.operators.tomography.ramp import WINDOWS, ramp_filter
from odl_learned.operators.tomography.ray import ray_transform_in
from odl_learned.operators.tomography.symmetrized import SymmetrizedRayTransform
from odl_learned.operators.tomography.view_weights import angular_weights
from odl_learned.validation import is_finite_number


def fbp(forward_op: odl.Operator, filter_type: str = "Hann",
        frequency_scaling: float = 1.0) -> odl.Operator:  # fmt: skip
    r"""Return filtered backprojection, an approximate inverse of the ray transform.

    .. math:: A^\dagger y = B (h * g y), \quad \hat h(\omega) = |\omega| \, w(\omega),

    for parallel beams, where ``g`` is the part of the half circle that a view stands for, and B
    adds up the views at the shadow of each pixel, between bins by linear interpolation: it is not
    ``A^*``, which leaves the pattern of bins that are wider or narrower than pixels. For fan
    beams with a flat detector the data are multiplied by the cosine of the fan angle and by the
    share that a ray has in its line, half on a full circle, a smooth function on a short scan or
    where the detector sees one side of the axis only, and the backprojection divides by the squared
    distance to the source (`PlaneBackprojection`). For cone beams on a circle the rows of the
    detector are filtered as those of fan beams (Feldkamp, Davis and Kress, `ConeBackprojection`):
    in the plane of the circle the density is right, as are its integrals along the axis; away from
    it what changes along the axis is smeared, and a ball loses 5 % where rays rise by 10 degrees.

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
    forward_op = _without_symmetrization(forward_op)
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
    methods = [method for kind, method in _METHODS.items() if isinstance(plane.geometry, kind)]
    if methods:
        require_bins(plane)
        (of_rays, backprojection), = methods
        rays, weights, added = of_rays(op)
        weigh = odl.MultiplyOperator(op.range.element(
            np.broadcast_to(weights, op.range.shape).astype(op.range.dtype)))  # fmt: skip
        width = float(op.geometry.det_partition.cell_sides[0])
        ramp = ramp_filter(op.range, width, filter_type.lower(), frequency_scaling, added)
        inverse = backprojection(widened(rays, *added), ramp.range, op.domain) @ ramp @ weigh
    else:
        inverse = tomo.fbp_op(op, filter_type=filter_type, frequency_scaling=frequency_scaling)
    return inverse if scalar == 1 else float(1 / scalar) * inverse


def _of_parallel(op):
    """The rays of parallel beams, what they count for, and how many bins are added: none."""
    geometry = plane_of(op).geometry
    rays, (weights, _, _) = parallel_rays(geometry), angular_weights(geometry)
    warn_if_truncated(rays, max(bins_missing(rays, largest_disk(op.domain))))
    return rays, weights.reshape(-1, *[1] * (op.range.ndim - 1)), (0, 0)


def _of_fan(op):
    """The same of fan beams."""
    rays = circular_fan(op.geometry)
    added = bins_added(op, rays)
    return rays, divergent_weights(op, rays, added, 1), added


def _of_cone(op):
    """The same of cone beams."""
    rays = circular_cone(op.geometry)
    fan, turning = fan_of(rays), math.copysign(1, op.geometry.axis[2])
    warn_if_too_low(cone_shadows(rays, op.domain), op.domain)
    added = bins_added(op, fan)
    weights = divergent_weights(op, fan, added, turning)
    return rays, weights[:, :, None] * rising_cosines(rays), added


#: What is done with the rays of a geometry, and the backprojection.
_METHODS = {
    tomo.Parallel2dGeometry: (_of_parallel, PlaneBackprojection),
    tomo.FanBeamGeometry: (_of_fan, PlaneBackprojection),
    tomo.ConeBeamGeometry: (_of_cone, ConeBackprojection),
}


def _without_symmetrization(forward_op):
    """Multiples of A in place of those of a symmetrized A: the backprojection is symmetric, too."""
    scalar, op = 1.0, forward_op
    while isinstance(op, odl.OperatorLeftScalarMult):
        scalar, op = scalar * op.scalar, op.operator
    if not isinstance(op, SymmetrizedRayTransform):
        return forward_op
    return op.forward_op if scalar == 1 else scalar * op.forward_op
