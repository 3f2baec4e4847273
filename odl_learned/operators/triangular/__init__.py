"""Sparse triangular operators of images: precisions of which the Cholesky factor is given.

A `Neighborhood` says which pixels a row reaches: those that come later in raster order in a window
around its own. `Whitening` is the operator ``L^T``, which makes white noise of samples,
`WhiteningAdjoint` its adjoint, and `PrecisionOperator` their product ``P = L L^T``, the inverse of
a covariance, whose own inverse, `CovarianceOperator`, is two triangular solves.
"""

from odl_learned.operators.triangular.neighborhood import Neighborhood
from odl_learned.operators.triangular.precision import CovarianceOperator, PrecisionOperator
from odl_learned.operators.triangular.whitening import (
    Unwhitening,
    UnwhiteningAdjoint,
    Whitening,
    WhiteningAdjoint,
)

__all__ = [
    "CovarianceOperator",
    "Neighborhood",
    "PrecisionOperator",
    "Unwhitening",
    "UnwhiteningAdjoint",
    "Whitening",
    "WhiteningAdjoint",
]
