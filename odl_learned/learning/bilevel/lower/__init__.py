"""The lower level of bilevel learning: reconstructions with a certified distance to the exact ones.

A `LowerLevel` belongs to a problem and a solver, and ``solve(params, accuracy)`` returns ``x_i``
with ``|x_i - x^_i|`` below the accuracy, from the nearest earlier solution. Solvers are values:
`Newton` where Hessians are cheap to precondition, `Restarted` and `Accelerated` gradient methods
elsewhere, `PrimalDual` for energies in closed form, `GradientDescent` and `FixedIterations` to
compare with.
"""

from odl_learned.learning.bilevel.lower.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower.lower_solvers import (
    Accelerated,
    FixedIterations,
    GradientDescent,
    Newton,
    Restarted,
)
from odl_learned.learning.bilevel.lower.primal_dual import PrimalDual

__all__ = [
    "Accelerated",
    "FixedIterations",
    "GradientDescent",
    "LowerLevel",
    "Newton",
    "PrimalDual",
    "Restarted",
]
