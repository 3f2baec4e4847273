r"""Backprojection of cone beams on a circle, interpolated on the detector, as inversion asks for.

With the rows of a flat detector across the axis of rotation, the formula of fan beams is applied to
every row in its own plane through the source (Feldkamp, Davis and Kress 1984, equation 28): a ray
that rises by the angle e against the plane of the circle counts for ``cos(e)``, and the weight of a
point is ``U^-2``, as in the plane, with the same depth U for all heights. In the plane of the
circle this is exact; above and below it is an approximation, which has the right integral along
every line parallel to the axis.
"""

import dataclasses

import numpy as np
import odl
from odl.core.space.base_tensors import TensorSpace

from odl_learned.compiled import is_available, run_all, shares
from odl_learned.operators.tomography.cone.rays import ConeRays
from odl_learned.operators.tomography.interpolated.flat_rays import fan_of
from odl_learned.operators.tomography.interpolated.plane import by_parts
from odl_learned.operators.tomography.interpolated.shadows import PlaneShadows, plane_shadows
from odl_learned.weights import constant_weight


@dataclasses.dataclass(frozen=True, eq=False)
class ConeShadows:
    """The shadows of voxels in all views of a circular cone beam about the third axis.

    The voxel ``(x, y, z)`` lies in front of row ``foot + slope (z - height) / U`` of its view.

    Parameters
    ----------
    plane : PlaneShadows
        The columns of their shadows, and their depths U.
    z : float64 array, shape (nz,)
        Heights of the voxels.
    rows : float64 array, shape (V, 3)
        ``foot + 1``, ``slope`` and the height of the source for each view.
    count : int
        Number of rows of the detector.
    """

    plane: PlaneShadows
    z: np.ndarray
    rows: np.ndarray
    count: int

    def interpolation(self, view, i):
        """Rows and fractions of the voxels in the plane ``i`` of the first axis, (ny, nz).

        Rows count from one zero before them, as the bins of `PlaneShadows.interpolation`.
        """
        foot, slope, height = self.rows[view]
        depths = self.plane.depths(view)[i]
        tall = np.where(depths > 0, slope / np.where(depths > 0, depths, 1), 0)
        places = np.clip(foot + tall[:, None] * (self.z - height), 0, self.count + 1)
        rows = places.astype(np.int64)
        return rows, (places - rows).astype(np.float32)


def cone_shadows(rays: ConeRays, space: odl.DiscretizedSpace) -> ConeShadows:
    """Return the shadows of voxels on detectors whose second axis is parallel to the third axis."""
    x, y, z = space.grid.coord_vectors
    fan = fan_of(rays)
    steps = rays.along[:, 2]
    feet = (rays.sources[:, 2] - rays.corners[:, 2]) / steps
    rows = np.stack([feet + 1, fan.distances / steps, rays.sources[:, 2]], axis=1)
    return ConeShadows(plane_shadows(fan, x, y), np.asarray(z, dtype=float), rows, rays.bins[1])


class ConeBackprojection(odl.Operator):
    r"""Sum over the views of a cone beam, interpolated and divided by squared distances.

    .. math:: (B y)(x) = \sum_v U_v(x)^{-2} \, y(v, s_v(x), t_v(x)),

    with the shadow ``(s_v(x), t_v(x))`` of ``x`` on the detector, where ``y`` is interpolated
    bilinearly, and the distance ``U_v(x)`` of ``x`` from the source, across the detector. The loop
    is compiled where numba is installed, with the bits of numpy's; sums are in double precision.

    Parameters
    ----------
    rays : ConeRays
        V views of n x m bins, of a source on a circle about the third axis and detectors whose
        second axis is parallel to it (`circular_cone`).
    data_space : odl space of the shape (V, n, m)
    image_space : 3D odl.DiscretizedSpace

    References
    ----------
    Feldkamp, L. A., Davis, L. C. and Kress, J. W. Practical cone-beam algorithm. J. Opt. Soc. Am. A
    1 (1984) 612-619.
    """

    def __init__(self, rays: ConeRays, data_space: TensorSpace,
                 image_space: odl.DiscretizedSpace):  # fmt: skip
        super().__init__(data_space, image_space, linear=True)
        self.shadows = cone_shadows(rays, image_space)
        self.weight_ratio = (constant_weight("image_space", image_space)
                             / constant_weight("data_space", data_space))

    def _call(self, y, out=None):
        total = by_parts(lambda part: backprojected(self.shadows, part), y.data)
        if out is None:
            return self.range.element(total.astype(self.range.dtype, copy=False))
        out.data[...] = total

    @property
    def adjoint(self):
        """Its adjoint in the weighted inner products."""
        return ConeBackprojectionAdjoint(self)


