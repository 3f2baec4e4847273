"""Bilevel learning: parameters of variational reconstruction, learned with certified accuracy.

`learn` goes from an energy in ODL and training pairs to learned parameters, and back to an ODL
functional. What it is made of is for those who want another method or another loss:

A `BilevelProblem` is an energy (`odl_learned.energies`), training pairs, a loss of the upper level,
`SquaredError`, a penalty and bounds of the parameters. Its reconstructions are the `lower` level,
solved to an accuracy that is proven; `hypergradients` are derivatives of the upper level with
bounds of their errors; methods of `first_order` use them, methods of `derivative_free` do without.
Each returns a `Learned`, and a `Run` says where its steps are kept, from which it continues.
`continuation` goes through a sequence of problems, `distributed` shares one among processes,
`sampling` learns what a magnetic resonance scanner measures.
"""

from odl_learned.learning.bilevel import (
    derivative_free,
    distributed,
    first_order,
    hypergradients,
    lower,
    sampling,
)
from odl_learned.learning.bilevel.continuation import continuation
from odl_learned.learning.bilevel.learned_energy import learn
from odl_learned.learning.bilevel.loss import SquaredError
from odl_learned.learning.bilevel.problem import BilevelProblem
from odl_learned.learning.bilevel.progress import Learned
from odl_learned.learning.bilevel.run import Run

__all__ = [
    "BilevelProblem",
    "Learned",
    "Run",
    "SquaredError",
    "continuation",
    "derivative_free",
    "distributed",
    "first_order",
    "hypergradients",
    "learn",
    "lower",
    "sampling",
]
