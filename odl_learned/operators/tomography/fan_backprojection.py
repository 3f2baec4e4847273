r"""Backprojection of fan beams, weighted by the distance to the source, as inversion asks for.

With a source at the distance R from the axis, a flat detector whose line has the distance D from
the source, and the fan angle c of a ray against that through the axis,

    u(x) = 1/2 int_0^2pi U(x)^-2 int h(s(x) - s') R D cos(c') y(b, s') ds' db,

where U(x) is the distance of x from the source, across the detector, and s(x) its shadow on it: in
the inversion formula of parallel beams ``h(t)`` at ``t = L sin(c - c')``, at the distance L from
the source, is ``h(s - s') (D / (U cos c'))^2``, all angles against the perpendicular of the
detector, since ``h(a t) = h(t) / a^2`` (Kak and Slaney 1988, section 3.4.2). The adjoint of a ray
transform weighs by 1 / U alone.
"""

import dataclasses

import numpy as np
import odl
from odl.applications import tomo

from odl_learned.weights import constant_weight

#: Relative deviation of the source from its circle that counts as none.
ROUND = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class FanRays:
    """Where pixels lie in the views of a fan beam scanner.

    Parameters
    ----------
    x, y : float64 arrays, shapes (nx,) and (ny,)
        Coordinates of the pixels.
    sources, axes, normals : float64 arrays, shape (V, 2)
        The source of each view, the direction of its detector, and that across it.
    feet, distances : float64 arrays, shape (V,)
        The place on the detector that is nearest to the source, and its distance.
    first, step : float
        Middle of the first bin, and width of the bins.
    bins : int
        Their number.
    """

    x: np.ndarray
    y: np.ndarray
    sources: np.ndarray
    axes: np.ndarray
    normals: np.ndarray
    feet: np.ndarray
    distances: np.ndarray
    first: float
    step: float
    bins: int

    def interpolation(self, view):
        """Bins, fractions and weights of all pixels in a view.

        A pixel takes ``weight * ((1 - fraction) y[bin - 1] + fraction * y[bin])`` of its data,
        which are zero outside of the detector.

        Returns
        -------
        bins : int64 array, shape (nx * ny,), from 0 to the number of bins
        fractions, weights : float32 arrays, shape (nx * ny,)
        """
        across, along = (
            (self.x - self.sources[view, 0])[:, None] * direction[view, 0]
            + (self.y - self.sources[view, 1]) * direction[view, 1]
            for direction in (self.normals, self.axes)
        )
        place = self.feet[view] + self.distances[view] * (along / across)
        place = ((place - self.first) / self.step + 1).ravel()
        seen = (place >= 0) & (place < self.bins + 1) & (across.ravel() > 0)
        place = np.where(seen, place, 0)
        bins = np.floor(place).astype(np.int64)
        weights = np.where(seen, across.ravel() ** -2, 0)
        return bins, (place - bins).astype(np.float32), weights.astype(np.float32)


def fan_rays(forward_op: tomo.RayTransform) -> FanRays:
    """Return where pixels lie in the views of a fan beam ray transform."""
    geometry = forward_op.geometry
    angles = np.asarray(geometry.angles, dtype=float)
    bins = geometry.det_partition.grid.coord_vectors[0]
    sources = geometry.src_position(angles)
    axes = geometry.det_axis(angles)
    to_detector = geometry.det_point_position(angles, float(bins[0])) - sources
    along = np.sum(to_detector * axes, axis=1)
    across = to_detector - along[:, None] * axes
    distances = np.linalg.norm(across, axis=1)
    return FanRays(
        *forward_op.domain.grid.coord_vectors, sources, axes, across / distances[:, None],
        float(bins[0]) - along, distances, float(bins[0]),
        float(geometry.det_partition.cell_sides[0]), len(bins))  # fmt: skip


