r"""Backprojection in the plane, interpolated on the detector, as inversion asks for.

With parallel beams ``u(x) = int_0^pi (h * y)(b, s(x)) db``. With a source at the distance R from
the axis, a flat detector whose line has the distance D from the source, and the fan angle c of a
ray against that through the axis,

    u(x) = 1/2 int_0^2pi U(x)^-2 int h(s(x) - s') R D cos(c') y(b, s') ds' db,

where U(x) is the distance of x from the source, across the detector, and s(x) its shadow on it: in
the inversion formula of parallel beams ``h(t)`` at ``t = L sin(c - c')``, at the distance L from
the source, is ``h(s - s') (D / (U cos c'))^2``, all angles against the perpendicular of the
detector, since ``h(a t) = h(t) / a^2`` (Kak and Slaney 1988, section 3.4.2). The adjoint of a ray
transform weighs by 1 / U alone, and where bins are wider than pixels it leaves their pattern.
"""

import numpy as np
import odl
from odl.core.space.base_tensors import TensorSpace

from odl_learned.compiled import is_available, run_all, shares
from odl_learned.operators.tomography.interpolated.flat_rays import FanRays, ParallelRays
from odl_learned.operators.tomography.interpolated.shadows import PlaneShadows, plane_shadows
from odl_learned.weights import constant_weight


class PlaneBackprojection(odl.Operator):
    r"""Sum over the views of a plane, interpolated and divided by squared distances.

    .. math:: (B y)(x) = \sum_v U_v(x)^{-2} \, y(v, s_v(x)),

    with ``s_v(x)`` the shadow of ``x`` on the detector, where ``y`` is interpolated linearly, and
    ``U_v(x)`` the distance of ``x`` from the source across the detector, or 1 for parallel beams.
    The loop is compiled where numba is installed, with the bits of numpy's; sums are in double
    precision.

    Parameters
    ----------
    rays : ParallelRays or FanRays
        V views of n bins.
    data_space : odl space of the shape (V, n), or (V, n, S) for a stack of slices
    image_space : 2D odl.DiscretizedSpace, or 3D of the shape (nx, ny, S)
    """

    def __init__(self, rays: ParallelRays | FanRays, data_space: TensorSpace,
                 image_space: odl.DiscretizedSpace):  # fmt: skip
        super().__init__(data_space, image_space, linear=True)
        self.shadows = plane_shadows(rays, *image_space.grid.coord_vectors[:2])
        self.weight_ratio = (constant_weight("image_space", image_space)
                             / constant_weight("data_space", data_space))

    def _call(self, y, out=None):
        total = by_parts(lambda part: backprojected(self.shadows, part), y.data)
        if out is None:
            return self.range.element(total.astype(self.range.dtype))
        out.data[...] = total

    @property
    def adjoint(self):
        """Its adjoint in the weighted inner products."""
        return PlaneBackprojectionAdjoint(self)


class PlaneBackprojectionAdjoint(odl.Operator):
    r"""Adjoint of `PlaneBackprojection`: spreads each pixel to the two bins that it took.

    Parameters
    ----------
    backprojection : PlaneBackprojection
    """

    def __init__(self, backprojection: PlaneBackprojection):
        super().__init__(backprojection.range, backprojection.domain, linear=True)
        self.backprojection = backprojection

    def _call(self, x, out=None):
        result = by_parts(lambda part: spread(self.backprojection.shadows, part), x.data)
        result *= self.backprojection.weight_ratio
        if out is None:
            return self.range.element(result.astype(self.range.dtype))
        out.data[...] = result

    @property
    def adjoint(self):
        """The backprojection."""
        return self.backprojection


def by_parts(function, array):
    """A real linear function of the real and the imaginary part of an array."""
    if np.iscomplexobj(array):
        return function(array.real) + 1j * function(array.imag)
    return function(array)


def backprojected(shadows: PlaneShadows, y: np.ndarray) -> np.ndarray:
    """``B y`` for real data, shape (V, n) or (V, n, S), in double precision, (nx, ny) or more."""
    padded = np.pad(y, ((0, 0), (1, 2), *[(0, 0)] * (y.ndim - 2)))
    total = np.zeros((len(shadows.x), len(shadows.y), *y.shape[2:]))
    if is_available():
        from odl_learned.compiled.rays import plane_backprojection as loops

        loop = loops.backproject if y.ndim == 2 else loops.backproject_slices
        run_all(loop, [
            (padded, shadows.maps, shadows.x[begin:end], shadows.y, total[begin:end])
            for begin, end in shares(len(total), total.size * len(y))])  # fmt: skip
        return total
    flat = total.reshape(-1, *y.shape[2:])
    for view, data in enumerate(padded):
        bins, *parts = shadows.interpolation(view)
        fractions, weights = (part.reshape(-1, *[1] * (y.ndim - 2)) for part in parts)
        flat += weights * ((1 - fractions) * data[bins] + fractions * data[bins + 1])
    return total


def spread(shadows: PlaneShadows, x: np.ndarray) -> np.ndarray:
    """``B^T x`` for real numbers, shape (nx, ny) or (nx, ny, S), in double precision."""
    views, n = len(shadows.maps), shadows.bins
    if not is_available() and x.ndim == 3:
        return np.stack([spread(shadows, part) for part in np.moveaxis(x, 2, 0)], axis=2)
    result = np.empty((views, n, *x.shape[2:]))
    if is_available():
        from odl_learned.compiled.rays import plane_backprojection as loops

        loop = loops.spread if x.ndim == 2 else loops.spread_slices
        x = np.ascontiguousarray(x)
        run_all(loop, [
            (x, shadows.maps[begin:end], shadows.x, shadows.y, result[begin:end])
            for begin, end in shares(views, x.size * views)])  # fmt: skip
        return result
    values = x.ravel().astype(np.float64)
    for view in range(views):
        bins, fractions, weights = shadows.interpolation(view)
        part = weights * values
        padded = np.bincount(bins, (1 - fractions) * part, n + 3)
        padded += np.bincount(bins + 1, fractions * part, n + 3)
        result[view] = padded[1 : n + 1]
    return result
