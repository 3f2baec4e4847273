"""Lowering what came from torch: the module inside ``as_operator`` and ``as_functional`` itself.

An ODL expression that contains a network is lowered with the network in its place, so that no loop
and no loss of derivatives remains of the detour.
"""

from torch import nn

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.bridge.learned.module_operators import ModuleFunctional, ModuleOperator
from odl_learned.bridge.lowering import lower


class OneBatchAxis(nn.Module):
    """A module that is called with exactly one batch axis, for any number of leading axes."""

    def __init__(self, module, source):
        super().__init__()
        self.module, self.source = module, source

    def forward(self, x):
        lead = self.source.batch_shape(x)
        y = self.module(self.source.flatten_batch(x))
        return each(lambda part: part.reshape((*lead, *part.shape[1:])), y)


@lower.register
def _(op: ModuleOperator):
    return OneBatchAxis(op.module, layout_of(op.domain))


@lower.register
def _(op: ModuleFunctional):
    return OneBatchAxis(op.module, layout_of(op.domain))
