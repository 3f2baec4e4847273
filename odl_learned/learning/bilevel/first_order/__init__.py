"""Bilevel learning by hypergradients of certified accuracy.

`lbfgsb` is the one to begin with: projected L-BFGS, which accepts a step only if the exact upper
level certainly decreases. `maid` chooses accuracies and steps adaptively, `hoag` follows a schedule
of accuracies (`schedules`), `isgd` takes mini-batches of pairs, and `semismooth_newton` has second
derivatives, for few parameters.
"""

from odl_learned.learning.bilevel.first_order import schedules
from odl_learned.learning.bilevel.first_order.adaptive import maid
from odl_learned.learning.bilevel.first_order.gradient_based import lbfgsb
from odl_learned.learning.bilevel.first_order.hoag import hoag
from odl_learned.learning.bilevel.first_order.semismooth_newton import semismooth_newton
from odl_learned.learning.bilevel.first_order.stochastic import isgd

__all__ = [
    "hoag",
    "isgd",
    "lbfgsb",
    "maid",
    "schedules",
    "semismooth_newton",
]
