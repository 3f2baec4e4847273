"""Native rules for backprojections in the plane that interpolate: one matrix."""

import dataclasses
import functools
import hashlib
import math
import warnings

import numpy as np
import scipy.sparse

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.loops.generic import GenericLinear
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.ray import RayBackprojector, RayProjector
from odl_learned.bridge.ray.sparse import sparse_pair
from odl_learned.bridge.ray.stacked import StackedPair
from odl_learned.bridge.rules.expressions import Composition, Scale
from odl_learned.operators.tomography.interpolated.plane import (
    PlaneBackprojection,
    PlaneBackprojectionAdjoint,
)
from odl_learned.operators.tomography.interpolated.shadows import PlaneShadows
from odl_learned.operators.tomography.projectors import matrices
from odl_learned.validation import level_outside


@dataclasses.dataclass(frozen=True, eq=False)
class PlaneInterpolation:
    """The transpose of the backprojection as a matrix; the interface of `RayGeometry`.

    Parameters
    ----------
    shadows : PlaneShadows
        Where the pixels throw their shadows in each view.
    source, target : tuple of int
        Shapes of an image and of its data.
    """

    shadows: PlaneShadows
    source: tuple
    target: tuple

    @functools.cached_property
    def digest(self):
        """Hash of all that determines the matrix."""
        parts = dataclasses.astuple(self.shadows)
        state = b"".join(np.asarray(part, dtype=float).tobytes() for part in parts)
        return hashlib.sha256(b"interpolation" + repr(self.target).encode() + state).hexdigest()

    @property
    def matrix_shape(self):
        """Number of rays and number of pixels."""
        return math.prod(self.target), math.prod(self.source)

    @property
    def expected_bytes(self):
        """Memory of the matrix and its transpose: two entries for each pixel of each view."""
        return 2 * 2 * 8 * self.target[0] * self.matrix_shape[1]

    def build_matrix(self):
        """Return the matrix, a ``csr_matrix`` in single precision."""
        pixels, n, blocks = np.arange(self.matrix_shape[1]), self.shadows.bins, []
        for view in range(self.target[0]):
            bins, fractions, weights = self.shadows.interpolation(view)
            rows = np.concatenate([bins, bins + 1]) - 1
            values = np.concatenate([weights * (1 - fractions), weights * fractions])
            kept = (rows >= 0) & (rows < n) & (values != 0)
            entries = values[kept], (rows[kept], np.tile(pixels, 2)[kept])
            blocks.append(scipy.sparse.csr_matrix(entries, shape=(n, len(pixels))))
        return scipy.sparse.vstack(blocks, format="csr", dtype=np.float32)


@lower.register
def _(op: PlaneBackprojection):
    pair = _pair(op)
    return GenericLinear(op) if pair is None else RayBackprojector(
        pair, layout_of(op.range).dtype)  # fmt: skip


@lower.register
def _(op: PlaneBackprojectionAdjoint):
    back = op.backprojection
    pair = _pair(back)
    if pair is None:
        return GenericLinear(op)
    return Composition(Scale(float(back.weight_ratio)), RayProjector(
        pair, layout_of(op.range).dtype))  # fmt: skip


def _pair(op):
    """The matrix and its transpose, or None where they would be too large."""
    geometry = PlaneInterpolation(op.shadows, tuple(op.range.shape[:2]), tuple(op.domain.shape[:2]))
    if geometry.expected_bytes <= matrices.SPARSE_LIMIT:
        pair = sparse_pair(geometry)
        return pair if op.range.ndim == 2 else StackedPair(pair, op.range.shape[2])
    warnings.warn(
        f"the backprojection as a matrix takes {geometry.expected_bytes / 2**30:.1f} GiB, more "
        f"than the limit of {matrices.SPARSE_LIMIT / 2**30:.1f} GiB; every image is computed "
        f"by itself, view by view, which is slower. Raise {matrices.__name__}.SPARSE_LIMIT to "
        "change that.",
        RuntimeWarning,
        stacklevel=level_outside("odl_learned", "odl", "functools", "torch"),
    )
    return None
