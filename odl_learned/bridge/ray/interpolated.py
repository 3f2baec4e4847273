"""Native rules for backprojections that interpolate: one matrix in the plane, loops in space."""

import dataclasses
import functools
import hashlib
import math

import numpy as np
import scipy.sparse
import torch

from odl_learned.bridge.layouts.arrays import array_of
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.ray import RayBackprojector, RayProjector, gathered
from odl_learned.bridge.ray.sparse import sparse_pair
from odl_learned.bridge.ray.stacked import StackedPair
from odl_learned.bridge.rules.expressions import Composition, Scale
from odl_learned.operators.tomography.interpolated import cone, plane
from odl_learned.operators.tomography.interpolated.plane import (
    PlaneBackprojection,
    PlaneBackprojectionAdjoint,
)
from odl_learned.operators.tomography.interpolated.shadows import PlaneShadows
from odl_learned.operators.tomography.projectors import matrices


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


class InterpolatedPair:
    """``x -> B^T x`` and ``y -> B y`` without a matrix: loops on the CPU, gathers elsewhere.

    Parameters
    ----------
    shadows : PlaneShadows or ConeShadows
    source, target : tuple of int
        Shapes of an image and of its data.
    """

    def __init__(self, shadows, source, target):
        self.shadows, self.source, self.target = shadows, source, target

    @property
    def loops(self):
        """The module that computes for these shadows; a pickle holds none."""
        return cone if isinstance(self.shadows, cone.ConeShadows) else plane

    @property
    def geometry(self):
        """The pair itself, which knows the shape of its matrix."""
        return self

    @property
    def matrix_shape(self):
        """Number of rays and number of pixels."""
        return math.prod(self.target), math.prod(self.source)

    def project(self, x):
        """``B^T x`` for images ``(*batch, *source)``, real or complex, without derivatives."""
        return self._run("spread", x, self.source, self.target)

    def backproject(self, y):
        """``B y`` for data ``(*batch, *target)``, real or complex, without derivatives."""
        return self._run("backprojected", y, self.target, self.source)

    def to(self, device, dtype):
        """The pair itself: it follows its input."""
        return self

    def __deepcopy__(self, memo):
        return self

    def _run(self, name, x, source, target):
        if x.is_complex():
            return torch.complex(*(self._run(name, part, source, target)
                                   for part in (x.real, x.imag)))  # fmt: skip
        lead = x.shape[: x.ndim - len(source)]
        samples = x.reshape(-1, *source)
        if x.device.type == "cpu":
            loop, result = getattr(self.loops, name), x.new_empty(len(samples), *target)
            for sample, out in zip(samples, result):
                out.copy_(torch.from_numpy(loop(self.shadows, array_of(sample))))
        else:
            result = getattr(gathered, name)(self.shadows, samples)
        return result.reshape(*lead, *target)


@lower.register
def _(op: PlaneBackprojection):
    return RayBackprojector(_plane_pair(op), layout_of(op.range).dtype)


@lower.register
def _(op: cone.ConeBackprojection):
    pair = InterpolatedPair(op.shadows, tuple(op.range.shape), tuple(op.domain.shape))
    return RayBackprojector(pair, layout_of(op.range).dtype)


@lower.register
def _(op: PlaneBackprojectionAdjoint):
    return _transpose(op, _plane_pair(op.backprojection))


@lower.register
def _(op: cone.ConeBackprojectionAdjoint):
    return _transpose(op, InterpolatedPair(
        op.backprojection.shadows, tuple(op.domain.shape), tuple(op.range.shape)))  # fmt: skip


def _transpose(op, pair):
    """``B* = (w_X / w_Y) B^T``."""
    return Composition(Scale(float(op.backprojection.weight_ratio)), RayProjector(
        pair, layout_of(op.range).dtype))  # fmt: skip


def _plane_pair(op):
    """The matrix and its transpose, or loops where they would be too large."""
    geometry = PlaneInterpolation(op.shadows, tuple(op.range.shape[:2]), tuple(op.domain.shape[:2]))
    if geometry.expected_bytes > matrices.SPARSE_LIMIT:
        return InterpolatedPair(op.shadows, tuple(op.range.shape), tuple(op.domain.shape))
    pair = sparse_pair(geometry)
    return pair if op.range.ndim == 2 else StackedPair(pair, op.range.shape[2])
