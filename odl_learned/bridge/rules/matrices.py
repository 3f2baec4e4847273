"""Native rules for matrices, dense along any axis or sparse."""

import copy

import numpy as np
import odl
import torch
from torch import nn

from odl_learned.bridge.layouts.arrays import tensor_of
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.loops.generic import LinearMap
from odl_learned.bridge.lowering import lower


class Matrix(nn.Module):
    """``x -> M x`` along one axis, counted from the end."""

    def __init__(self, matrix, axis):
        super().__init__()
        self.axis = axis
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, x):
        rows = x.movedim(self.axis, -1).to(self.matrix.dtype)
        return (rows @ self.matrix.mT).movedim(-1, self.axis)


class SparseMatrix(nn.Module):
    """``x -> M x`` with a sparse matrix, ``M^H`` stored beside it as its backward."""

    def __init__(self, matrix):
        super().__init__()
        self.register_buffer("matrix", matrix.to_sparse_csr(), persistent=False)
        adjoint = matrix.mT.conj().resolve_conj() if matrix.is_complex() else matrix.mT
        self.register_buffer("transpose", adjoint.to_sparse_csr(), persistent=False)

    def forward(self, x):
        return LinearMap.apply(x.to(self.matrix.dtype), self.multiply, self.multiply_transposed)

    def multiply(self, x):
        """``M x`` without derivatives."""
        return _sparse_product(self.matrix, x)

    def multiply_transposed(self, y):
        """``M^H y`` without derivatives."""
        return _sparse_product(self.transpose, y)

    def __deepcopy__(self, memo):
        # torch clones sparse tensors, and refuses to copy them deeply.
        other = memo[id(self)] = copy.copy(self)
        other._buffers = {name: part.clone() for name, part in self._buffers.items()}
        return other


@lower.register
def _(op: odl.MatrixOperator):
    matrix = op.matrix
    if op.is_sparse:
        return SparseMatrix(_sparse_tensor(matrix).to(layout_of(op.range).dtype))
    matrix = tensor_of(matrix).to(layout_of(op.range).dtype)
    return Matrix(matrix, op.axis - op.domain.ndim if op.axis >= 0 else op.axis)


def _sparse_tensor(matrix):
    """A sparse matrix of scipy or of torch as a sparse tensor of torch."""
    if isinstance(matrix, torch.Tensor):
        return matrix
    matrix = matrix.tocoo()
    indices = torch.from_numpy(np.stack([matrix.row, matrix.col]).astype(np.int64))
    return torch.sparse_coo_tensor(indices, tensor_of(matrix.data), matrix.shape,
                                   check_invariants=True).coalesce()


def _sparse_product(matrix, x):
    columns = x.reshape(-1, matrix.shape[1]).mT.contiguous()  # (entries, B)
    result = matrix @ columns if columns.numel() else x.new_zeros(matrix.shape[0], 0)
    return result.mT.reshape(*x.shape[:-1], matrix.shape[0])
