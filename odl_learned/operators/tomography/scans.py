"""Ray transforms from what the log of a scanner says: a list of angles, distances, pixels."""

import math

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.applications import tomo

from odl_learned.operators.tomography.divergent_rays import require_circles
from odl_learned.operators.tomography.projectors.implementation import MatrixImpl
from odl_learned.operators.tomography.ray import parallel_beam, radius_of, require_scan
from odl_learned.validation import is_finite_number, require_finite, require_positive, shown

#: Angles in radians that span more are probably in degrees: two turns.
LARGEST_SPAN = 4 * math.pi
#: Relative deviation from equal steps that counts as rounding of the log.
EVEN = 1e-4


def scanned_parallel_beam(
    space: odl.DiscretizedSpace,
    angles: ArrayLike,
    num_bins: int,
    bin_width: float,
    axis_bin: float | None = None,
) -> tomo.RayTransform:
    r"""Return the ray transform of a scan by parallel beams, with the angles of its log.

    .. math:: (A u)(\varphi, s) = \int u(s \theta + t \theta^\perp) \, dt, \quad
              s = (i - c) \, d, \ i = 0, \dots, n - 1,

    with bins of the width ``d`` and the axis of rotation in front of bin ``c``.

    Parameters
    ----------
    space : 2D or 3D float32 ``uniform_discr`` space
        Images with square pixels, in the length unit of the scanner; of a volume, slices that are
        the rows of the detector.
    angles : array of float, shape (V,)
        Angle of each view in radians, increasing, in the order of the data.
    num_bins : int
        Number ``n`` of detector pixels.
    bin_width : float
        Width ``d`` of a detector pixel, in the unit of the space.
    axis_bin : float, optional
        The bin ``c``, counted from zero, in front of whose middle the axis lies. Default: the
        middle of the detector, ``(n - 1) / 2``; a detector that is moved by ``o`` toward its last
        bin has ``c = (n - 1) / 2 - o / d``.

    Returns
    -------
    forward_op : odl.applications.tomo.RayTransform
        Its range has shape ``(V, n)``, of volumes ``(V, n, nz)``, and dtype float32. `fbp` inverts
        it.

    Raises
    ------
    TypeError, ValueError
        If the space is not a 2D or 3D float32 one with square pixels, angles do not increase or
        look like degrees, a number is not positive, or the axis is not in front of the detector.
    RuntimeError
        If ASTRA is not installed.

    See Also
    --------
    parallel_ray_transform : equally spaced angles and a centered detector.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    >>> A = operators.scanned_parallel_beam(X, np.deg2rad([0, 30, 75]), num_bins=9, bin_width=0.25)
    >>> print(A.range.shape, f"{A(X.one()).data[0, 4]:.2f}")  # the middle ray is of length 2
    (3, 9) 2.00
    """
    views = views_of(angles)
    require_scan(space, (2, 3), len(views), num_bins)
    return parallel_beam(space, views, _detector(num_bins, bin_width, axis_bin))


