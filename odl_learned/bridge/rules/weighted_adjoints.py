"""The native rule for adjoints between spaces whose entries have different weights."""

from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.lowering import lower
from odl_learned.odl_fixes.adjoints import WeightedAdjoint
from odl_learned.weights import has_constant_weight


class WeightedTranspose(nn.Module):
    """``y -> W_X^-1 M^H W_Y y``, from a module for ``s M^H``."""

    def __init__(self, multiple, scale, source, target):
        super().__init__()
        self.multiple, self.scale = multiple, scale
        self.source, self.target = source, target

    def forward(self, y):
        y = self.source.weigh(y)
        if self.scale != 1:
            y = each(lambda part: part / self.scale, y)
        return self.target.unweigh(self.multiple(y))


def between_weights(transpose, op, space):
    """A module for ``M^T`` as one for the adjoint ``op`` of an operator between powers of a space.

    Where all entries have one weight, both are the same.
    """
    if has_constant_weight(space):
        return transpose
    return WeightedTranspose(transpose, 1.0, layout_of(op.domain), layout_of(op.range))


@lower.register
def _(op: WeightedAdjoint):
    return WeightedTranspose(lower(op.multiple), op.scale, layout_of(op.domain),
                             layout_of(op.range))
