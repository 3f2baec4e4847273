"""Integrals of ellipsoids along the rays of a cone beam, in closed form.

With the ray ``a + t d``, t in [0, 1], and the ellipsoid ``|E (x - c)| <= 1``, E = diag(1 / r), the
chord is ``|d|`` times the difference of the roots of ``|E (a - c) + t E d|^2 = 1``. An infinite
semiaxis makes a cylinder.
"""

import numpy as np
import odl
from odl.applications import tomo


class Unprojected:
    """An ``impl`` of ODL's ray transform that only has a geometry."""

    def __init__(self, geometry, vol_space, proj_space):
        pass

    def call_forward(self, x, out=None):
        raise NotImplementedError

    call_backward = call_forward


def ray_transform(space, geometry):
    """ODL's ray transform of a cone beam, without a projector."""
    return tomo.RayTransform(space, geometry, impl=Unprojected)


def cone_data(op, ellipsoids):
    """The data of ellipsoids ``(center, semiaxes, density)``, in the middle of every bin."""
    geometry = op.geometry
    angles = np.asarray(geometry.angles, dtype=float)
    u, v = geometry.det_partition.grid.coord_vectors
    data = np.zeros(op.range.shape)
    for view, angle in enumerate(angles):
        source = geometry.src_position(angle)
        corner = geometry.det_point_position(angle, [float(u[0]), float(v[0])])
        across, along = geometry.det_axes(angle)
        ends = (corner + (u - u[0])[:, None, None] * across + (v - v[0])[:, None] * along)
        data[view] = sum(density * chords(source, ends, np.array(center), 1 / np.array(semiaxes))
                         for center, semiaxes, density in ellipsoids)  # fmt: skip
    return op.range.element(data.astype(op.range.dtype))


def chords(source, ends, center, inverse):
    """The length of rays from a source to points, shape (..., 3), inside of one ellipsoid."""
    directions = ends - source
    p, q = (source - center) * inverse, directions * inverse
    a, b, c = (q * q).sum(-1), (p * q).sum(-1), (p * p).sum(-1) - 1
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    return np.linalg.norm(directions, axis=-1) * 2 * root / a


def ball_image(space, center, radius):
    """Voxels whose middle lies in a ball."""
    return space.element(np.linalg.norm(space.points() - center, axis=1).reshape(space.shape)
                         < radius)  # fmt: skip


def flat_detector(width, height, bins):
    """A detector that is symmetric about the axis."""
    return odl.uniform_partition([-width, -height], [width, height], bins)
