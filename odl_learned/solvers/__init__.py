"""Solvers that ODL lacks: with stopping rules that mean something and certified errors."""

from odl_learned.solvers.emission import mlem, osem
from odl_learned.solvers.gradient_descent import accelerated_gradient
from odl_learned.solvers.landweber import landweber
from odl_learned.solvers.solution import DivergenceError, Solution

__all__ = ["DivergenceError", "Solution", "accelerated_gradient", "landweber", "mlem", "osem"]
