"""What becomes of the normalization of a Gaussian whose precision depends on the latent vector.

`Marginal` is minus the logarithm of the density of data and latent vector with a diagonal
approximation, `SampledMarginal` the same by stochastic Lanczos quadrature, and `Joint` that of the
joint density of image and latent vector: docs/generative_reconstruction.md.
"""

from odl_learned.regularizers.generative.determinants.closed import Determinant, Joint, Marginal
from odl_learned.regularizers.generative.determinants.sampled import SampledMarginal

__all__ = ["Determinant", "Joint", "Marginal", "SampledMarginal"]