class ConeBackprojectionAdjoint(odl.Operator):
    r"""Adjoint of `ConeBackprojection`: spreads each voxel to the four bins that it took.

    Parameters
    ----------
    backprojection : ConeBackprojection
    """

    def __init__(self, backprojection: ConeBackprojection):
        super().__init__(backprojection.range, backprojection.domain, linear=True)
        self.backprojection = backprojection

    def _call(self, x, out=None):
        result = by_parts(lambda part: spread(self.backprojection.shadows, part), x.data)
        result *= result.dtype.type(self.backprojection.weight_ratio)
        if out is None:
            return self.range.element(result.astype(self.range.dtype, copy=False))
        out.data[...] = result

    @property
    def adjoint(self):
        """The backprojection."""
        return self.backprojection


def backprojected(shadows: ConeShadows, y: np.ndarray) -> np.ndarray:
    """``B y`` for real data, shape (V, nu, nv), in their precision, shape (nx, ny, nz)."""
    padded, plane = np.pad(y, ((0, 0), (1, 2), (1, 2))), shadows.plane
    total = np.empty((len(plane.x), len(plane.y), len(shadows.z)), y.dtype)
    if is_available():
        from odl_learned.compiled.rays.cone_backprojection import TILE, backproject

        slabs = -(-len(plane.x) // TILE)
        run_all(backproject, [
            (padded, plane.maps, shadows.rows, plane.x[begin * TILE : end * TILE], plane.y,
             shadows.z, total[begin * TILE : end * TILE])
            for begin, end in shares(slabs, total.size * len(y))])  # fmt: skip
        return total
    sums = np.zeros(total.shape)
    for view, data in enumerate(padded):
        columns, fractions, weights = _by_rows(plane, view)
        for i, (column, fraction, weight) in enumerate(zip(columns, fractions, weights)):
            lines = (1 - fraction) * data[column[:, 0]] + fraction * data[column[:, 0] + 1]
            rows, parts = shadows.interpolation(view, i)
            below, above = (np.take_along_axis(lines, rows + k, 1) for k in (0, 1))
            sums[i] += weight * ((1 - parts) * below + parts * above)
    total[...] = sums
    return total


def spread(shadows: ConeShadows, x: np.ndarray) -> np.ndarray:
    """``B^T x`` for real numbers, shape (nx, ny, nz), in their precision, shape (V, nu, nv)."""
    plane, count = shadows.plane, shadows.count
    result = np.empty((len(plane.maps), plane.bins, count), x.dtype)
    if is_available():
        from odl_learned.compiled.rays.cone_backprojection import spread as compiled_spread

        x = np.ascontiguousarray(x)
        run_all(compiled_spread, [
            (x, plane.maps[begin:end], shadows.rows[begin:end], plane.x, plane.y, shadows.z,
             result[begin:end])
            for begin, end in shares(len(result), x.size * len(result))])  # fmt: skip
        return result
    offsets = np.arange(len(plane.y))[:, None] * (count + 3)
    for view in range(len(result)):
        before, after = np.zeros((2, plane.bins + 3, count + 3))
        columns, fractions, weights = _by_rows(plane, view)
        for i, (column, fraction, weight) in enumerate(zip(columns, fractions, weights)):
            rows, parts = shadows.interpolation(view, i)
            values, length = weight * x[i].astype(np.float64), offsets.size * (count + 3)
            lines = np.bincount((rows + offsets).ravel(), ((1 - parts) * values).ravel(), length)
            lines += np.bincount((rows + offsets + 1).ravel(), (parts * values).ravel(), length)
            lines = lines.reshape(-1, count + 3)
            np.add.at(before, column[:, 0], (1 - fraction) * lines)
            np.add.at(after, column[:, 0], fraction * lines)
        both = before[1:-2] + after[:-3]
        result[view] = both[:, 1 : count + 1]
    return result


def _by_rows(plane, view):
    """The interpolation of `PlaneShadows` for each x, shapes (nx, ny, 1)."""
    return (part.reshape(len(plane.x), len(plane.y), 1) for part in plane.interpolation(view))
