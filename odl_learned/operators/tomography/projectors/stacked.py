r"""Parallel beams in space as stacked slices: the matrix of the plane on all slices at once.

Where the rays are perpendicular to the axis of rotation and the rows of the detector are the slices
of the volume, ``(A u)(:, :, k) = A_2 u(:, :, k)``. A volume ``(x, y, z)`` in the order of C is a
matrix with its slices as columns, and so are its data ``(angle, s, z)``: ``M`` takes both as they
lie in memory.
"""

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.operators.tomography.projectors.implementation import MatrixImpl
from odl_learned.validation import shown
from odl_learned.weights import weighting_constant

#: Deviation of a row of the detector from its slice, in heights of a slice, that counts as none.
ALIGNED = 1e-4

_OTHERWISE = ("Build it with operators.parallel_ray_transform(space, num_angles), resample the "
              "data to rows that are the slices, or take operators.cone_beam_ray_transform, whose "
              "rays may cross slices.")  # fmt: skip


class StackedImpl:
    """An ``impl`` of `odl.applications.tomo.RayTransform` for parallel beams in space.

    .. math:: (A u)_k = M u_k, \\qquad (A^* y)_k = \\frac{w_Y}{w_X} M^T y_k

    with the matrix of the plane and slices ``k``. Where it would take more than
    `matrices.SPARSE_LIMIT`, and on spaces that do not use numpy, ASTRA projects slice by slice.

    Parameters
    ----------
    geometry : odl.applications.tomo.Parallel3dAxisGeometry
        About the third axis, with the slices of the volumes as rows of the detector.
    vol_space, proj_space : odl.DiscretizedSpace
        Of volumes and of their data, shapes ``(nx, ny, nz)`` and ``(V, n, nz)``.
    """

    def __init__(self, geometry, vol_space, proj_space):
        self.vol_space, self.proj_space = vol_space, proj_space
        self.plane = plane_between(vol_space, proj_space, geometry)

    def call_forward(self, x, out=None):
        """``A x``."""
        return self._call("project", self.plane, x, self.proj_space, out)

    def call_backward(self, y, out=None):
        """``A* y``."""
        return self._call("backproject", self.plane.adjoint, y, self.vol_space, out)

    def _call(self, direction, plane, x, space, out):
        by_matrix = self.plane.get_impl()
        if by_matrix.pair is not None:
            result = by_matrix.product(direction, x.data)
            if out is None:
                return space.element(result.astype(space.dtype, copy=False))
            out.data[...] = result
            return out
        out = space.zero() if out is None else out
        for k in range(space.shape[2]):
            out.data[..., k] = plane(plane.domain.element(x.data[..., k])).data
        return out


def is_stacked(op: odl.Operator) -> bool:
    """Whether an operator is a ray transform that projects slice by slice."""
    return isinstance(op, tomo.RayTransform) and op.impl == StackedImpl.__name__


def plane_of(op: tomo.RayTransform) -> tomo.RayTransform:
    """Return the ray transform of one slice, or a ray transform in the plane itself."""
    return op.get_impl().plane if is_stacked(op) else op


def plane_between(vol_space, proj_space, geometry):
    """Return the ray transform of one slice, with the ratio of weights of the whole one.

    Raises
    ------
    NotImplementedError
        If the rays are not parallel or cross slices, or rows of the detector are not slices.
    TypeError
        If entries of a space have different weights.
    """
    if not isinstance(geometry, tomo.Parallel3dAxisGeometry):
        raise NotImplementedError(f"the geometry is a {type(geometry).__name__}, expected a "
                                  f"Parallel3dAxisGeometry. {_OTHERWISE}")
    across, along = geometry.det_axes_init
    if not (np.allclose(geometry.axis, (0, 0, 1), rtol=0, atol=1e-9)
            and np.allclose(along, (0, 0, 1), rtol=0, atol=1e-9) and abs(across[2]) <= 1e-9):
        raise NotImplementedError(
            f"the geometry turns about {_numbers(geometry.axis)} with detector rows along "
            f"{_numbers(across)} that are stacked along {_numbers(along)}, expected the axis and "
            "the stack to be (0, 0, 1), the rows across them: other rays cross slices. "
            f"{_OTHERWISE}")
    slices, rows = vol_space.partition.byaxis[2], geometry.det_partition.byaxis[1]
    height = float(slices.cell_sides[0])
    places = rows.grid.coord_vectors[0] + geometry.det_pos_init[2]
    centers = slices.grid.coord_vectors[0]
    if len(places) != len(centers) or np.abs(places - centers).max() > ALIGNED * height:
        raise NotImplementedError(
            f"the detector has {len(places)} rows from {places[0]:.6g} to {places[-1]:.6g} along "
            f"the axis, the volume {len(centers)} slices from {centers[0]:.6g} to "
            f"{centers[-1]:.6g}; expected the rows to be the slices. {_OTHERWISE}")
    spaces = [_plane_space(name, space, height)
              for name, space in (("the domain", vol_space), ("the range", proj_space))]
    return tomo.RayTransform(spaces[0], _plane_geometry(geometry), proj_space=spaces[1],
                             impl=MatrixImpl)


def _plane_space(name, space, height):
    """The first two axes, each entry with its weight for one unit of height."""
    weight, partition = weighting_constant(space), space.partition.byaxis[:2]
    if weight is None:
        raise TypeError(f"{name} is {shown(space)}, expected a constant weight, the same for "
                        "all entries; build it with odl.uniform_discr(...).")
    entries = space.tspace_type(partition.shape, dtype=space.dtype, device=space.device,
                                weighting=weight / height)
    return odl.DiscretizedSpace(partition, entries)


def _plane_geometry(geometry):
    position = geometry.det_pos_init - geometry.translation
    return tomo.Parallel2dGeometry(
        geometry.motion_partition, geometry.det_partition.byaxis[0], position[:2],
        det_axis_init=geometry.det_axes_init[0][:2], translation=geometry.translation[:2])


def _numbers(vector):
    return "(" + ", ".join(f"{float(t):g}" for t in vector) + ")"
