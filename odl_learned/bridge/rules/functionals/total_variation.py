"""Native rule for total variation: the expression that defines it."""

from odl_learned.bridge.lowering import lower
from odl_learned.functionals import TotalVariation


@lower.register
def _(f: TotalVariation):
    return lower(f.expression)
