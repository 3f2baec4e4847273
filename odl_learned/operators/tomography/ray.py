"""Parallel-beam ray transform, the forward operator of computed tomography."""

import math

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.tomography.projectors.implementation import MatrixImpl
from odl_learned.operators.tomography.projectors.stacked import StackedImpl
from odl_learned.validation import require_count, require_positive, shown
from odl_learned.weights import constant_weight

#: Largest number of views, or of bins along an axis: far more than any scanner has.
MOST_BINS = 2**20


def parallel_ray_transform(
    space: odl.DiscretizedSpace,
    num_angles: int,
    num_bins: int | None = None,
    det_half_width: float | None = None,
) -> tomo.RayTransform:
    r"""Return ODL's ray transform for parallel beams, a matrix with ASTRA's entries.

    .. math:: (A u)(\varphi, s) = \int u(s \theta + t \theta^\perp) \, dt,
              \quad \varphi \in [0, \pi), \ |s| \le \text{det\_half\_width}.

    The angles are the midpoints of ``num_angles`` equal parts of ``[0, pi)``. For an even number
    of them and a square space centered at the origin, ``A* A`` commutes with quarter turns.

    A volume is projected slice by slice, about its third axis: the rays are perpendicular to it,
    and the rows of the detector are the slices, ``(A u)(\varphi, s, z)``.

    Parameters
    ----------
    space : 2D or 3D float32 ``uniform_discr`` space
        Images or slices with square pixels, in the length unit in which attenuation is measured;
        slices of any height.
    num_angles : int
        Number of views.
    num_bins : int, optional
        Number of detector bins. Default: enough for bins no wider than a pixel.
    det_half_width : float, optional
        The detector covers ``[-det_half_width, det_half_width]``, in the units of the space.
        Default: the distance of the farthest corner of the domain from the origin.

    Returns
    -------
    forward_op : odl.applications.tomo.RayTransform
        Its range has shape ``(num_angles, num_bins)``, of volumes ``(num_angles, num_bins, nz)``,
        and dtype float32.

    Raises
    ------
    TypeError, ValueError
        If the space is not a 2D or 3D float32 one with square pixels, or a number is not positive.
    RuntimeError
        If ASTRA is not installed.
    """
    require_scan(space, (2, 3), num_angles, num_bins)
    if det_half_width is None:
        det_half_width = radius_of(space)
    require_positive("det_half_width", det_half_width)
    if num_bins is None:
        num_bins = number_of_bins(det_half_width, min(space.cell_sides[:2]))
    return parallel_beam(space, odl.uniform_partition(0, np.pi, int(num_angles)),
                         odl.uniform_partition(-det_half_width, det_half_width, int(num_bins)))


def parallel_beam(space, angles, bins):
    """Return the ray transform of a plane, or of the slices of a volume, from two partitions."""
    if space.ndim == 2:
        return tomo.RayTransform(space, tomo.Parallel2dGeometry(angles, bins), impl=MatrixImpl)
    detector = bins.append(space.partition.byaxis[2])
    geometry = tomo.Parallel3dAxisGeometry(angles, detector)
    return tomo.RayTransform(space, geometry, impl=StackedImpl)


def require_scan(space, ndim, num_angles, *num_bins):
    """Raise unless ASTRA can project this space into so many views and bins.

    ``ndim`` is the number of dimensions, or a pair of them: planes, and volumes slice by slice.
    """
    ndims = ndim if isinstance(ndim, tuple) else (ndim,)
    dimensions = " or ".join(f"{n}D" for n in ndims)
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(
            f"space is {space!r}; expected a {dimensions} float32 space, built with "
            "odl.uniform_discr(min_pt, max_pt, shape, dtype='float32')."
        )
    if space.ndim not in ndims:
        hint = "project images or volumes one by one." if len(ndims) > 1 else (
            "project a volume slice by slice, or use cone_beam_ray_transform."
            if ndim == 2
            else "use fan_beam_ray_transform in the plane."
        )
        raise ValueError(f"space has {space.ndim} dimensions, expected {dimensions}; {hint}")
    constant_weight("space", space)
    if space.dtype != np.float32:
        raise TypeError(
            f"space has dtype {space.dtype}, expected float32, the only one ASTRA computes in; "
            "build it with odl.uniform_discr(..., dtype='float32')."
        )
    if 2 in ndims and not space.partition.byaxis[:2].has_isotropic_cells:
        raise ValueError(
            f"space has cell sides {space.cell_sides.tolist()}, expected equal ones: in the plane "
            "ASTRA projects square pixels. Choose the shape in proportion to the sides of the "
            "domain."
        )
    bins = "num_bins" if 2 in ndims else "det_shape"
    for name, number in (("num_angles", num_angles), *((bins, n) for n in num_bins)):
        if number is None and name == "num_bins":
            continue
        is_whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
        if not (is_whole and number > 0):
            raise ValueError(f"{name} is {shown(number)}; expected a positive integer.")
        require_count(name, number, most=MOST_BINS)
    if not tomo.ASTRA_AVAILABLE:
        raise RuntimeError("ASTRA is not installed; run `pip install astra-toolbox`.")


def radius_of(space):
    """Distance of the farthest corner of a domain from the origin, or from the third axis."""
    return float(np.linalg.norm(space.domain.corners()[:, :2], axis=1).max())


def number_of_bins(half_width, width):
    """The odd number of bins that cover a detector and are no wider than asked for."""
    pairs = half_width / float(width) * (1 - 1e-6)
    if pairs > MOST_BINS / 2:
        raise ValueError(
            f"a detector of half the width {half_width:g} has {2 * pairs:.2g} bins of the width "
            f"{float(width):.2g} of a pixel, expected at most {MOST_BINS}; check the unit of "
            "length, or pass the number of bins."
        )
    return 2 * math.ceil(pairs) + 1


def ray_transform_in(forward_op):
    """Return the ray transform inside scalar multiples of it."""
    op = forward_op
    while isinstance(op, odl.OperatorLeftScalarMult):
        op = op.operator
    if not isinstance(op, tomo.RayTransform):
        raise TypeError(
            f"forward_op is {forward_op!r}; expected a ray transform or a multiple of one; "
            "build it with parallel_ray_transform(space, num_angles)."
        )
    return op


def require_even_angles(forward_op: odl.Operator) -> None:
    """Raise ValueError if ``A* A`` cannot commute with quarter turns, by the number of views.

    A quarter turn must map the set of lines to itself: of parallel beams over half a circle the
    number is even, of fan beams over the full circle a multiple of four.

    Parameters
    ----------
    forward_op : odl.applications.tomo.RayTransform, or a scalar multiple of one
        The forward operator that is asked to be equivariant.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
    >>> operators.require_even_angles(operators.parallel_ray_transform(X, num_angles=5))
    Traceback (most recent call last):
        ...
    ValueError: forward_op has 5 angles, an odd number; expected an even one, since a ...
    """
    geometry = ray_transform_in(forward_op).geometry
    number = len(geometry.angles)
    if isinstance(geometry, tomo.FanBeamGeometry) and number % 4:
        raise ValueError(
            f"forward_op has {number} angles on a full circle, expected a multiple of four, since "
            "a quarter turn must map the set of views to itself. Build it with "
            f"fan_beam_ray_transform(space, {4 * (number // 4 + 1)}, ...)."
        )
    if number % 2:
        raise ValueError(
            f"forward_op has {number} angles, an odd number; expected an even one, since a quarter "
            "turn must map the set of views to itself. Build it with "
            f"parallel_ray_transform(space, {number + 1})."
        )
