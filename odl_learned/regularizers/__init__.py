"""Learned regularizers as ODL functionals, and certificates of what they are made of.

`Ridge` is the torch module that learns, convex or weakly convex: `ComposedFilters`, and potentials
`Huber`, `LogCosh` or `networks.ConvexSpline`. `RidgeRegularizer` is it on a space, for
`odl.solvers` and ours; `denoising_energy` is it in a parametric energy, for `learning.bilevel`.

`InputConvex` is a network that is convex for all parameters, `input_convex_functional` it on a
space. `GradientStepDenoiser` is a denoiser that has a functional, `gradient_step_functional`.
Regularization by denoising is `red_operator` for every network, and `red_functional` for those
that have one.

`generative` holds models of images by what a generator makes and a deviation from it.

`certificates` says whether a network is what it is claimed to be: certified with a bound, refuted
with a witness, or unknown.
"""

from odl_learned.regularizers import (
    certificates,
    generative,
    ridge_certificates,  # noqa: F401  (importing registers its rules)
)
from odl_learned.regularizers.gradient_step import (
    GradientStepDenoiser,
    gradient_step_functional,
)
from odl_learned.regularizers.input_convex import InputConvex, input_convex_functional
from odl_learned.regularizers.red import red_functional, red_operator
from odl_learned.regularizers.ridge import Ridge
from odl_learned.regularizers.ridge_denoising import denoising_energy, with_params
from odl_learned.regularizers.ridge_filters import ComposedFilters
from odl_learned.regularizers.ridge_functional import RidgeRegularizer
from odl_learned.regularizers.ridge_potentials import Huber, LogCosh

__all__ = [
    "ComposedFilters",
    "GradientStepDenoiser",
    "Huber",
    "InputConvex",
    "LogCosh",
    "Ridge",
    "RidgeRegularizer",
    "certificates",
    "denoising_energy",
    "generative",
    "gradient_step_functional",
    "input_convex_functional",
    "red_functional",
    "red_operator",
    "with_params",
]
