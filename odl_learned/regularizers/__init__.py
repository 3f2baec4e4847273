"""Learned regularizers as ODL functionals, and certificates of what they are made of.

`Ridge` is the torch module that learns, convex or weakly convex: `ComposedFilters`, and potentials
`Huber`, `LogCosh` or `networks.ConvexSpline`. `RidgeRegularizer` is it on a space, for
`odl.solvers` and ours; `denoising_energy` is it in a parametric energy, for `learning.bilevel`.

`InputConvex` is a network that is convex for all parameters, `TotalDeepVariation` a deep one that
is smooth and nothing else, `Sum` a sum of regularizers; `network_functional` puts them on a space.
`GradientStepDenoiser` is a denoiser that has a functional, `gradient_step_functional`.
Regularization by denoising is `red_operator` for every network, and `red_functional` for those
that have one.

`generative` holds models of images by what a generator makes and a deviation from it.

`certificates` says whether a network is what it is claimed to be: certified with a bound, refuted
with a witness, or unknown.
"""

from odl_learned.regularizers import certificates, generative
from odl_learned.regularizers.gradient_step import (
    GradientStepDenoiser,
    gradient_step_functional,
)
from odl_learned.regularizers.input_convex import InputConvex
from odl_learned.regularizers.network_functional import network_functional
from odl_learned.regularizers.red import red_functional, red_operator
from odl_learned.regularizers.ridges.denoising import denoising_energy, with_params
from odl_learned.regularizers.ridges.filters import ComposedFilters
from odl_learned.regularizers.ridges.functional import RidgeRegularizer
from odl_learned.regularizers.ridges.potentials import Huber, LogCosh
from odl_learned.regularizers.ridges.ridge import Ridge
from odl_learned.regularizers.sums import Sum
from odl_learned.regularizers.total_deep_variation import TotalDeepVariation

__all__ = [
    "ComposedFilters",
    "GradientStepDenoiser",
    "Huber",
    "InputConvex",
    "LogCosh",
    "Ridge",
    "RidgeRegularizer",
    "Sum",
    "TotalDeepVariation",
    "certificates",
    "denoising_energy",
    "generative",
    "gradient_step_functional",
    "network_functional",
    "red_functional",
    "red_operator",
    "with_params",
]
