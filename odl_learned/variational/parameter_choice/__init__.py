r"""Choosing the regularization parameter: from the noise, from the data, with certificates.

A first parameter is `first_alpha`, from the noise and the operator alone, in the right units
whatever those are; `constant_alpha` gives `AlphaBounds` of the one beyond which total variation
makes images constant, `zero_alpha` the one beyond which wavelets make them zero. From there
`by_discrepancy` searches for the parameter with which the residual is as large as the noise,
`white_noise_norm` in the norm of the data; `by_unbiased_risk` for the least error of the data by
Stein's estimate, and `by_cross_validation` for that without knowing the noise. Each returns a
`Choice` with what it knows of every parameter, a `Trial` or a `Fit`; problems are solved by
`by_primal_dual` or any function of yours.
"""

from odl_learned.variational.parameter_choice.discrepancy_principle import by_discrepancy
from odl_learned.variational.parameter_choice.first_alpha import first_alpha
from odl_learned.variational.parameter_choice.fits import Fit
from odl_learned.variational.parameter_choice.limits import (
    AlphaBounds,
    constant_alpha,
    zero_alpha,
)
from odl_learned.variational.parameter_choice.noise import white_noise_norm
from odl_learned.variational.parameter_choice.risk import by_cross_validation, by_unbiased_risk
from odl_learned.variational.parameter_choice.search import Trial
from odl_learned.variational.parameter_choice.solving import Choice, by_primal_dual

__all__ = [
    "AlphaBounds", "Choice", "Fit", "Trial", "by_cross_validation", "by_discrepancy",
    "by_primal_dual", "by_unbiased_risk", "constant_alpha", "first_alpha", "white_noise_norm",
    "zero_alpha",
]  # fmt: skip
