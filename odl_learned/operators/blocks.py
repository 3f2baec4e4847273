"""Operators on products of spaces: the pointwise product of two blocks, and a block held fixed.

A product space ``X_1 x ... x X_n`` may weigh its blocks: ``<x, z> = sum_i c_i <x_i, z_i>_i``. The
adjoints here take ``c`` and the weights ``w_i`` of the blocks into account, as those of ODL's
``ComponentProjection`` do once they are repaired.
"""

import math

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import (
    require_array_spaces,
    require_element,
    require_index,
    require_operator,
)
from odl_learned.validation import shown
from odl_learned.weights import component_weights, entry_weights


class BlockProduct(odl.Operator):
    r"""The pointwise product of two blocks, ``(a, u) -> a u``.

    .. math:: B(a, u) = a u, \qquad B'(a, u)(h, k) = h u + a k,

    .. math:: B'(a, u)^* y = \Bigl( \frac{w_Y}{c_1 w_1} \bar u y, \;
              \frac{w_Y}{c_2 w_2} \bar a y \Bigr).

    Parameters
    ----------
    domain : odl.ProductSpace
        Two spaces of the same shape, such as parameters and data.
    range : odl space, optional
        Of that shape. Default: the second block.

    Raises
    ------
    TypeError, ValueError
        If the domain does not have two blocks of one shape.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> product = operators.BlockProduct(odl.rn(2) * odl.rn(2))
    >>> print(product([[2, 3], [5, 7]]))
    [10., 21.]
    """

    def __init__(self, domain: odl.ProductSpace, range: odl.LinearSpace | None = None) -> None:
        if not isinstance(domain, odl.ProductSpace) or len(domain) != 2:
            raise TypeError(f"domain is {domain!r}, expected a product of two spaces; build it "
                            "with odl.ProductSpace(first, second).")
        require_array_spaces("domain", domain)
        range = domain[1] if range is None else range
        for i in (0, 1):
            if domain[i].shape != range.shape:
                raise ValueError(f"block {i} of the domain has shape {domain[i].shape}, expected "
                                 f"{range.shape}, that of the range; use spaces of one shape.")
        super().__init__(domain, range, linear=False)

    def _call(self, x):
        return self.range.element(x[0].data * x[1].data)

    def derivative(self, point: LinearSpaceElement) -> odl.Operator:
        """The linear operator ``(h, k) -> h u + a k``."""
        return _BlockProductDerivative(self, self.domain.element(point).copy())


class _BlockProductDerivative(odl.Operator):
    def __init__(self, product, point):
        super().__init__(product.domain, product.range, linear=True)
        self.point = point

    def _call(self, h):
        a, u = self.point
        return self.range.element(h[0].data * u.data + a.data * h[1].data)

    @property
    def adjoint(self):
        return _BlockProductAdjoint(self)


class _BlockProductAdjoint(odl.Operator):
    def __init__(self, derivative):
        super().__init__(derivative.range, derivative.domain, linear=True)
        self.forward_op = derivative

    def _call(self, y):
        a, u = self.forward_op.point
        weighted = entry_weights(self.domain) * y.data
        parts = [
            np.conj(other.data) * weighted / (c * entry_weights(space))
            for other, c, space in zip((u, a), component_weights(self.range), self.range)
        ]
        return self.range.element(
            [space.element(part.astype(space.dtype)) for space, part in zip(self.range, parts)])

    @property
    def adjoint(self):
        return self.forward_op


class BlockInsertion(odl.Operator):
    r"""The other blocks, with one block held fixed: ``x -> (x_1, ..., e, ..., x_n)``.

    Parameters
    ----------
    product : odl.ProductSpace
        The range: a product of two or more spaces.
    index : int
        Number of the fixed block.
    element : element of ``product[index]``
        Its value.

    The domain is the product of the other spaces with their block weights, or the other space
    itself where only one is left.

    Raises
    ------
    TypeError, IndexError
        If ``product`` is none, there is no such block, or the element is not in it.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> R = odl.rn(1)
    >>> A = operators.BlockInsertion(odl.rn(2) * R, index=1, element=R.element([5]))
    >>> print(A([1, 2])[0], A([1, 2])[1])
    [1., 2.] [5.]
    """

    def __init__(self, product: odl.ProductSpace, index: int, element: LinearSpaceElement) -> None:
        _require_block(product, index)
        self.index = index % len(product)
        require_element(f"the element of block {self.index}", element, product[self.index])
        if not math.isfinite(element.norm()):
            raise ValueError(f"the element of block {self.index} is {shown(element)}, expected "
                             "finite numbers only.")
        self.others = [i for i in range(len(product)) if i != self.index]
        super().__init__(_sub_product(product, self.others), product, linear=False)
        self.element = element.copy()

    def _call(self, x):
        parts = list(x) if len(self.others) > 1 else [x]
        parts.insert(self.index, self.element)
        return self.range.element([part.copy() for part in parts])

    def derivative(self, point: LinearSpaceElement) -> odl.Operator:
        """The linear part, with a zero in place of the fixed block."""
        return BlockEmbedding(self.range, self.index)


class BlockEmbedding(odl.Operator):
    """The linear part of :class:`BlockInsertion`: ``x -> (x_1, ..., 0, ..., x_n)``."""

    def __init__(self, product, index):
        _require_block(product, index)
        index = index % len(product)
        self.others = [i for i in range(len(product)) if i != index]
        super().__init__(_sub_product(product, self.others), product, linear=True)
        self.index = index

    def _call(self, x):
        parts = list(x) if len(self.others) > 1 else [x]
        parts.insert(self.index, self.range[self.index].zero())
        return self.range.element([part.copy() for part in parts])

    @property
    def adjoint(self):
        """``z -> c_i z_i`` for one block ``i``, the other blocks with their weights else."""
        return BlockEmbeddingAdjoint(self)


class BlockEmbeddingAdjoint(odl.Operator):
    """The adjoint of :class:`BlockEmbedding`."""

    def __init__(self, embedding):
        require_operator("embedding", embedding, BlockEmbedding,
                         "take the property adjoint of one.")
        super().__init__(embedding.range, embedding.domain, linear=True)
        self.forward_op = embedding
        is_single = len(embedding.others) == 1
        self.factor = component_weights(self.domain)[embedding.others[0]] if is_single else 1.0

    def _call(self, z):
        parts = [z[i] for i in self.forward_op.others]
        if len(parts) == 1:
            return self.factor * parts[0]
        return self.range.element([part.copy() for part in parts])

    @property
    def adjoint(self):
        """The embedding."""
        return self.forward_op


def _sub_product(product, chosen):
    if len(chosen) == 1:
        return product[chosen[0]]
    c = component_weights(product)
    parts = [product[i] for i in chosen]
    if all(value == 1.0 for value in c):
        return odl.ProductSpace(*parts)
    return odl.ProductSpace(*parts, weighting=[c[i] for i in chosen])


def _require_block(product, index):
    if not isinstance(product, odl.ProductSpace) or len(product) < 2:
        raise TypeError(f"product is {product!r}, expected a product of two or more spaces; "
                        "build it with odl.ProductSpace(X, parameters).")
    require_index("index", index, len(product), "a block of the product")
