"""Native rule for the value of least squares; that of the proximal is in `proximals`."""

from odl_learned.bridge.lowering import lower
from odl_learned.functionals import LeastSquares


@lower.register
def _(f: LeastSquares):
    return lower(f.expression)
