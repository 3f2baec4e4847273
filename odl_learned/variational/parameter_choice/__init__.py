r"""Choosing the regularization parameter: from the noise, from the data, with certificates.

A first parameter is `first_alpha`, from the noise and the operator alone, in the right units
whatever those are; `constant_alpha` gives `AlphaBounds` of the one beyond which images are
constant. From there `by_discrepancy` searches for the parameter with which the residual is as large
as the noise, `white_noise_norm` in the norm of the data. What it proves of every parameter is a
`Trial`, what it returns a `Choice`; problems are solved by `by_primal_dual` or any function of
yours.
"""

from odl_learned.variational.parameter_choice.discrepancy_principle import (
    Choice,
    by_discrepancy,
    by_primal_dual,
)
from odl_learned.variational.parameter_choice.first_alpha import (
    AlphaBounds,
    constant_alpha,
    first_alpha,
)
from odl_learned.variational.parameter_choice.noise import white_noise_norm
from odl_learned.variational.parameter_choice.search import Trial

__all__ = [
    "AlphaBounds", "Choice", "Trial", "by_discrepancy", "by_primal_dual", "constant_alpha",
    "first_alpha", "white_noise_norm",
]  # fmt: skip
