"""Filtered backprojection for the angles and detectors that a scan has."""

import math
import warnings

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.tomography.ray import ray_transform_in
from odl_learned.operators.tomography.symmetrized import SymmetrizedRayTransform
from odl_learned.validation import is_finite_number

FILTERS = ("ram-lak", "shepp-logan", "cosine", "hamming", "hann")


def fbp(forward_op: odl.Operator, filter_type: str = "Hann",
        frequency_scaling: float = 1.0) -> odl.Operator:  # fmt: skip
    r"""Return filtered backprojection, an approximate inverse of the ray transform.

    .. math:: A^\dagger y = A^* (h * g y), \quad \hat h(\omega) \sim |\omega| \, w(\omega),

    where ``g`` is the part of the half circle (of the circle for fan beams) that a view stands
    for, over its mean: one where the angles are equally spaced. For fan beams it is exact only in
    the limit of a distant source.

    Parameters
    ----------
    forward_op : odl.applications.tomo.RayTransform, or a scalar multiple of one
        The forward operator. In the plane its angles may be any that leave no large gap. For a
        `SymmetrizedRayTransform` ``A*`` is symmetrized, too.
    filter_type : str, optional
        Window ``w`` of ``odl.applications.tomo.fbp_op``: Ram-Lak, Shepp-Logan, Cosine, Hamming or
        Hann.
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
        If the filter is unknown, the cutoff out of bounds, or angles are missing.

    Warns
    -----
    RuntimeWarning
        If the detector does not see all of the largest disk in the domain: data are truncated then,
        which falsifies the image everywhere.

    References
    ----------
    Natterer, F. The Mathematics of Computerized Tomography. SIAM 2001, section V.1.
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
    if str(filter_type).lower() not in FILTERS:
        raise ValueError(f"filter_type is {filter_type!r}; expected one of {', '.join(FILTERS)}.")
    inverse = tomo.fbp_op(op, filter_type=filter_type, frequency_scaling=frequency_scaling)
    if symmetrized is not None:  # the filter commutes with what turns do to data
        inverse = symmetrized.adjoint @ inverse.right
    if isinstance(op.geometry, (tomo.Parallel2dGeometry, tomo.FanBeamGeometry)):
        _warn_if_truncated(op)
        weights = _angular_weights(op.geometry)
        if np.abs(weights - 1).max() > 1e-6:
            inverse = inverse @ odl.MultiplyOperator(op.range.element(
                np.broadcast_to(weights[:, None], op.range.shape).astype(op.range.dtype)))
    return inverse if scalar == 1 else float(1 / scalar) * inverse


def _without_symmetrization(forward_op):
    """The symmetrized ray transform inside of scalar multiples, or None, and the others of A."""
    scalar, op = 1.0, forward_op
    while isinstance(op, odl.OperatorLeftScalarMult):
        scalar, op = scalar * op.scalar, op.operator
    if not isinstance(op, SymmetrizedRayTransform):
        return None, forward_op
    return op, op.forward_op if scalar == 1 else scalar * op.forward_op


# ODL weighs all views alike: they should stand for the same part of the circle each, and the
# inversion formula is an integral over half a circle, or over a whole one, where every line is seen
# twice. In general a view stands for half of the gap on either side of it, modulo the period.
def _angular_weights(geometry):
    """The part of the period of each view, over its mean; raises where a large part is missing."""
    angles, parallel = np.asarray(geometry.angles), isinstance(geometry, tomo.Parallel2dGeometry)
    period = math.pi if parallel else 2 * math.pi
    order = np.argsort(angles % period)
    gaps = np.diff(angles[order] % period, append=angles[order[0]] % period + period)
    largest = float(gaps.max())
    if largest > max(4 * float(np.median(gaps)), 0.2):
        circle = "half a circle" if parallel else "a circle"
        raise ValueError(
            f"forward_op has a gap of {math.degrees(largest):.3g} degrees between its angles, "
            f"expected views all around {circle}: filtered backprojection is wrong without them. "
            "Reconstruct by variational.tv_problem or solvers.lsqr, or, from half a circle and the "
            "fan, by odl.applications.tomo.parker_weighting and fbp_op."
        )
    weights = np.empty(len(angles))
    weights[order] = (gaps + np.roll(gaps, 1)) / 2 * len(angles) / period
    return weights


def _warn_if_truncated(op):
    """Warn if a view does not see the largest disk around the center of the domain."""
    domain, geometry = op.domain.domain, op.geometry
    radius, turns = min(domain.extent) / 2, np.linspace(0, 2 * math.pi, 120, endpoint=False)
    circle = domain.mid_pt + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
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
