"""Derivatives of the upper level through the lower level, with bounds of their errors.

A mode is called as ``mode(lower, params, accuracy, adjoint_accuracy)`` and returns a
`Hypergradient`: value and gradient, each with a bound (``docs/hypergradient_bound.md``). `Implicit`
is the one to begin with; `Direct` has dense Hessians, `Piggyback` iterates reconstruction and
adjoint together, `Unrolled` differentiates a number of iterations, `JacobianFree` has no bound.
`check_hypergradient` compares a mode with difference quotients and returns the `Differences`.
"""

from odl_learned.learning.bilevel.hypergradients.certificates import Hypergradient
from odl_learned.learning.bilevel.hypergradients.checks import Differences, check_hypergradient
from odl_learned.learning.bilevel.hypergradients.hypergradient import Direct, Implicit, JacobianFree
from odl_learned.learning.bilevel.hypergradients.unrolled import Piggyback, Unrolled

__all__ = [
    "Differences",
    "Direct",
    "Hypergradient",
    "Implicit",
    "JacobianFree",
    "Piggyback",
    "Unrolled",
    "check_hypergradient",
]
