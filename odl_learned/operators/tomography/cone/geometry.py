"""A cone beam scanner and a volume: what a projector is built from, compared, stored and sent."""

import dataclasses
import functools
import hashlib
import math

import numpy as np

from odl_learned.operators.tomography.cone.rays import ConeRays, cone_rays

#: Parts of a direction that are smaller than this, relative to the largest, are rounding.
NOTHING = 1e-13


@dataclasses.dataclass(frozen=True, eq=False)
class ConeGeometry:
    """The rays in voxels: centers of the volume have whole coordinates, from zero.

    Parameters
    ----------
    rays : ConeRays
        In these coordinates.
    sides : float64 array, shape (3,)
        Of a voxel, in the units in which lengths of rays are measured.
    source, target : tuple of int
        Shapes of a volume and of its data, ``(n_0, n_1, n_2)`` and ``(V, columns, bins)``.
    """

    rays: ConeRays
    sides: np.ndarray
    source: tuple
    target: tuple

    @functools.cached_property
    def digest(self):
        """Hash of all that determines the projector."""
        return hashlib.sha256(
            b"Joseph 1" + repr((self.source, self.target)).encode()
            + b"".join(np.asarray(part, dtype=float).tobytes() for part in self.arrays)
        ).hexdigest()  # fmt: skip

    @property
    def matrix_shape(self):
        """Number of rays and number of voxels."""
        return math.prod(self.target), math.prod(self.source)

    @property
    def arrays(self):
        """Sources, corners, steps across and along, shape (V, 3) each, and sides of voxels."""
        rays = self.rays
        return rays.sources, rays.corners, rays.across, rays.along, self.sides


def cone_geometry(domain, geometry):
    """Return the rays of a geometry in the voxels of a space.

    Parameters
    ----------
    domain : 3D odl.DiscretizedSpace
        With voxels of one size; their sides may differ.
    geometry : odl.applications.tomo.ConeBeamGeometry
        With a flat detector.

    Raises
    ------
    NotImplementedError
        If the detector is curved.
    ValueError
        If a source is inside of the volume.
    """
    rays = cone_rays(geometry)
    sides = np.asarray(domain.cell_sides, dtype=float)
    first = np.array([float(centers[0]) for centers in domain.grid.coord_vectors])
    sources = (rays.sources - first) / sides
    _require_outside(rays.sources, sources, domain.shape)
    inside = ConeRays(
        sources, (rays.corners - first) / sides, _cleared(rays.across / sides),
        _cleared(rays.along / sides), rays.bins)  # fmt: skip
    return ConeGeometry(inside, sides, tuple(domain.shape), (len(sources), *rays.bins))


def _cleared(vectors):
    """Vectors without what rounding made of the zeros of a rotation."""
    vectors = np.ascontiguousarray(vectors)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    vectors[np.abs(vectors) < NOTHING * largest] = 0
    return vectors


def _require_outside(places, sources, shape):
    inside = np.all((sources > -0.5) & (sources < np.asarray(shape) - 0.5), axis=1)
    if np.any(inside):
        view = int(np.argmax(inside))
        raise ValueError(
            f"the source of view {view} is at {places[view].tolist()}, inside of the volume, "
            "expected all of them outside: rays begin there. Check the unit of length and "
            "src_radius, or choose a smaller domain."
        )
