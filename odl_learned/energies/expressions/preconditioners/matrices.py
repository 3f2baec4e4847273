"""Sparse matrices of operators that see a few pixels at a time, for preconditioners."""

import itertools

import numpy as np
import odl
import scipy.sparse as sp
import torch
from odl.core.operator.operator import (
    OperatorComp,
    OperatorLeftScalarMult,
    OperatorRightScalarMult,
    OperatorSum,
)

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.dispatch import rules_by_class
from odl_learned.odl_validation import require_operator
from odl_learned.operators import FilterBank

#: Most nonzero entries of a row of a matrix that counts as sparse.
FULLEST_ROW = 100


@rules_by_class(odl.Operator, "_call")
def sparse_matrix(op: odl.Operator) -> sp.csr_array | None:
    """Return the matrix of an operator with few entries in every row, or None without a rule.

    Without weights of inner products. Rows and columns are entries of tensors in the order of the
    layouts of the spaces. A `functools.singledispatch` function.

    Parameters
    ----------
    op : linear odl.Operator

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> from odl_learned.energies.expressions import preconditioners
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> print(preconditioners.sparse_matrix(operators.gradient(X)).shape)
    (32, 16)
    """
    require_operator("op", op)
    return None


def local_matrix(op: odl.Operator, reach: int) -> sp.csr_array | None:
    """Return the matrix of an operator whose rows see pixels within a distance of their place.

    Combs of unit impulses, ``2 reach + 1`` pixels apart, are seen by every row one by one.

    Parameters
    ----------
    op : linear odl.Operator
        To images of the shape of the domain, or powers of such.
    reach : int
        Largest distance along an axis.
    """
    source, target = layout_of(op.domain), layout_of(op.range)
    shape, ndim = source.shape, len(source.shape)
    if target.shape[-ndim:] != shape:
        return None
    module, places = lower(op), np.indices(shape)
    rows = np.arange(np.prod(target.shape, dtype=int)).reshape(target.shape)
    parts, step = [], 2 * reach + 1
    for offset in itertools.product(range(step), repeat=ndim):
        comb = torch.zeros((1, *shape), dtype=source.dtype)
        comb[0][tuple(slice(o, None, step) for o in offset)] = 1
        values = module(comb)[0].numpy()
        # the only impulse within the reach of a place, if it is inside of the image
        seen = [place - (place - o + reach) % step + reach
                for place, o in zip(places, offset, strict=True)]  # fmt: skip
        inside = np.all([(0 <= s) & (s < n) for s, n in zip(seen, shape, strict=True)], axis=0)
        columns = np.ravel_multi_index([np.where(inside, s, 0) for s in seen], shape)
        used = (values != 0) & inside
        parts.append((values[used], rows[used], np.broadcast_to(columns, target.shape)[used]))
    values, rows_, columns = (np.concatenate(each) for each in zip(*parts, strict=True))
    size = rows.size, int(np.prod(shape))
    return sp.csr_array((values.astype(np.result_type(values, float)), (rows_, columns)), size)


@sparse_matrix.register
def _(op: odl.IdentityOperator):
    return sp.eye_array(layout_of(op.domain).zeros((), None).numel(), format="csr")


@sparse_matrix.register
def _(op: odl.MultiplyOperator):
    factor = op.multiplicand
    if op.domain != op.range or not hasattr(factor, "space") or factor.space != op.domain:
        return None
    return sp.diags_array(layout_of(op.domain).to_tensor(factor).numpy().ravel()).tocsr()


@sparse_matrix.register(odl.Gradient)
@sparse_matrix.register(odl.PartialDerivative)
def _(op):
    return None if op.pad_mode == "periodic" else local_matrix(op, 1)


@sparse_matrix.register
def _(op: FilterBank):
    return local_matrix(op, max(op.filters.shape[1:]) // 2 + 1)


@sparse_matrix.register
def _(op: OperatorComp):
    left, right = sparse_matrix(op.left), sparse_matrix(op.right)
    return None if left is None or right is None else _unless_full(left @ right)


@sparse_matrix.register
def _(op: OperatorSum):
    left, right = sparse_matrix(op.left), sparse_matrix(op.right)
    return None if left is None or right is None else (left + right).tocsr()


@sparse_matrix.register(OperatorLeftScalarMult)
@sparse_matrix.register(OperatorRightScalarMult)
def _(op):
    matrix = sparse_matrix(op.operator)
    return None if matrix is None else op.scalar * matrix


@sparse_matrix.register
def _(op: odl.BroadcastOperator):
    parts = [sparse_matrix(part) for part in op.operators]
    if any(part is None for part in parts) or not op.range.is_power_space:
        return None
    return sp.vstack(parts).tocsr()


def _unless_full(matrix):
    rows = np.diff(matrix.tocsr().indptr)
    return matrix.tocsr() if rows.max(initial=0) <= FULLEST_ROW else None
