"""The ray transform of a cone beam scan from what the log of a scanner says."""

import math
from collections.abc import Sequence

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.applications import tomo

from odl_learned.operators.tomography.cone.circles import (
    cylinder_radius,
    on_this_machine,
    require_pair,
)
from odl_learned.operators.tomography.divergent_rays import require_circles
from odl_learned.operators.tomography.ray import require_scan
from odl_learned.operators.tomography.scans import LARGEST_SPAN, require_behind, views_of
from odl_learned.validation import is_finite_number, require_positive, shown


def scanned_cone_beam(
    space: odl.DiscretizedSpace, angles: ArrayLike, source_to_axis: float,
    source_to_detector: float, det_shape: Sequence[int], bin_sides: Sequence[float],
    axis_bins: Sequence[float] | None = None, pitch: float = 0.0, start_height: float = 0.0,
) -> tomo.RayTransform:  # fmt: skip
    r"""Return the ray transform of a scan by cone beams, with the angles and distances of its log.

    .. math:: (A u)(\varphi, s) = \int_0^1 u(a + t (b - a)) \, |b - a| \, dt, \quad
              a = -R \theta + z e_3, \quad
              b = (D - R) \theta + s_1 \theta^\perp + (z + s_2) e_3, \quad s = (i - c) d,

    with the source ``a`` at the distance ``R`` from the axis of rotation, the third one, and a flat
    detector at the distance ``D`` from the source, both at the height
    ``z = z_0 + pitch (phi - phi_0) / (2 pi)``. Rays pass through a detector that lies within the
    volume. See `cone_beam_ray_transform` for who computes.

    Parameters
    ----------
    space : 3D float32 ``uniform_discr`` space
        Volumes, in the length unit of the scanner.
    angles : array of float, shape (V,)
        Angle of each view in radians, increasing, in the order of the data: of a circle
        two turns at most, of a helix all turns, whose degrees are noticed only where they are whole
        numbers.
    source_to_axis : float
        The distance ``R``, in the unit of the space, larger than that of every voxel.
    source_to_detector : float
        The distance ``D``, in the unit of the space, at least ``R``.
    det_shape : pair of int
        Numbers of detector pixels, across and along the axis.
    bin_sides : pair of float
        Width and height ``d`` of a detector pixel itself, not of its shadow on the axis.
    axis_bins : pair of float, optional
        The pixel ``c``, counted from zero, that is hit by the ray which meets the axis at a right
        angle. Default: the middle of the detector, ``(n - 1) / 2``. An offset detector has another
        one, outside of itself if need be.
    pitch : float, optional
        How far the source climbs in a turn, in the unit of the space; zero for a circle.
    start_height : float, optional
        Height ``z_0`` of the source at the first angle.

    Returns
    -------
    forward_op : odl.applications.tomo.RayTransform
        Its range has shape ``(V, *det_shape)`` and dtype float32.

    Raises
    ------
    TypeError, ValueError
        If the space is not a 3D float32 one, angles do not increase or look like degrees, a number
        is not positive, the source is inside of the cylinder around the domain, or the detector
        between source and axis.
    RuntimeError
        If ASTRA is not installed.

    See Also
    --------
    cone_beam_ray_transform : equally spaced angles and a centered detector.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1] * 3, [1] * 3, (8, 8, 8), dtype="float32")
    >>> A = operators.scanned_cone_beam(
    ...     X, np.deg2rad([0, 90, 180]), source_to_axis=4.0, source_to_detector=6.0,
    ...     det_shape=(9, 5), bin_sides=(0.5, 0.5))
    >>> print(A.range.shape)
    (3, 9, 5)
    """
    views = views_of(angles, LARGEST_SPAN if np.all(pitch == 0) else math.inf)
    det_shape = require_pair("det_shape", det_shape)
    bin_sides = require_pair("bin_sides", bin_sides)
    require_scan(space, 3, len(views), *det_shape)
    for side in bin_sides:
        require_positive("bin_sides", side)
    require_behind(source_to_axis, source_to_detector)
    require_circles(source_to_axis, source_to_detector - source_to_axis, cylinder_radius(space))
    if axis_bins is None:
        axis_bins = tuple((number - 1) / 2 for number in det_shape)
    axis_bins = require_pair("axis_bins", axis_bins)
    numbers = [("axis_bins", place) for place in axis_bins]
    for name, number in (*numbers, ("pitch", pitch), ("start_height", start_height)):
        if not is_finite_number(number):
            raise ValueError(f"{name} is {shown(number)}, expected finite numbers; leave it out "
                             "for the default.")  # fmt: skip
    edges = -0.5 - np.asarray(axis_bins, dtype=float)
    detector = odl.uniform_partition(
        edges * bin_sides, (edges + det_shape) * np.asarray(bin_sides, dtype=float),
        tuple(map(int, det_shape)))  # fmt: skip
    first = float(views.grid.coord_vectors[0][0])
    geometry = tomo.ConeBeamGeometry(
        views, detector, src_radius=float(source_to_axis),
        det_radius=float(source_to_detector - source_to_axis), pitch=float(pitch),
        offset_along_axis=float(start_height - pitch * first / (2 * math.pi)))  # fmt: skip
    return on_this_machine(space, geometry)
