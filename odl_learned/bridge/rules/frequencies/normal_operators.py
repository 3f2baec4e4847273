r"""Native rules for products of two operators that are one operator of the same kind.

.. math:: \bar m \, (m \, u) = |m|^2 u, \qquad
          F^{-1} \bar m F F^{-1} m F = F^{-1} |m|^2 F, \qquad
          (\bar s B) (s A) = |s|^2 \, B A,

so that the normal operator of a mask costs one product and that of a convolution one pair of
transforms; a multiple of an operator has a fused normal operator if the operator has.
"""

import torch
from odl.core.operator.default_ops import MultiplyOperator
from odl.core.operator.operator import OperatorLeftScalarMult, OperatorRightScalarMult

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.rules.expressions import Composition, Multiply, Scale, fused_compositions
from odl_learned.bridge.rules.frequencies.convolution import Multiplier, RealMultiplier
from odl_learned.operators.convolution import PeriodicConvolution


def _products(left, right):
    v, w = left.multiplicand, right.multiplicand
    if not (hasattr(v, "space") and hasattr(w, "space") and v.space == w.space):
        return None
    if left.domain != v.space or right.domain != v.space:
        return None
    return Multiply(layout_of(v.space).to_tensor(v * w))


def _convolutions(left, right):
    space = right.domain
    dims = tuple(axis - space.ndim for axis in right.axes)
    product = torch.tensor(left.multiplier) * torch.tensor(right.multiplier)
    return (RealMultiplier if right.is_real else Multiplier)(product, dims)


def _multiples(left, right):
    inner = fused_compositions.get((type(left.operator), type(right.operator)))
    # What is linear over the real numbers only does not commute with complex scalars.
    is_real = complex(left.scalar).imag == complex(right.scalar).imag == 0
    if inner is None or not (is_real and left.is_linear and right.is_linear):
        return None
    fused = inner(left.operator, right.operator)
    return None if fused is None else Composition(Scale(left.scalar * right.scalar), fused)


fused_compositions[MultiplyOperator, MultiplyOperator] = _products
fused_compositions[PeriodicConvolution, PeriodicConvolution] = _convolutions
for _left in (OperatorLeftScalarMult, OperatorRightScalarMult):
    for _right in (OperatorLeftScalarMult, OperatorRightScalarMult):
        fused_compositions[_left, _right] = _multiples
