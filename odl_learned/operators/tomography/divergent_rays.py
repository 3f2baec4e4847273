"""Ray transforms for fan beams in the plane and cone beams in space."""

import math

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.tomography.projectors.implementation import MatrixImpl
from odl_learned.operators.tomography.ray import number_of_bins, radius_of, require_scan
from odl_learned.validation import is_finite_number, require_positive, shown


def fan_beam_ray_transform(space, num_angles, src_radius, det_radius, num_bins=None,
                           det_half_width=None):  # fmt: skip
    r"""Return ODL's ray transform for fan beams in the plane, a matrix with ASTRA's entries.

    .. math:: (A u)(\varphi, s) = \int_0^1 u(a + t (b - a)) \, |b - a| \, dt, \quad
              a = -R_s \theta, \quad b = R_d \theta + s \theta^\perp,

    with the source ``a`` and the flat detector, of points ``b``, on circles of the radii ``R_s``
    and ``R_d`` about the origin, and the unit vector ``theta`` from one to the other. The angles
    are the midpoints of ``num_angles`` equal parts of the full circle ``[0, 2 pi)``.

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


def cone_beam_ray_transform(space, num_angles, src_radius, det_radius, det_shape=None,
                            det_half_widths=None):  # fmt: skip
    r"""Return ODL's ray transform for cone beams in space, computed by ASTRA on a CUDA device.

    .. math:: (A u)(\varphi, s) = \int_0^1 u(a + t (b - a)) \, |b - a| \, dt, \quad
              a = -R_s \theta, \quad b = R_d \theta + s_1 \theta^\perp + s_2 e_3,

    as `fan_beam_ray_transform`, with a flat detector that turns with the source about the third
    axis.

    Parameters
    ----------
    space : 3D float32 ``uniform_discr`` space
        Volumes, in the length unit in which attenuation is measured.
    num_angles : int
        Number of views, at the midpoints of equal parts of the full circle.
    src_radius : float
        Distance of the source from the axis, in the units of the space, larger than that of every
        voxel.
    det_radius : float
        Distance of the detector from the axis, in the units of the space, at least zero.
    det_shape : pair of int, optional
        Number of detector bins across and along the axis. Default: enough for bins no wider than
        a voxel, magnified by ``(src_radius + det_radius) / src_radius``.
    det_half_widths : pair of float, optional
        Half of the width and of the height of the detector, in the units of the space. Default:
        the shadow of the smallest cylinder around the domain.

    Returns
    -------
    forward_op : odl.applications.tomo.RayTransform
        Its range has shape ``(num_angles, *det_shape)`` and dtype float32.

    Raises
    ------
    TypeError, ValueError
        If the space is not a 3D float32 one, a number is not positive, or the source is inside of
        the cylinder around the domain.
    RuntimeError
        If ASTRA is not installed or finds no CUDA device; on the CPU it projects planes only.
    """
    for name, pair in (("det_shape", det_shape), ("det_half_widths", det_half_widths)):
        if not (pair is None or isinstance(pair, tuple | list) and len(pair) == 2):
            raise TypeError(f"{name} is {shown(pair)}, expected two numbers, along the circle and "
                            "along its axis, or None.")
    require_scan(space, 3, num_angles, *(det_shape or ()))
    radius = float(np.linalg.norm(space.domain.corners()[:, :2], axis=1).max())
    require_circles(src_radius, det_radius, radius)
    length = src_radius + det_radius
    if det_half_widths is None:
        height = float(np.abs(space.domain.corners()[:, 2]).max())
        det_half_widths = (length * math.tan(math.asin(radius / src_radius)),
                           length * height / (src_radius - radius))  # fmt: skip
    for width in det_half_widths:
        require_positive("det_half_widths", width)
    if det_shape is None:
        sides = min(space.cell_sides[:2]), space.cell_sides[2]
        det_shape = [number_of_bins(width, side * length / src_radius)
                     for width, side in zip(det_half_widths, sides, strict=True)]  # fmt: skip
    if not tomo.ASTRA_CUDA_AVAILABLE:
        raise RuntimeError(
            "ASTRA finds no CUDA device, expected one for cone beams: on the CPU it projects "
            "planes only. Run on a machine with CUDA, or project slice by slice with "
            "fan_beam_ray_transform."
        )
    geometry = tomo.ConeBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi, int(num_angles)),
        odl.uniform_partition([-w for w in det_half_widths], det_half_widths, det_shape),
        src_radius=float(src_radius), det_radius=float(det_radius))  # fmt: skip
    return tomo.RayTransform(space, geometry, impl="astra_cuda")


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
