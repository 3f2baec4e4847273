"""Norms of operators in closed form."""

import math

import numpy as np
import odl
from scipy.linalg import eigh_tridiagonal

from odl_learned.dispatch import rules_by_class
from odl_learned.odl_validation import require_operator
from odl_learned.operators.blocks import BlockEmbedding
from odl_learned.operators.convolution import ReflectingConvolution
from odl_learned.operators.extensions import ReflectedExtension
from odl_learned.operators.norms.factors import Diagonal, Opaque, adjoint_of, factors, simplified
from odl_learned.operators.transforms.multicoil import MultiCoilFourier
from odl_learned.weights import (
    axis_weights,
    component_weights,
    constant_weight,
    has_constant_weight,
)

#: Largest number of multiplications of a dense singular value decomposition, half a second or so.
DENSE_LIMIT = 2**28


@rules_by_class(odl.Operator, "_call")
def exact_norm(op: odl.Operator) -> float | None:
    """Return the norm of a linear operator in closed form, or None where none is known.

    Known are products of unitary and of diagonal operators that commute with each other, rows,
    columns and diagonals of such blocks, and what has a rule. A `functools.singledispatch`
    function: register a rule for an operator class of your own. Its adjoint needs none.

    Parameters
    ----------
    op : linear odl.Operator

    Returns
    -------
    norm : float or None

    Raises
    ------
    TypeError
        If this is no operator.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> print(f"{operators.exact_norm(operators.gradient(X)) ** 2:.4f}")  # 8 on large images
    6.8284
    >>> print(operators.exact_norm(operators.parallel_ray_transform(X.astype("float32"), 4)))
    None
    """
    require_operator("op", op)
    scale, parts = simplified(factors(op))
    if not parts:
        return scale
    if len(parts) == 1 and isinstance(parts[0], Diagonal):
        return scale * parts[0].largest
    if len(parts) > 2 or not all(isinstance(part, Opaque) for part in parts):
        return None
    if len(parts) == 2:
        norm = _norm_of_normal(*(part.op for part in parts))
    else:
        norm = _norm_of_adjoint(op) if parts[0].op is op else exact_norm(parts[0].op)
    return None if norm is None else scale * norm


def _norm_of_adjoint(op):
    adjoint, scale = adjoint_of(op), 1.0
    while isinstance(adjoint, (odl.OperatorLeftScalarMult, odl.OperatorRightScalarMult)):
        adjoint, scale = adjoint.operator, scale * abs(adjoint.scalar)
    rule = exact_norm.dispatch(type(adjoint))
    norm = None if rule is exact_norm.dispatch(object) else rule(adjoint)
    return None if norm is None else scale * norm


def _norm_of_normal(left, right):
    """``|A* A| = |A|^2`` where one side is the adjoint of the other one."""
    if adjoint_of(left) is right or adjoint_of(right) is left:
        norm = exact_norm(right)
        return None if norm is None else norm**2
    return None


@exact_norm.register
def _(op: odl.ZeroOperator):
    return 0.0


# A column B of blocks A_i has B* B = sum_i c_i A_i* A_i with the weights c_i of its range. Blocks
# that are multiples of isometries add multiples of the identity, so that the norm is known if at
# most one block is another one; and if all others are diagonal in one basis, B* B is, too.
@exact_norm.register
def _(op: odl.BroadcastOperator):
    multiples, norms, diagonals, bases = 0.0, [], [], []
    for weight, block in zip(component_weights(op.range), op.operators, strict=True):
        scale, parts = simplified(factors(block), right=False)
        if not parts:
            multiples += weight * scale**2
            continue
        norms.append((weight, exact_norm(block)))
        if isinstance(parts[0], Diagonal):
            diagonals.append([weight * (scale * m) ** 2 for m in parts[0].magnitudes])
            bases.append(parts[1:])
    if not norms:
        return math.sqrt(multiples)
    if len(norms) == 1:
        weight, norm = norms[0]
        return None if norm is None else math.sqrt(multiples + weight * norm**2)
    if len(diagonals) < len(norms) or not all(_same_basis(bases[0], basis) for basis in bases):
        return None
    sums = [sum(blocks) for blocks in zip(*diagonals, strict=True)]
    return math.sqrt(multiples + max(float(block.max()) for block in sums))


def _same_basis(first, second):
    """Whether two lists of parts are the same change of basis; one without a name is no other."""
    known = all(getattr(part, "base", None) is not None for part in (*first, *second))
    return known and first == second


@exact_norm.register
def _(op: odl.ProductSpaceOperator):
    # With at most one block in each row and each column, the blocks act on orthogonal spaces.
    rows, columns = list(op.ops.row), list(op.ops.col)
    if len(set(rows)) < len(rows) or len(set(columns)) < len(columns):
        return None
    below, above = component_weights(op.domain), component_weights(op.range)
    norms = [(above[i] / below[j], exact_norm(block))
             for i, j, block in zip(rows, columns, op.ops.data, strict=True)]  # fmt: skip
    known = [math.sqrt(ratio) * norm for ratio, norm in norms if norm is not None]
    return max(known, default=0.0) if len(known) == len(norms) else None


@exact_norm.register
def _(op: BlockEmbedding):
    if len(op.others) > 1:
        return 1.0
    return math.sqrt(component_weights(op.range)[op.others[0]])


