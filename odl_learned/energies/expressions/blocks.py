"""The blocks of a domain, images, parameters and data, and which of them a node reads."""


from collections.abc import Sequence

import odl
import torch
from odl.core.operator.operator import (
    OperatorComp,
    OperatorLeftScalarMult,
    OperatorLeftVectorMult,
    OperatorPointwiseProduct,
    OperatorRightScalarMult,
    OperatorRightVectorMult,
    OperatorSum,
    OperatorVectorSum,
)
from odl.functionals.functional import FunctionalQuotient

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.dispatch import rules_by_class
from odl_learned.functionals.parameters import Exponential
from odl_learned.operators import FunctionalMultiple

IMAGES, PARAMETERS, DATA = 0, 1, 2


class Blocks:
    """The domain ``X``, ``X x Theta`` or ``X x Theta x Y`` of a functional.

    A product of two or three spaces that are not all the same has parameters; any other domain is a
    space of images alone.

    Parameters
    ----------
    domain : odl space

    Attributes
    ----------
    images, parameters, data : odl space or None
    """

    def __init__(self, domain: odl.LinearSpace) -> None:
        self.domain = domain
        is_product = isinstance(domain, odl.ProductSpace) and len(domain) in (2, 3)
        self.are_several = is_product and not domain.is_power_space
        parts = [*domain.spaces, None, None] if self.are_several else [domain, None, None]
        self.images, self.parameters, self.data = parts[:3]
        self._layout = layout_of(domain)

    def joined(self, x, params, data):
        """Return an element of the domain as tensors; blocks that are None are zero."""
        if not self.are_several:
            return x
        blocks = []
        for space, block in zip(self.domain, (x, params, data), strict=False):
            layout = layout_of(space)
            if block is None:
                block = layout.to_tensor(space.zero())
            elif isinstance(block, torch.Tensor):
                block = block.to(layout.dtype) if layout.dtype.is_complex else block
            blocks.append(block)
        return self._layout.join(blocks)


class Scalar:
    """A functional of the parameters alone as ``params -> number``, differentiable by torch.

    Parameters
    ----------
    functionals : tuple of odl.functionals.Functional
        On the whole domain; their values are multiplied.
    factor : float
        A further factor.
    blocks : Blocks
    """

    def __init__(
        self, functionals: Sequence[odl.functionals.Functional], factor: float, blocks: Blocks
    ) -> None:
        self._modules = tuple(lower(f) for f in functionals)
        self._factor, self._blocks = float(factor), blocks
        self.is_learned = bool(functionals)

    def __call__(self, params: torch.Tensor) -> torch.Tensor:
        """Return the number, a tensor without axes."""
        result = torch.as_tensor(self._factor, dtype=params.dtype, device=params.device)
        for module in self._modules:
            value = module(self._blocks.joined(None, params, None))
            result = result * (value.real if value.is_complex() else value)
        return result


@rules_by_class(odl.Operator, "_call")
def reads(op):
    """Return which blocks of the domain a node reads, a set of numbers; all, without a rule."""
    return {IMAGES, PARAMETERS, DATA}


@reads.register
def _(op: odl.ComponentProjection):
    index = op.index
    return {index} if isinstance(index, int) else {IMAGES, PARAMETERS, DATA}


@reads.register
def _(op: OperatorComp):
    return reads(op.right)


@reads.register(OperatorSum)
@reads.register(OperatorPointwiseProduct)
def _(op):
    return reads(op.left) | reads(op.right)


@reads.register
def _(op: FunctionalQuotient):
    return reads(op.dividend) | reads(op.divisor)


@reads.register(OperatorLeftScalarMult)
@reads.register(OperatorRightScalarMult)
@reads.register(OperatorLeftVectorMult)
@reads.register(OperatorRightVectorMult)
@reads.register(OperatorVectorSum)
def _(op):
    return reads(op.operator)


@reads.register
def _(op: FunctionalMultiple):
    return reads(op.functional) | reads(op.operator)


@reads.register
def _(op: Exponential):
    return reads(op.functional)


@reads.register
def _(op: odl.BroadcastOperator):
    return set().union(*map(reads, op.operators))


@reads.register(odl.functionals.ConstantFunctional)
@reads.register(odl.ConstantOperator)
@reads.register(odl.ZeroOperator)
def _(op):
    return set()
