"""The scanner as ASTRA describes it: what a projector is built from, compared, stored and sent."""

import dataclasses
import functools
import hashlib
import math

import numpy as np
from odl.applications.tomo.backends import astra_setup
from odl.applications.tomo.backends.astra_cpu import default_astra_proj_type
from odl.applications.tomo.backends.astra_setup import astra_projector, astra_volume_geometry

from odl_learned.operators.tomography.projectors.building import built_matrix
from odl_learned.operators.tomography.projectors.counting import expected_entries


@dataclasses.dataclass(frozen=True, eq=False)
class RayGeometry:
    """The pixels, the rays and the rule by which ASTRA weighs a pixel for a ray.

    Two geometries with the same ``digest`` have the same matrix. A geometry is small (angles and a
    few numbers), so that a pickle holds it in place of the matrix.

    Parameters
    ----------
    kind : str
        ASTRA's name of the projector, such as ``"linear"``.
    volume, rays : dict
        ASTRA's volume and projection geometries.
    source, target : tuple of int
        Shapes of an image and of its data, in ODL's order of axes.
    """

    kind: str
    volume: dict
    rays: dict
    source: tuple
    target: tuple

    @functools.cached_property
    def digest(self):
        """Hash of all that determines the matrix, the version of ASTRA included."""
        state = (astra_setup.astra.__version__, self.kind, self.volume, self.rays)
        return hashlib.sha256(_canonical(state)).hexdigest()

    @property
    def matrix_shape(self):
        """Number of rays and number of pixels."""
        return math.prod(self.target), math.prod(self.source)

    @functools.cached_property
    def expected_bytes(self):
        """Estimate of the memory of the matrix and its transpose, in single precision.

        An entry takes four bytes of value and four of index, a row four of where it starts.
        """
        return 16 * expected_entries(self) + 4 * (sum(self.matrix_shape) + 2)

    def build_matrix(self):
        """Return the matrix of a projector on the CPU, a ``csr_matrix`` in single precision."""
        return built_matrix(self)

    def of_views(self, views):
        """Return the geometry of a slice of the views, in the plane."""
        name = "Vectors" if "Vectors" in self.rays else "ProjectionAngles"
        rays = {**self.rays, name: self.rays[name][views]}
        return RayGeometry(self.kind, self.volume, rays, self.source,
                           (len(rays[name]), *self.target[1:]))

    def create_projector(self):
        """Return the number of a new projector of ASTRA; the caller deletes it."""
        is_plane = self.kind == "cuda3d" and len(self.source) == 2
        ndim = 3 if self.kind == "cuda3d" else 2
        return astra_projector(self.kind, self.volume, self.rays, ndim, override_2D=is_plane)


def ray_geometry(op, target):
    """Return the geometry of a ray transform as ODL hands it to ASTRA.

    Parameters
    ----------
    op : odl.applications.tomo.RayTransform
    target : "cpu" or "cuda"
        The two sides of ASTRA orient their volumes differently.

    Raises
    ------
    NotImplementedError
        If the pixels of a plane are not square, or ASTRA does not know the detector.
    """
    return geometry_between(op.domain, op.range, op.geometry, target)


def geometry_between(domain, range, geometry, target="cpu"):
    """Return the same from the spaces and the geometry of ODL."""
    if domain.ndim == 2 and not domain.partition.has_isotropic_cells:
        raise NotImplementedError(
            f"the pixels of the domain have sides {tuple(map(float, domain.cell_sides))}, "
            "expected equal ones: in the plane ASTRA projects square pixels. Choose the number of "
            "pixels in proportion to the sides of the domain."
        )
    kind = default_astra_proj_type(geometry) if target == "cpu" else "cuda3d"
    return RayGeometry(
        kind,
        astra_volume_geometry(domain, target),
        astra_setup.astra_projection_geometry(geometry, target),
        tuple(domain.shape),
        tuple(range.shape),
    )


def _canonical(value):
    """Nested dictionaries, tuples and arrays as bytes, independent of the order of the keys."""
    if isinstance(value, dict):
        value = tuple((name, value[name]) for name in sorted(value))
    if isinstance(value, (tuple, list)):
        return b"(" + b",".join(_canonical(item) for item in value) + b")"
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    return repr(value.item() if isinstance(value, np.generic) else value).encode()
