"""Bilevel learning: parameters of variational reconstruction, learned with certified accuracy."""

from odl_learned.learning.bilevel import sampling
from odl_learned.learning.bilevel.adaptive import maid
from odl_learned.learning.bilevel.certificates import Hypergradient
from odl_learned.learning.bilevel.checks import Differences, check_hypergradient
from odl_learned.learning.bilevel.coefficients import (
    Coefficients,
    decimal,
    decimal_alpha,
    decimal_times_alpha,
    natural,
    odds_weights,
    squared_weights,
)
from odl_learned.learning.bilevel.continuation import continuation
from odl_learned.learning.bilevel.differences import BackwardDifferences, ForwardDifferences
from odl_learned.learning.bilevel.distributed import all_reduce, share
from odl_learned.learning.bilevel.dynamic_accuracy import dynamic_accuracy
from odl_learned.learning.bilevel.energy import AutogradEnergy, FixedEnergy, ParametricEnergy
from odl_learned.learning.bilevel.energy_checks import check_energy
from odl_learned.learning.bilevel.experts import ExpertsEnergy, fixed_filters
from odl_learned.learning.bilevel.fidelities import Denoising, FourierSampling
from odl_learned.learning.bilevel.fixed_accuracy import bobyqa, fixed_accuracy
from odl_learned.learning.bilevel.gradient_based import lbfgsb
from odl_learned.learning.bilevel.hoag import cubic, exponential, hoag, quadratic
from odl_learned.learning.bilevel.hypergradient import Direct, Implicit, JacobianFree
from odl_learned.learning.bilevel.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower_solvers import (
    Accelerated,
    FixedIterations,
    GradientDescent,
    Newton,
    Restarted,
)
from odl_learned.learning.bilevel.potentials import Charbonnier, CubicAbsolute, HalfSquare
from odl_learned.learning.bilevel.primal_dual import PrimalDual
from odl_learned.learning.bilevel.problem import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.progress import Journal, Learned
from odl_learned.learning.bilevel.reflecting_filters import dct_filters
from odl_learned.learning.bilevel.residuals import ImageResiduals, PixelResiduals
from odl_learned.learning.bilevel.ridge_energy import RidgeEnergy
from odl_learned.learning.bilevel.semismooth_newton import semismooth_newton
from odl_learned.learning.bilevel.stochastic import isgd
from odl_learned.learning.bilevel.transforms import OrthogonalTransform, Separate
from odl_learned.learning.bilevel.unrolled import Piggyback, Unrolled
from odl_learned.learning.bilevel.variation_energy import VariationEnergy
from odl_learned.learning.bilevel.work import Work

__all__ = [
    "Accelerated",
    "AutogradEnergy",
    "BackwardDifferences",
    "BilevelProblem",
    "Charbonnier",
    "Coefficients",
    "CubicAbsolute",
    "Denoising",
    "Differences",
    "Direct",
    "ExpertsEnergy",
    "FixedEnergy",
    "FixedIterations",
    "ForwardDifferences",
    "FourierSampling",
    "GradientDescent",
    "HalfSquare",
    "Hypergradient",
    "ImageResiduals",
    "Implicit",
    "JacobianFree",
    "Journal",
    "Learned",
    "LowerLevel",
    "Newton",
    "OrthogonalTransform",
    "ParametricEnergy",
    "Piggyback",
    "PixelResiduals",
    "PrimalDual",
    "Restarted",
    "RidgeEnergy",
    "Separate",
    "SquaredError",
    "Unrolled",
    "VariationEnergy",
    "Work",
    "all_reduce",
    "bobyqa",
    "check_energy",
    "check_hypergradient",
    "continuation",
    "cubic",
    "decimal",
    "decimal_alpha",
    "decimal_times_alpha",
    "dct_filters",
    "dynamic_accuracy",
    "exponential",
    "fixed_accuracy",
    "fixed_filters",
    "hoag",
    "isgd",
    "lbfgsb",
    "maid",
    "natural",
    "odds_weights",
    "semismooth_newton",
    "quadratic",
    "sampling",
    "share",
    "squared_weights",
]