@exact_norm.register
def _(op: odl.MatrixOperator):
    spaces, shape = (op.domain, op.range), op.matrix.shape
    if not all(space.impl == "numpy" and has_constant_weight(space) for space in spaces):
        return None
    if op.is_sparse or math.prod(shape) * min(shape) > DENSE_LIMIT:
        return None
    matrix = np.asarray(op.matrix)
    if not np.isfinite(matrix).all():
        return math.nan
    ratio = constant_weight("range", op.range) / constant_weight("domain", op.domain)
    return float(np.linalg.norm(matrix.astype(np.result_type(matrix, float)), 2)) * math.sqrt(ratio)


@exact_norm.register
def _(op: odl.SamplingOperator):
    # A A* repeats every value as often as its point is sampled.
    if not has_constant_weight(op.domain) or not has_constant_weight(op.range):
        return None
    points = np.ravel_multi_index(op.sampling_points, op.domain.shape)
    most = float(np.unique(points, return_counts=True)[1].max())
    ratio = constant_weight("range", op.range) / constant_weight("domain", op.domain)
    factor = getattr(op.domain, "cell_volume", 1.0) if op.variant == "integrate" else 1.0
    return float(factor) * math.sqrt(most * ratio)


@exact_norm.register
def _(op: MultiCoilFourier):
    # F is unitary: for S = c I, A* A is the multiplication by (w_Y / w_X) c^2 sum_c |s_c|^2.
    if np.ptp(np.abs(op.weights)) > 0:
        return None
    total = np.sum(np.abs(op.sensitivities) ** 2, axis=0, dtype=np.float64)
    return float(np.abs(op.weights).max()) * math.sqrt(op.weight_ratio * float(total.max()))


@exact_norm.register
def _(op: ReflectedExtension):
    # Every pixel is repeated a number of times along each axis.
    most = [float(np.bincount(source).max()) for source in op.sources]
    ratio = constant_weight("range", op.range) / constant_weight("domain", op.domain)
    return math.sqrt(math.prod(most) * ratio)


@exact_norm.register
def _(op: ReflectingConvolution):
    # With h even along each axis the cosines prod_i cos(w_i (j_i + 1/2)), w_i = pi k_i / n_i, are
    # eigenvectors, of the eigenvalue sum_m h_m prod_i cos(w_i m_i).
    kernel = op.kernel
    if any(not np.array_equal(kernel, np.flip(kernel, axis)) for axis in range(kernel.ndim)):
        return None
    values = kernel.astype(np.result_type(kernel, float))
    for n, size in zip(op.domain.shape, kernel.shape, strict=True):
        offsets = np.arange(size) - size // 2
        cosines = np.cos(np.outer(offsets, np.arange(n)) * (math.pi / n))
        values = np.tensordot(values, cosines, (0, 0))
    return float(np.abs(values).max())


@exact_norm.register
def _(op: odl.Gradient):
    # D* D is a sum of D_i* D_i, each along its own axis, where the weights are products of those of
    # the axes; eigenvectors multiply up to joint ones.
    space = op.domain
    weights = axis_weights(space)
    if op.range != space**space.ndim or weights is None:
        return None
    if has_constant_weight(space):
        norms = [_difference_norm(op.method, op.pad_mode, n) for n in space.shape]
    else:
        norms = [_weighted_norm(op.method, op.pad_mode, w) for w in weights]
    if None in norms:
        return None
    return math.hypot(*(norm / h for norm, h in zip(norms, space.cell_sides, strict=True)))


@exact_norm.register
def _(op: odl.PartialDerivative):
    if op.range != op.domain or not has_constant_weight(op.domain):
        return None
    norm = _difference_norm(op.method, op.pad_mode, op.domain.shape[op.axis])
    return None if norm is None else norm / float(op.domain.cell_sides[op.axis])


def _difference_norm(method, pad_mode, n):
    """The norm of the n x n matrix of one-sided differences, for a distance of one."""
    if method not in ("forward", "backward"):
        return None
    if pad_mode == "symmetric":  # eigenvalues (2 sin(pi k / (2 n)))^2 of D^T D, k < n
        return 2 * math.sin(math.pi * (n - 1) / (2 * n))
    if pad_mode == "periodic":  # (2 sin(pi k / n))^2, k < n
        return 2 * math.sin(math.pi * (n // 2) / n)
    if pad_mode == "constant":  # (2 cos(pi k / (2 n + 1)))^2, k = 1, ..., n
        return 2 * math.cos(math.pi / (2 * n + 1))
    return None


def _weighted_norm(method, pad_mode, weights):
    """The same with weights: of ``B = W^(1/2) D W^(-1/2)``, for which ``B^T B`` is tridiagonal."""
    if method not in ("forward", "backward") or pad_mode != "symmetric":
        return None
    if len(weights) == 1:
        return 0.0
    w = weights if method == "forward" else weights[::-1]
    # sum_(j < n - 1) w_j (x_(j+1) - x_j)^2 with x = W^(-1/2) z
    diagonal = np.append(1.0, w[:-1] / w[1:])
    diagonal[1:-1] += 1.0
    off = -np.sqrt(w[:-1] / w[1:])
    largest = eigh_tridiagonal(diagonal, off, eigvals_only=True, select="i",
                               select_range=(len(w) - 1, len(w) - 1))  # fmt: skip
    return math.sqrt(largest.item())
