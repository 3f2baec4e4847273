"""The ray transform for fan beams in the plane."""

import math

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.tomography.projectors.implementation import MatrixImpl
from odl_learned.operators.tomography.ray import number_of_bins, radius_of, require_scan
from odl_learned.validation import is_finite_number, require_positive


def fan_beam_ray_transform(
    space: odl.DiscretizedSpace,
    num_angles: int,
    src_radius: float,
    det_radius: float,
    num_bins: int | None = None,
    det_half_width: float | None = None,
) -> tomo.RayTransform:
    r"""Return ODL's ray transform for fan beams in the plane, a matrix with ASTRA's entries.

    .. math:: (A u)(\varphi, s) = \int_0^1 u(a + t (b - a)) \, |b - a| \, dt, \quad
              a = -R_s \theta, \quad b = R_d \theta + s \theta^\perp,

    with the source ``a`` and the flat detector, of points ``b``, on circles of the radii ``R_s``
    and ``R_d`` about the origin, and the unit vector ``theta`` from one to the other. The angles
    are the midpoints of ``num_angles`` equal parts of the full circle ``[0, 2 pi)``. Rays pass
    through a detector that lies within the image.

    Parameters
    ----------
    space : 2D float32 ``uniform_discr`` space
        Images with square pixels, in the length unit in which attenuation is measured.
    num_angles : int
        Number of views; a multiple of four if quarter turns matter.
    src_radius : float
        Distance of the source from the origin, in the units of the space, larger than that of
        every pixel.
    det_radius : float
        Distance of the detector from the origin, in the units of the space, at least zero.
    num_bins : int, optional
        Number of detector bins. Default: enough for bins no wider than a pixel, magnified by
        ``(src_radius + det_radius) / src_radius``.
    det_half_width : float, optional
        The detector covers ``[-det_half_width, det_half_width]``, in the units of the space and on
        the detector itself. Default: the shadow of the smallest disk around the domain.

    Returns
    -------
    forward_op : odl.applications.tomo.RayTransform
        Its range has shape ``(num_angles, num_bins)`` and dtype float32.

    Raises
    ------
    TypeError, ValueError
        If the space is not a 2D float32 one with square pixels, a number is not positive, or the
        source is inside of the disk around the domain.
    RuntimeError
        If ASTRA is not installed.
    """
    require_scan(space, 2, num_angles, num_bins)
    radius = radius_of(space)
    require_circles(src_radius, det_radius, radius)
    length = src_radius + det_radius
    if det_half_width is None:
        det_half_width = length * math.tan(math.asin(radius / src_radius))
    require_positive("det_half_width", det_half_width)
    if num_bins is None:
        num_bins = number_of_bins(det_half_width, min(space.cell_sides) * length / src_radius)
    geometry = tomo.FanBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi, int(num_angles)),
        odl.uniform_partition(-det_half_width, det_half_width, int(num_bins)),
        src_radius=float(src_radius), det_radius=float(det_radius))  # fmt: skip
    return tomo.RayTransform(space, geometry, impl=MatrixImpl)


def require_circles(src_radius, det_radius, radius):
    """Raise ValueError unless the source stays outside of the object and the detector exists."""
    require_positive("src_radius", src_radius)
    if src_radius <= radius:
        raise ValueError(
            f"src_radius is {src_radius!r}, expected more than {radius:g}, the distance of the "
            "farthest corner of the domain from the axis: the source must not enter the object. "
            "Both are in the units of the space."
        )
    if not (is_finite_number(det_radius) and det_radius >= 0):
        raise ValueError(
            f"det_radius is {det_radius!r}, expected a finite number that is at least zero, the "
            "distance of the detector from the axis in the units of the space."
        )