def scanned_fan_beam(
    space: odl.DiscretizedSpace,
    angles: ArrayLike,
    source_to_axis: float,
    source_to_detector: float,
    num_bins: int,
    bin_width: float,
    axis_bin: float | None = None,
) -> tomo.RayTransform:
    r"""Return the ray transform of a scan by fan beams, with the angles and distances of its log.

    .. math:: (A u)(\varphi, s) = \int_0^1 u(a + t (b - a)) \, |b - a| \, dt, \quad
              a = -R \theta, \quad b = (D - R) \theta + s \theta^\perp, \quad s = (i - c) \, d,

    with the source ``a`` at the distance ``R`` from the axis of rotation, and a flat detector at
    the distance ``D`` from the source. The arc may be a full circle, a short scan (half a circle
    and the fan), or anything else.

    Parameters
    ----------
    space, angles, num_bins, axis_bin
        As for `scanned_parallel_beam`. The axis of rotation throws its shadow on ``axis_bin``.
    source_to_axis : float
        The distance ``R``, in the unit of the space, larger than that of every pixel.
    source_to_detector : float
        The distance ``D``, in the unit of the space, at least ``R``.
    bin_width : float
        Width ``d`` of a detector pixel itself, not of its shadow on the axis.

    Returns
    -------
    forward_op : odl.applications.tomo.RayTransform
        Its range has shape ``(V, n)`` and dtype float32. `fbp` inverts it.

    Raises
    ------
    TypeError, ValueError
        As `scanned_parallel_beam`, and if the source is inside of the disk around the domain or
        the detector between source and axis.
    RuntimeError
        If ASTRA is not installed.

    See Also
    --------
    fan_beam_ray_transform : equally spaced angles and a centered detector.
    """
    views = views_of(angles)
    require_scan(space, 2, len(views), num_bins)
    require_behind(source_to_axis, source_to_detector)
    require_circles(source_to_axis, source_to_detector - source_to_axis, radius_of(space))
    geometry = tomo.FanBeamGeometry(
        views, _detector(num_bins, bin_width, axis_bin), src_radius=float(source_to_axis),
        det_radius=float(source_to_detector - source_to_axis))  # fmt: skip
    return tomo.RayTransform(space, geometry, impl=MatrixImpl)


def require_behind(source_to_axis, source_to_detector):
    """Raise ValueError unless the detector is behind the axis, seen from the source."""
    require_positive("source_to_detector", source_to_detector)
    require_positive("source_to_axis", source_to_axis)
    if source_to_detector < source_to_axis:
        raise ValueError(
            f"source_to_detector is {source_to_detector!r} and source_to_axis {source_to_axis!r}, "
            "expected the detector behind the axis; pass the distance from the source to the "
            "detector, the sum of those from the axis to either."
        )


def views_of(angles, largest_span=LARGEST_SPAN):
    """The angles as a partition, with equal steps where they are equal up to rounding."""
    require_finite("angles", angles)
    angles = np.asarray(angles)
    if angles.ndim != 1 or angles.size == 0 or np.iscomplexobj(angles):
        raise ValueError(f"angles is {shown(angles)}, expected a list of angles in radians, one "
                         "for each view.")
    angles = angles.astype(np.float64)
    if np.ptp(angles) > math.pi and np.array_equal(angles, np.round(angles)):
        raise ValueError(
            f"angles are whole numbers from {angles.min():g} to {angles.max():g}, as degrees are; "
            "expected radians. Degrees become radians by numpy.deg2rad(angles)."
        )
    if np.ptp(angles) > largest_span:
        raise ValueError(
            f"angles run from {angles.min():g} to {angles.max():g}, more than two turns in "
            "radians; expected radians. Degrees become radians by numpy.deg2rad(angles)."
        )
    steps = np.diff(angles)
    if np.any(steps <= 0):
        raise ValueError(
            f"angles do not increase, after {angles[:-1][steps <= 0][0]:g} comes "
            f"{angles[1:][steps <= 0][0]:g}; expected increasing ones. Sort views and data alike: "
            "order = numpy.argsort(angles), angles[order], data[order]."
        )
    step = np.mean(steps) if len(steps) else 1.0
    if np.all(np.abs(steps - step) <= EVEN * step):
        return odl.uniform_partition(angles[0] - step / 2, angles[-1] + step / 2, len(angles))
    return odl.nonuniform_partition(angles)


def _detector(num_bins, bin_width, axis_bin):
    """The bins as a partition, with the axis at zero."""
    if num_bins is None:
        raise TypeError("num_bins is None, expected the number of detector pixels.")
    require_positive("bin_width", bin_width)
    axis_bin = (num_bins - 1) / 2 if axis_bin is None else axis_bin
    if not (is_finite_number(axis_bin) and -0.5 <= axis_bin <= num_bins - 0.5):
        raise ValueError(
            f"axis_bin is {shown(axis_bin)}, expected the bin, from 0 to {num_bins - 1}, that is "
            "behind the axis of rotation; leave it out for the middle."
        )
    edges = (-0.5 - axis_bin) * bin_width, (num_bins - 0.5 - axis_bin) * bin_width
    return odl.uniform_partition(*edges, int(num_bins))
