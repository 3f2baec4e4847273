"""Generative regularizers: images as what a generator makes, and a deviation from it.

`GenerativePrior` is a decoder with a kind of deviation from its images: `WhiteDeviations`,
`SparseDeviations`, or `LearnedDeviations` with the covariance that a network has learned;
`prior_of` makes it of a trained `networks.generative.VariationalAutoencoder`.

`variable_projection` reconstructs from `Measurements`, a linear operator with data and noise level:
latent vectors by descent, with the best images for them. `alternating` moves images and latent
vectors in turn. Neither ever increases the objective. Their determinant is `Marginal`,
`SampledMarginal` or `Joint`, see docs/generative_reconstruction.md. `range_restricted` admits no
deviation, and `inverse_gan` adapts the decoder in place of it. They start from `encoder_start` or
`prior_samples`, and `best_of` takes the best of several answers. `image_posterior` is what data
leave uncertain of an image.

`joint_functional` and `reduced_functional` are the regularizer as an ODL functional.

`precision` is the model of the deviation: a Gaussian with a sparse factor of its precision for
every image, which costs a few multiply-adds per pixel.
"""

from odl_learned.regularizers.generative import precision
from odl_learned.regularizers.generative.alternating import alternating
from odl_learned.regularizers.generative.determinants import Joint, Marginal, SampledMarginal
from odl_learned.regularizers.generative.deviations import (
    LearnedDeviations,
    SparseDeviations,
    WhiteDeviations,
)
from odl_learned.regularizers.generative.elimination import variable_projection
from odl_learned.regularizers.generative.functionals import joint_functional, reduced_functional
from odl_learned.regularizers.generative.hard import inverse_gan, range_restricted
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.regularizers.generative.posterior import image_posterior
from odl_learned.regularizers.generative.prior import GenerativePrior, prior_of
from odl_learned.regularizers.generative.reconstruction import Reconstruction
from odl_learned.regularizers.generative.starts import best_of, encoder_start, prior_samples

__all__ = [
    "GenerativePrior",
    "Joint",
    "LearnedDeviations",
    "Marginal",
    "Measurements",
    "Reconstruction",
    "SampledMarginal",
    "SparseDeviations",
    "WhiteDeviations",
    "alternating",
    "best_of",
    "encoder_start",
    "image_posterior",
    "inverse_gan",
    "joint_functional",
    "precision",
    "prior_of",
    "prior_samples",
    "range_restricted",
    "reduced_functional",
    "variable_projection",
]
