"""Native rules for value and gradient of least squares; that of the proximal is in `proximals`."""

from odl_learned.bridge.gradients import lower_gradient
from odl_learned.bridge.lowering import lower
from odl_learned.functionals import LeastSquares


@lower.register
def _(f: LeastSquares):
    return lower(f.expression)


@lower_gradient.register
def _(f: LeastSquares):
    return lower_gradient(f.expression)
