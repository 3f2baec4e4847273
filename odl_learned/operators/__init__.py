"""Forward operators and differential operators, with exact adjoints in weighted spaces."""

from odl_learned.operators.blocks import BlockInsertion, BlockProduct
from odl_learned.operators.differential import (
    SymmetrizedGradient,
    SymmetrizedGradientAdjoint,
    gradient,
)
from odl_learned.operators.fourier import SampledFourier, SampledFourierAdjoint
from odl_learned.operators.group import QuarterTurn
from odl_learned.operators.masking import mask_operator
from odl_learned.operators.multicoil import MultiCoilFourier, MultiCoilFourierAdjoint
from odl_learned.operators.multiples import FunctionalMultiple, PointwiseExponential
from odl_learned.operators.norms import exact_norm, normalized, operator_norm, random_element
from odl_learned.operators.ray import fbp, parallel_ray_transform, require_even_angles

__all__ = [
    "BlockInsertion",
    "BlockProduct",
    "FunctionalMultiple",
    "MultiCoilFourier",
    "MultiCoilFourierAdjoint",
    "PointwiseExponential",
    "QuarterTurn",
    "SampledFourier",
    "SampledFourierAdjoint",
    "SymmetrizedGradient",
    "SymmetrizedGradientAdjoint",
    "exact_norm",
    "fbp",
    "gradient",
    "mask_operator",
    "normalized",
    "operator_norm",
    "parallel_ray_transform",
    "random_element",
    "require_even_angles",
]
