"""Native rule for the ray transform on the CPU: ASTRA's projector as a sparse matrix in torch.

ASTRA's projector ``M`` is linear in the pixels, ``vec(A x) = M vec(x)``, and ODL's adjoint is
``A* = (w_Y / w_X) M^T``. The matrix, built once per geometry, applies to a whole batch at a time,
with ``M^T`` stored beside it, so that both directions read memory in order; derivatives of every
order are products with the same two matrices.
"""

import warnings
import weakref

import astra
import numpy as np
import torch
from odl.applications.tomo import RayTransform
from odl.applications.tomo.backends.astra_cpu import default_astra_proj_type
from odl.applications.tomo.backends.astra_setup import (
    astra_projection_geometry,
    astra_projector,
    astra_volume_geometry,
)
from torch import nn

from odl_learned.bridge.expressions import Composition, Scale
from odl_learned.bridge.generic import GenericLinear, LinearMap
from odl_learned.bridge.lowering import local_rules, lower

#: Largest size in bytes of the two matrices of one geometry; larger ones go through ASTRA.
SPARSE_LIMIT = 2 * 2**30

_matrices = weakref.WeakValueDictionary()


class SparsePair:
    """A sparse matrix and its transpose, in float32, shared by all modules of one geometry."""

    def __init__(self, matrix):
        self.matrix, self.transpose = _as_torch(matrix), _as_torch(matrix.T.tocsr())

    @property
    def nbytes(self):
        """Memory of both matrices in bytes."""
        return sum(part.element_size() * part.numel() for m in (self.matrix, self.transpose)
                   for part in (m.values(), m.col_indices(), m.crow_indices()))


class SparseProjector(nn.Module):
    """``x -> M x`` on images ``(*batch, *source)``, the transpose as its backward."""

    def __init__(self, pair, source, target):
        super().__init__()
        self.pair, self.source, self.target = pair, tuple(source), tuple(target)

    def forward(self, x):
        return LinearMap.apply(x, self.project, self.backproject)

    def project(self, x):
        """``M x`` without derivatives."""
        return _product(self.pair.matrix, x, self.source, self.target)

    def backproject(self, y):
        """``M^T y`` without derivatives."""
        return _product(self.pair.transpose, y, self.target, self.source)


class SparseBackprojector(SparseProjector):
    """``y -> M^T y`` on sinograms ``(*batch, *target)``."""

    def forward(self, y):
        return LinearMap.apply(y, self.backproject, self.project)


def sparse_pair(op):
    """Return ASTRA's projector of a 2D ray transform and its transpose, from memory if possible.

    Parameters
    ----------
    op : odl.applications.tomo.RayTransform
        In the plane, on ``astra_cpu``, float32.

    Returns
    -------
    pair : SparsePair
        Of shape (angles times bins, pixels), in the order of ODL's arrays.
    """
    volume = astra_volume_geometry(op.domain, "cpu")
    geometry = astra_projection_geometry(op.geometry, "cpu")
    kind = default_astra_proj_type(op.geometry)
    key = (kind, _key(volume), _key(geometry))
    pair = _matrices.get(key)
    if pair is None:
        projector = astra_projector(kind, volume, geometry, 2)
        matrix_id = astra.projector.matrix(projector)
        matrix = astra.matrix.get(matrix_id).tocsr().astype(np.float32)
        astra.matrix.delete(matrix_id)
        astra.projector.delete(projector)
        pair = _matrices[key] = SparsePair(matrix)
    return pair


def expected_bytes(op):
    """Upper estimate of the memory of both matrices, in bytes.

    A ray meets at most two pixels in every row, or in every column, of the image; an entry takes
    four bytes of value and four of index.
    """
    return 16 * op.range.size * 2 * max(op.domain.shape)


def _has_matrix(op):
    if op.impl != "astra_cpu" or op.domain.ndim != 2 or op.domain.dtype != np.float32:
        return False
    if expected_bytes(op) > SPARSE_LIMIT:
        warnings.warn(
            f"the projector as a matrix may take {expected_bytes(op) / 2**30:.1f} GiB, more than "
            f"the limit of {SPARSE_LIMIT / 2**30:.1f} GiB; every image goes through ASTRA by "
            "itself, which is slower. Raise odl_learned.bridge.ray.SPARSE_LIMIT to change that.",
            RuntimeWarning,
            stacklevel=4,
        )
        return False
    return True


@lower.register
def _(op: RayTransform):
    if not _has_matrix(op):
        return GenericLinear(op)
    return SparseProjector(sparse_pair(op), op.domain.shape, op.range.shape)


def back_projection(op):
    """Lower ODL's back projection, a class local to its ray transform."""
    forward_op = op.adjoint
    if not _has_matrix(forward_op):
        return GenericLinear(op)
    weight = float(op.domain.weighting.const) / float(op.range.weighting.const)
    module = SparseBackprojector(sparse_pair(forward_op), op.range.shape, op.domain.shape)
    return Composition(Scale(weight), module)


local_rules["RayBackProjection"] = back_projection


def _product(matrix, x, source, target):
    lead = x.shape[: x.ndim - len(source)]
    columns = x.reshape(-1, matrix.shape[1]).T.contiguous()  # (pixels, B)
    result = matrix @ columns if columns.numel() else x.new_zeros(matrix.shape[0], 0)
    return result.T.reshape((*lead, *target))


def _as_torch(matrix):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr), torch.from_numpy(matrix.indices),
            torch.from_numpy(matrix.data), size=matrix.shape, check_invariants=True,
        )


def _key(geometry):
    """A hashable copy of one of ASTRA's nested dictionaries."""
    if isinstance(geometry, dict):
        return tuple((name, _key(geometry[name])) for name in sorted(geometry))
    return geometry.tobytes() if isinstance(geometry, np.ndarray) else geometry
