"""Bilevel learning: parameters of variational reconstruction, learned with certified accuracy.

A `BilevelProblem` is an energy (`odl_learned.energies`), training pairs, a loss of the upper level,
`SquaredError`, a penalty and bounds of the parameters. Its reconstructions are the `lower` level,
solved to an accuracy that is proven; `hypergradients` are derivatives of the upper level with
bounds of their errors; methods of `first_order` use them, methods of `derivative_free` do without.
Each returns a `Learned`, and a `Run` says where its `Journal` is kept, from which it continues;
what it costs is `Work`. `continuation` goes through a sequence of problems, `distributed` shares
one among processes, `sampling` learns what a magnetic resonance scanner measures.
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
from odl_learned.learning.bilevel.loss import SquaredError
from odl_learned.learning.bilevel.problem import BilevelProblem
from odl_learned.learning.bilevel.progress import Journal, Learned
from odl_learned.learning.bilevel.run import Run
from odl_learned.learning.bilevel.work import Work

__all__ = [
    "BilevelProblem",
    "Journal",
    "Learned",
    "Run",
    "SquaredError",
    "Work",
    "continuation",
    "derivative_free",
    "distributed",
    "first_order",
    "hypergradients",
    "lower",
    "sampling",
]
