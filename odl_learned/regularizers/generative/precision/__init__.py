"""Gaussian models of images with a sparse factor of the precision, one for each of a batch.

`Precision` is the object: whitening, log density, samples, all differentiable. `NoiseFloor` bounds
its diagonal, smoothly, so that flat regions cannot make it infinite. `most_likely_precision` fits
one to residuals in closed form, `white_precision` a multiple of the identity. `marginal_variances`,
`covariances` and `correlations` are exact maps of what the model believes. `proximal` and
`posterior_mean` solve for images, preconditioned by `Shifted`, `Split` or `Jacobi`, and
`GaussianPosterior` is what data leave uncertain: samples, variances, correlations.
"""

from odl_learned.networks.generative.noise_floor import NoiseFloor
from odl_learned.regularizers.generative.precision.closed_form import (
    most_likely_precision,
    white_precision,
)
from odl_learned.regularizers.generative.precision.marginals import (
    correlations,
    covariances,
    marginal_variances,
)
from odl_learned.regularizers.generative.precision.posterior import GaussianPosterior
from odl_learned.regularizers.generative.precision.precision import Precision
from odl_learned.regularizers.generative.precision.preconditioners import (
    Jacobi,
    Shifted,
    Split,
)
from odl_learned.regularizers.generative.precision.systems import posterior_mean, proximal

__all__ = [
    "GaussianPosterior",
    "Jacobi",
    "NoiseFloor",
    "Precision",
    "Shifted",
    "Split",
    "correlations",
    "covariances",
    "marginal_variances",
    "most_likely_precision",
    "posterior_mean",
    "proximal",
    "white_precision",
]
