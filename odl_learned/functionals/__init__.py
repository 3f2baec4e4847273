"""Data fidelities, regularizers and constraints in closed form, as ODL functionals."""

from odl_learned.functionals.constraints import (
    BoxConstraint,
    BoxSupport,
    MagnitudeBound,
    MagnitudeSupport,
)
from odl_learned.functionals.evaluation import precise_inner, precise_value
from odl_learned.functionals.fidelity import l2_fidelity
from odl_learned.functionals.fields_of_experts import FieldsOfExperts
from odl_learned.functionals.kullback_leibler import (
    KullbackLeiblerConjugate,
    KullbackLeiblerFidelity,
)
from odl_learned.functionals.parameters import (
    Coordinate,
    Exponential,
    fix_block,
    parameter_space,
)
from odl_learned.functionals.smoothed_tv import SmoothedGroupL1, SmoothedTV
from odl_learned.functionals.wavelet_l1 import WaveletBound, WaveletDetailL1, WaveletL1

__all__ = [
    "BoxConstraint",
    "BoxSupport",
    "Coordinate",
    "Exponential",
    "FieldsOfExperts",
    "KullbackLeiblerConjugate",
    "KullbackLeiblerFidelity",
    "MagnitudeBound",
    "MagnitudeSupport",
    "SmoothedGroupL1",
    "SmoothedTV",
    "WaveletBound",
    "WaveletDetailL1",
    "WaveletL1",
    "fix_block",
    "l2_fidelity",
    "parameter_space",
    "precise_inner",
    "precise_value",
]
