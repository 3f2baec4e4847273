"""Data fidelities, regularizers and constraints in closed form, as ODL functionals."""

from odl_learned.functionals.constraints import (
    BoxConstraint,
    BoxSupport,
    MagnitudeBound,
    MagnitudeSupport,
)
from odl_learned.functionals.evaluation import precise_inner, precise_value
from odl_learned.functionals.fidelities.kullback_leibler import (
    KullbackLeiblerConjugate,
    KullbackLeiblerFidelity,
)
from odl_learned.functionals.fidelities.l2 import l2_fidelity
from odl_learned.functionals.fidelities.least_squares import LeastSquares
from odl_learned.functionals.fidelities.poisson_likelihood import PoissonLikelihood
from odl_learned.functionals.fields_of_experts import FieldsOfExperts
from odl_learned.functionals.gaussian import gaussian_energy
from odl_learned.functionals.parameters import (
    Coordinate,
    Exponential,
    arguments,
    fix_block,
    parameter_space,
)
from odl_learned.functionals.real_parts import OnRealParts
from odl_learned.functionals.variation.h1_seminorm import H1Seminorm, H1SeminormConjugate
from odl_learned.functionals.variation.smoothed_length import smoothed_length
from odl_learned.functionals.variation.smoothed_tv import SmoothedGroupL1, SmoothedTV
from odl_learned.functionals.variation.total_generalized_variation import TotalGeneralizedVariation
from odl_learned.functionals.variation.total_variation import TotalVariation
from odl_learned.functionals.wavelet_l1 import WaveletBound, WaveletDetailL1, WaveletL1
from odl_learned.functionals.weighted_l1 import weighted_l1

__all__ = [
    "BoxConstraint",
    "BoxSupport",
    "Coordinate",
    "Exponential",
    "FieldsOfExperts",
    "H1Seminorm",
    "H1SeminormConjugate",
    "KullbackLeiblerConjugate",
    "KullbackLeiblerFidelity",
    "LeastSquares",
    "MagnitudeBound",
    "MagnitudeSupport",
    "OnRealParts",
    "PoissonLikelihood",
    "SmoothedGroupL1",
    "SmoothedTV",
    "TotalGeneralizedVariation",
    "TotalVariation",
    "WaveletBound",
    "WaveletDetailL1",
    "WaveletL1",
    "arguments",
    "fix_block",
    "gaussian_energy",
    "l2_fidelity",
    "parameter_space",
    "precise_inner",
    "precise_value",
    "smoothed_length",
    "weighted_l1",
]
