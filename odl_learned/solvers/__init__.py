"""Solvers that ODL lacks: with stopping rules that mean something and certified errors."""

from odl_learned.solvers.algebraic import RowColumnWeights, sart
from odl_learned.solvers.bregman import linearized_bregman
from odl_learned.solvers.conjugate_gradient import conjugate_gradient
from odl_learned.solvers.discrepancy import Discrepancy
from odl_learned.solvers.emission import mlem, osem
from odl_learned.solvers.fixed_point import fixed_point
from odl_learned.solvers.landweber import landweber
from odl_learned.solvers.lsqr import lsqr
from odl_learned.solvers.nonsmooth.forward_backward import Backtracking
from odl_learned.solvers.nonsmooth.primal_dual import primal_dual
from odl_learned.solvers.nonsmooth.proximal_gradient import (
    fista,
    gradient_restart,
    no_restart,
    proximal_gradient,
)
from odl_learned.solvers.nonsmooth.steps import Accelerated, AdaptiveSteps, FixedSteps, LinearRate
from odl_learned.solvers.smooth.gradient_descent import (
    accelerated_gradient,
    gradient_descent,
    restarted_gradient,
)
from odl_learned.solvers.smooth.newton import newton_krylov
from odl_learned.solvers.smooth.preconditioners import (
    circulant,
    cosine,
    neumann_laplacian,
    periodic_laplacian,
)
from odl_learned.solvers.smooth.weakly_convex import stationary_gradient
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.variation.rof import rof
from odl_learned.solvers.variation.tgv import tgv_denoising, tgv_gradient, tgv_value

__all__ = [
    "Accelerated",
    "AdaptiveSteps",
    "Backtracking",
    "Discrepancy",
    "DivergenceError",
    "FixedSteps",
    "LinearRate",
    "RowColumnWeights",
    "Solution",
    "accelerated_gradient",
    "circulant",
    "conjugate_gradient",
    "cosine",
    "fista",
    "fixed_point",
    "gradient_descent",
    "gradient_restart",
    "landweber",
    "linearized_bregman",
    "lsqr",
    "mlem",
    "neumann_laplacian",
    "newton_krylov",
    "no_restart",
    "osem",
    "periodic_laplacian",
    "primal_dual",
    "proximal_gradient",
    "restarted_gradient",
    "rof",
    "sart",
    "stationary_gradient",
    "tgv_denoising",
    "tgv_gradient",
    "tgv_value",
]
