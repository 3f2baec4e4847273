"""Fourier filters along one axis, such as that of filtered backprojection, as one Toeplitz matrix.

ODL filters by ``R F^-1 h F P``: zeros are added on both sides (P), ODL's Fourier transform is
multiplied by h, and what was added is left out again (R). ``F`` is a discrete transform between
multiplications by phases ``c_j = exp(i j xi)`` and by weights that cancel, so that a circular
convolution with a kernel k is left, and

    (K y)_i = sum_j k_{i - j} c_j / c_i y_j

is a Toeplitz matrix, since ``c_j / c_i`` depends on ``i - j`` alone. Its first and its last column
hold all of it. For a detector of n pixels the product costs n multiplications for an entry, in the
fastest operation that there is, where the transforms cost passes over arrays that are padded and
complex.
"""

import torch
from odl.core.discr.discr_ops import ResizingOperator
from odl.core.operator.operator import (
    OperatorComp,
    OperatorLeftVectorMult,
    OperatorRightVectorMult,
)
from odl.trafos.fourier.fourier import FourierTransform, FourierTransformInverse

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.bridge.rules.expressions import Composition, fused_compositions
from odl_learned.bridge.rules.matrices import Matrix

#: Above this length the transforms are as fast, and need less memory.
LONGEST = 1024


def _filter(left, right):
    """The product as a matrix along one axis, or None if it is none or anything else."""
    parts = [part for part in (*_factors(left), *_factors(right)) if not _resizes(part)]
    kinds = [type(part) for part in parts[::2]]
    if len(parts) != 3 or kinds != [FourierTransformInverse, FourierTransform]:
        return None
    axes = parts[2].axes
    if len(axes) != 1:
        return None
    domain, axis = layout_of(right.domain), axes[0] - len(right.domain.shape)
    n = domain.shape[axis]
    if layout_of(left.range).shape != domain.shape or n > LONGEST:
        return None
    parts = Composition(lower(left), lower(right))
    units = torch.zeros(2, *domain.shape, dtype=domain.dtype).movedim(axis, -1)
    units[0, ..., 0] = units[1, ..., -1] = 1
    first, last = (column.movedim(axis, -1).reshape(-1, n)[0]
                   for column in parts(units.movedim(-1, axis)))
    kernel, rows = torch.cat((last[:-1], first)), torch.arange(n)
    fused = Matrix(kernel[rows[:, None] - rows + n - 1], axis)
    # Filters that change from row to row, or transforms that do not undo each other, are no
    # Toeplitz matrix. Rounding is far below the square root of the precision, and errors far above.
    y = torch.randn(domain.shape, generator=torch.Generator().manual_seed(0), dtype=domain.dtype)
    expected = parts(y)
    same = (fused(y) - expected).norm() <= torch.finfo(y.dtype).eps ** 0.5 * expected.norm()
    return fused if same else None


def _factors(op):
    """The factors of a product from the left: operators, and elements that are multiplied by."""
    if isinstance(op, OperatorComp):
        return [*_factors(op.left), *_factors(op.right)]
    if isinstance(op, OperatorRightVectorMult):
        return [*_factors(op.operator), op.vector]
    if isinstance(op, OperatorLeftVectorMult):
        return [op.vector, *_factors(op.operator)]
    return [op]


def _resizes(part):
    return isinstance(part, ResizingOperator) or type(part).__name__ == "ResizingOperatorAdjoint"


fused_compositions[OperatorRightVectorMult, OperatorComp] = _filter
fused_compositions[OperatorRightVectorMult, FourierTransform] = _filter
fused_compositions[OperatorComp, OperatorLeftVectorMult] = _filter
fused_compositions[FourierTransformInverse, OperatorLeftVectorMult] = _filter
