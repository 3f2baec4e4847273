"""Forward operators and differential operators, with exact adjoints in weighted spaces."""

from odl_learned.operators.blocks import BlockInsertion, BlockProduct
from odl_learned.operators.convolution import (
    PeriodicConvolution,
    ReflectingConvolution,
    ZeroConvolution,
    gaussian_kernel,
)
from odl_learned.operators.differential import (
    SymmetrizedGradient,
    SymmetrizedGradientAdjoint,
    gradient,
)
from odl_learned.operators.extensions import ReflectedExtension, ReflectedExtensionAdjoint
from odl_learned.operators.filter_bank import FilterBank, FilterBankAdjoint
from odl_learned.operators.group import QuarterTurn, Reflection
from odl_learned.operators.masking import mask_operator
from odl_learned.operators.multiples import FunctionalMultiple, PointwiseExponential
from odl_learned.operators.norms.exact_norms import exact_norm
from odl_learned.operators.norms.operator_norms import normalized, operator_norm
from odl_learned.operators.norms.random_elements import random_element
from odl_learned.operators.real_parts import real_parts
from odl_learned.operators.restricted import kept_rows, kept_views
from odl_learned.operators.tomography.backprojection import fbp
from odl_learned.operators.tomography.cone.circles import cone_beam_ray_transform
from odl_learned.operators.tomography.cone.scans import scanned_cone_beam
from odl_learned.operators.tomography.divergent_rays import fan_beam_ray_transform
from odl_learned.operators.tomography.emission import (
    attenuation_factors,
    emission_operator,
    view_subsets,
)
from odl_learned.operators.tomography.ray import parallel_ray_transform, require_even_angles
from odl_learned.operators.tomography.scans import scanned_fan_beam, scanned_parallel_beam
from odl_learned.operators.tomography.symmetrized import (
    SinogramTurn,
    SymmetrizedRayTransform,
    SymmetrizedRayTransformAdjoint,
)
from odl_learned.operators.transforms.fourier import SampledFourier, SampledFourierAdjoint
from odl_learned.operators.transforms.motions import Rotation, RotoTranslation, Shear, Translation
from odl_learned.operators.transforms.multicoil import MultiCoilFourier, MultiCoilFourierAdjoint
from odl_learned.operators.transforms.root_sum_of_squares import (
    RootSumOfSquares,
    root_sum_of_squares,
)
from odl_learned.operators.transforms.wavelet import OrthogonalWavelet, OrthogonalWaveletAdjoint
from odl_learned.operators.triangular import (
    CovarianceOperator,
    PrecisionOperator,
    Unwhitening,
    UnwhiteningAdjoint,
    Whitening,
    WhiteningAdjoint,
)

__all__ = [
    "BlockInsertion",
    "BlockProduct",
    "CovarianceOperator",
    "FilterBank",
    "FilterBankAdjoint",
    "FunctionalMultiple",
    "MultiCoilFourier",
    "MultiCoilFourierAdjoint",
    "OrthogonalWavelet",
    "OrthogonalWaveletAdjoint",
    "PeriodicConvolution",
    "PointwiseExponential",
    "PrecisionOperator",
    "QuarterTurn",
    "ReflectedExtension",
    "ReflectedExtensionAdjoint",
    "ReflectingConvolution",
    "Reflection",
    "RootSumOfSquares",
    "Rotation",
    "RotoTranslation",
    "SampledFourier",
    "SampledFourierAdjoint",
    "Shear",
    "SinogramTurn",
    "SymmetrizedGradient",
    "SymmetrizedGradientAdjoint",
    "SymmetrizedRayTransform",
    "SymmetrizedRayTransformAdjoint",
    "Translation",
    "Unwhitening",
    "UnwhiteningAdjoint",
    "Whitening",
    "WhiteningAdjoint",
    "ZeroConvolution",
    "attenuation_factors",
    "cone_beam_ray_transform",
    "emission_operator",
    "exact_norm",
    "fan_beam_ray_transform",
    "fbp",
    "gaussian_kernel",
    "gradient",
    "mask_operator",
    "kept_rows",
    "kept_views",
    "normalized",
    "operator_norm",
    "parallel_ray_transform",
    "random_element",
    "real_parts",
    "require_even_angles",
    "root_sum_of_squares",
    "scanned_cone_beam",
    "scanned_fan_beam",
    "scanned_parallel_beam",
    "view_subsets",
]
