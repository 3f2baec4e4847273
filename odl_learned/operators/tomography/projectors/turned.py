r"""The mean of a projector over quarter turns, as one matrix.

With the permutations R of pixels and P of rays, ``S = 1/4 sum_k P^{-k} M R^k``. The four entries
that a turn maps to each other become equal: each is the mean of the same four numbers, summed in
double precision, in which the order of four numbers of single precision rarely matters, and
rounded once.
"""

import dataclasses
import functools
import hashlib

import numpy as np

from odl_learned.operators.tomography.projectors.geometry import RayGeometry


@dataclasses.dataclass(frozen=True, eq=False)
class SymmetrizedGeometry:
    """A scanner whose matrix is the mean over quarter turns; the interface of `RayGeometry`.

    Parameters
    ----------
    rays : RayGeometry
        In the plane, with square images.
    flips : bool
        Whether the views lie on half a circle, so that those that leave it come back mirrored.
    """

    rays: RayGeometry
    flips: bool

    @functools.cached_property
    def digest(self):
        """Hash of all that determines the matrix."""
        return hashlib.sha256(f"symmetrized {self.flips} {self.rays.digest}".encode()).hexdigest()

    @property
    def source(self):
        """Shape of an image."""
        return self.rays.source

    @property
    def target(self):
        """Shape of its data."""
        return self.rays.target

    @property
    def matrix_shape(self):
        """Number of rays and number of pixels."""
        return self.rays.matrix_shape

    @property
    def expected_bytes(self):
        """Estimate of the memory of the matrix and its transpose: turns have the same entries."""
        return self.rays.expected_bytes

    def build_matrix(self):
        """Return the mean of the four turned matrices, in single precision."""
        matrix = self.rays.build_matrix().astype(np.float64)
        pixels = np.arange(matrix.shape[1]).reshape(self.source)
        rays = np.arange(matrix.shape[0]).reshape(self.target)
        total = matrix
        for k in range(1, 4):
            # (R^k u)[j] = u[c[j]], so that M R^k has the column c[j] where M has j
            columns = np.rot90(pixels, -k).ravel()  # the inverse of c
            rows = turned_views(rays, -k, self.flips).ravel()
            total = total + matrix[rows][:, columns]
        total = (total / 4).astype(np.float32)
        total.sort_indices()
        return total


def turned_views(y: np.ndarray, k: int, flips: bool) -> np.ndarray:
    """Return data ``(views, bins)`` turned by k quarters; on half a circle they flip."""
    if flips:
        circle = np.concatenate([y, np.flip(y, 1)])
        return np.roll(circle, k * (len(y) // 2), 0)[: len(y)]
    return np.roll(y, k * (len(y) // 4), 0)