def require_fan(forward_op):
    """Raise NotImplementedError for detectors that are not flat, and sources off their circle."""
    geometry = forward_op.geometry
    if geometry.det_curvature_radius is not None:
        raise NotImplementedError(
            "forward_op has a curved detector, expected a flat one: the filter of filtered "
            "backprojection is another one there. Interpolate the data to a flat detector."
        )
    radii = np.linalg.norm(geometry.src_position(geometry.angles) - geometry.translation, axis=1)
    if np.ptp(radii) > ROUND * radii.max():
        raise NotImplementedError(
            f"forward_op has sources from {radii.min():.6g} to {radii.max():.6g} away from the "
            "axis, expected a circle, as filtered backprojection needs it. Reconstruct by "
            "variational.tv_problem or solvers.lsqr."
        )


def ray_angles(forward_op: tomo.RayTransform) -> np.ndarray:
    """Return the angle of each ray against that through the axis, shape (V, n), in radians.

    Positive where a rotation of the scanner turns the latter into the former.
    """
    geometry = forward_op.geometry
    angles = np.asarray(geometry.angles, dtype=float)
    sources = geometry.src_position(angles)[:, None]
    places = np.stack([geometry.det_point_position(angles, float(s))
                       for s in geometry.det_partition.grid.coord_vectors[0]], axis=1)  # fmt: skip
    return angle_between(geometry.translation - sources, places - sources)


def angle_between(a, b):
    """The angle from ``a`` to ``b``, counterclockwise, for vectors along the last axis."""
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.arctan2(cross, np.sum(a * b, axis=-1))


class FanBackprojection(odl.Operator):
    r"""Sum over the views of a fan beam, interpolated and divided by squared distances.

    .. math:: (B y)(x) = \sum_v U_v(x)^{-2} \, y(v, s_v(x)),

    with ``s_v(x)`` the shadow of ``x`` on the detector, where ``y`` is interpolated linearly, and
    ``U_v(x)`` the distance of ``x`` from the source across the detector.

    Parameters
    ----------
    forward_op : odl.applications.tomo.RayTransform
        Of a fan beam with a flat detector. The operator maps its range to its domain.
    """

    def __init__(self, forward_op: tomo.RayTransform):
        require_fan(forward_op)
        super().__init__(forward_op.range, forward_op.domain, linear=True)
        self.rays = fan_rays(forward_op)
        self.weight_ratio = (constant_weight("forward_op.domain", forward_op.domain)
                             / constant_weight("forward_op.range", forward_op.range))

    def _call(self, y, out=None):
        total = np.zeros(self.range.size, dtype=self.range.dtype)
        for view, data in enumerate(np.pad(y.data, ((0, 0), (1, 1)))):
            bins, fractions, weights = self.rays.interpolation(view)
            total += weights * ((1 - fractions) * data[bins] + fractions * data[bins + 1])
        if out is None:
            return self.range.element(total.reshape(self.range.shape))
        out.data[...] = total.reshape(self.range.shape)

    @property
    def adjoint(self):
        """Its adjoint in the weighted inner products."""
        return FanBackprojectionAdjoint(self)


class FanBackprojectionAdjoint(odl.Operator):
    r"""Adjoint of `FanBackprojection`: spreads each pixel to the two bins that it took.

    Parameters
    ----------
    backprojection : FanBackprojection
    """

    def __init__(self, backprojection: FanBackprojection):
        super().__init__(backprojection.range, backprojection.domain, linear=True)
        self.backprojection = backprojection

    def _call(self, x, out=None):
        result = self._spread(x.data.real.ravel())
        if np.iscomplexobj(x.data):
            result = result + 1j * self._spread(x.data.imag.ravel())
        result *= self.backprojection.weight_ratio
        if out is None:
            return self.range.element(result.astype(self.range.dtype))
        out.data[...] = result

    def _spread(self, values):
        """``B^T x`` for real numbers, in double precision."""
        rays, (views, n) = self.backprojection.rays, self.range.shape
        result = np.empty((views, n))
        for view in range(views):
            bins, fractions, weights = rays.interpolation(view)
            part = weights * values
            padded = np.bincount(bins, (1 - fractions) * part, n + 2)
            padded += np.bincount(bins + 1, fractions * part, n + 2)
            result[view] = padded[1:-1]
        return result

    @property
    def adjoint(self):
        """The backprojection."""
        return self.backprojection
