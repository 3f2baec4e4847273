"""``as_transpose_module``: the transpose of any linear ODL operator as a batched torch module."""

import odl
from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import OperatorModule, lower
from odl_learned.odl_validation import shown


class Reweighted(nn.Module):
    """``y -> W_X B(W_Y^-1 y)`` with a lowered operator B from Y to X."""

    def __init__(self, native, source, target):
        super().__init__()
        self.native, self.source, self.target = native, source, target

    def forward(self, y):
        return self.target.weigh(self.native(self.source.unweigh(y)))


class Scaled(nn.Module):
    """``y -> s B y``, where the weights of both spaces are one number each."""

    def __init__(self, native, scale):
        super().__init__()
        self.native, self.scale = native, scale

    def forward(self, y):
        return self.scale * self.native(y)


def as_transpose_module(op: odl.Operator) -> OperatorModule:
    r"""Return the transpose of a linear ODL operator as a torch module on batches.

    .. math:: A^H y = W_X \, A^* (W_Y^{-1} y), \qquad
              A^H = \frac{w_X}{w_Y} A^* \text{ for constant weights,}

    the conjugate transpose of the matrix of A, with the weights ``W`` of the inner products as a
    diagonal. It is what torch's backward pass through ``as_module(op)`` computes, and belongs to
    Euclidean gradients and to noise in the entries of data; the adjoint, ``as_module(op.adjoint)``,
    belongs to the inner products of the spaces.

    Parameters
    ----------
    op : linear odl.Operator
        With an adjoint, of which the transpose is made: it is as exact as that.

    Returns
    -------
    module : OperatorModule
        Maps tensors ``(*batch, *op.range.shape)`` to ``(*batch, *op.domain.shape)``; tuples for
        products of different spaces. Differentiable as ``as_module(op.adjoint)``.

    Raises
    ------
    TypeError
        If the operator is none, nonlinear, or its spaces have no weighted inner product.
    NotImplementedError
        If it has no adjoint.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import bridge
    >>> A = odl.MatrixOperator([[1.0, 2.0], [0.0, 1.0], [0.0, 0.0]])
    >>> isinstance(bridge.as_module(A), bridge.OperatorModule)
    True
    >>> print(bridge.as_transpose_module(A)(torch.ones(1, 3, dtype=torch.float64)))
    tensor([[1., 3.]], dtype=torch.float64)
    """
    if not isinstance(op, odl.Operator) or not op.is_linear:
        raise TypeError(f"op is {shown(op)}, expected a linear ODL operator; the transpose of a "
                        "derivative is as_transpose_module(op.derivative(x)).")
    source, target = layout_of(op.range), layout_of(op.domain)
    native = lower(op.adjoint)
    above, below = getattr(target, "weight", None), getattr(source, "weight", None)
    if isinstance(above, float) and isinstance(below, float):
        scale = above / below
        native = native if scale == 1 else Scaled(native, scale)
    else:
        native = Reweighted(native, source, target)
    return OperatorModule(native, source, True)
