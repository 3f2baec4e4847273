"""Gaussian models of images with a sparse factor of the precision, one for each of a batch.

`Precision` is the object: whitening, log density, samples, all differentiable. `NoiseFloor` bounds
its diagonal, smoothly, so that flat regions cannot make it infinite. `most_likely_precision` fits
one to residuals in closed form, `white_precision` a multiple of the identity. `marginal_variances`,
`covariances` and `correlations` are exact maps of what the model believes.
"""

from odl_learned.regularizers.generative.precision.bounds import NoiseFloor
from odl_learned.regularizers.generative.precision.closed_form import (
    most_likely_precision,
    white_precision,
)
from odl_learned.regularizers.generative.precision.marginals import (
    correlations,
    covariances,
    marginal_variances,
)
from odl_learned.regularizers.generative.precision.precision import Precision

__all__ = [
    "NoiseFloor",
    "Precision",
    "correlations",
    "covariances",
    "marginal_variances",
    "most_likely_precision",
    "white_precision",
]
