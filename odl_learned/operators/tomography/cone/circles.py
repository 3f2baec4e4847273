"""The ray transform for cone beams whose source goes around on a circle or on a helix."""

import math
from collections.abc import Sequence

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.tomography.cone.implementation import JosephImpl
from odl_learned.operators.tomography.divergent_rays import require_circles
from odl_learned.operators.tomography.ray import number_of_bins, require_scan
from odl_learned.validation import is_finite_number, require_positive, shown


def cone_beam_ray_transform(
    space: odl.DiscretizedSpace, num_angles: int, src_radius: float, det_radius: float,
    det_shape: Sequence[int] | None = None, det_half_widths: Sequence[float] | None = None,
    det_center: Sequence[float] = (0.0, 0.0), pitch: float = 0.0, turns: float = 1.0,
) -> tomo.RayTransform:  # fmt: skip
    r"""Return ODL's ray transform for cone beams in space, around a circle or along a helix.

    .. math:: (A u)(\varphi, s) = \int_0^1 u(a + t (b - a)) \, |b - a| \, dt, \quad
              a = -R_s \theta + z e_3, \quad b = R_d \theta + s_1 \theta^\perp + (z + s_2) e_3,

    as `fan_beam_ray_transform`, with a flat detector that turns with the source about the third
    axis, and climbs with it: ``z = pitch (phi / (2 pi) - turns / 2)`` for ``phi`` from 0 to
    ``2 pi turns``. Rays pass through a detector that lies within the volume. On the CPU it is
    Joseph's projector, with an exact adjoint (`cone.joseph`), compiled where numba is installed
    (the extra ``fast``) and slow without. Where ASTRA finds a CUDA device, ASTRA computes, whose
    adjoint is approximate.

    Parameters
    ----------
    space : 3D float32 ``uniform_discr`` space
        Volumes, in the length unit in which attenuation is measured.
    num_angles : int
        Number of views, at the midpoints of equal parts of all turns.
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
        the shadow of the smallest cylinder around the domain. For a helix, the height is that of
        the Tam-Danielsson window, where that is smaller: what complete data need.
    det_center : pair of float, optional
        The place of the detector's middle, across and along the axis, against the point opposite to
        the source; for a detector that is offset.
    pitch : float, optional
        How far the source climbs in a turn, in the units of the space; zero for a circle.
    turns : float, optional
        Number of turns.

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
        If ASTRA is not installed.

    See Also
    --------
    scanned_cone_beam : the angles and distances of a log.

    References
    ----------
    Joseph, IEEE Trans. Med. Imaging 1(3) (1982); of the window, K. C. Tam et al., Phys. Med. Biol.
    43 (1998), and P. E. Danielsson et al., Proc. 1997 Meeting on Fully 3D Image Reconstruction.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1] * 3, [1] * 3, (8, 8, 8), dtype="float32")
    >>> A = operators.cone_beam_ray_transform(
    ...     X, 4, src_radius=4.0, det_radius=2.0, det_shape=(9, 9), det_half_widths=(3.0, 3.0))
    >>> print(A.range.shape)
    (4, 9, 9)
    """
    if det_shape is not None:
        det_shape = require_pair("det_shape", det_shape)
    if det_half_widths is not None:
        det_half_widths = require_pair("det_half_widths", det_half_widths)
    det_center = require_pair("det_center", det_center)
    require_scan(space, 3, num_angles, *(det_shape or ()))
    radius = cylinder_radius(space)
    require_circles(src_radius, det_radius, radius)
    for name, number in (("pitch", pitch), *(("det_center", place) for place in det_center)):
        if not is_finite_number(number):
            raise ValueError(f"{name} is {shown(number)}, expected finite numbers, in the units of "
                             "the space.")  # fmt: skip
    require_positive("turns", turns)
    length = src_radius + det_radius
    if det_half_widths is None:
        det_half_widths = _shadow(space, src_radius, length, radius, abs(pitch))
    for width in det_half_widths:
        require_positive("det_half_widths", width)
    if det_shape is None:
        sides = min(space.cell_sides[:2]), space.cell_sides[2]
        det_shape = [number_of_bins(width, side * length / src_radius)
                     for width, side in zip(det_half_widths, sides, strict=True)]  # fmt: skip
    middle, half = np.asarray(det_center, dtype=float), np.asarray(det_half_widths, dtype=float)
    geometry = tomo.ConeBeamGeometry(
        odl.uniform_partition(0, 2 * np.pi * turns, int(num_angles)),
        odl.uniform_partition(middle - half, middle + half, det_shape),
        src_radius=float(src_radius), det_radius=float(det_radius), pitch=float(pitch),
        offset_along_axis=-float(pitch * turns) / 2)  # fmt: skip
    return on_this_machine(space, geometry)


def on_this_machine(space, geometry):
    """Return the ray transform by ASTRA on CUDA, where there is a device, or by `JosephImpl`."""
    impl = "astra_cuda" if tomo.ASTRA_CUDA_AVAILABLE else JosephImpl
    return tomo.RayTransform(space, geometry, impl=impl)


def cylinder_radius(space):
    """Distance of the farthest corner of a domain from the third axis."""
    return float(np.linalg.norm(space.domain.corners()[:, :2], axis=1).max())


def require_pair(name, pair):
    """Return a pair as a tuple, and raise TypeError if it is none."""
    if not (isinstance(pair, tuple | list | np.ndarray) and np.shape(pair) == (2,)):
        raise TypeError(f"{name} is {shown(pair)}, expected two numbers, along the circle and "
                        "along its axis.")
    return tuple(pair)


def _shadow(space, src_radius, length, radius, pitch):
    """Half of the width and of the height of the detector that all of a cylinder needs.

    With the fan angle ``c`` of the cylinder, the window between two turns is highest at its edge:
    ``D / R P / (2 pi) (1 + tan(c)^2) (pi / 2 + c)``.
    """
    fan = math.asin(radius / src_radius)
    height = float(np.abs(space.domain.corners()[:, 2]).max()) * length / (src_radius - radius)
    if pitch > 0:
        window = pitch / (2 * math.pi) * (math.pi / 2 + fan) / math.cos(fan) ** 2
        height = min(height, window * length / src_radius)
    return length * math.tan(fan), height
