"""Terms without a closed form: derivatives by torch, and bounds of them from rules or stated.

`bounds_of` returns the `Bounds` of a functional, `rates_of` the `Rates` of a nonlinear operator,
from which those of compositions follow. Both are `functools.singledispatch` functions::

    @bounds_of.register
    def _(functional: MyFunctional, blocks):
        return Bounds(slope=math.inf, lower=0.0, upper=functional.L, third=math.inf)

Without a rule the attributes ``grad_lipschitz`` and ``weak_convexity`` of a functional count.
"""

from odl_learned.energies.expressions.autograd.bounds import Bounds, bounds_of
from odl_learned.energies.expressions.autograd.rates import Rates, rates_of

__all__ = [
    "Bounds",
    "Rates",
    "bounds_of",
    "rates_of",
]
