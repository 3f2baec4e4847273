"""Gaussian models of images with a sparse factor of the precision, one for each of a batch.

`Precision` is the object: whitening, log density, samples, all differentiable. `NoiseFloor` bounds
its diagonal, smoothly, so that flat regions cannot make it infinite.
"""

from odl_learned.regularizers.generative.precision.bounds import NoiseFloor
from odl_learned.regularizers.generative.precision.precision import Precision

__all__ = ["NoiseFloor", "Precision"]
