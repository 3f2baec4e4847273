"""Samples of posteriors from one denoiser that is told the noise level.

A `GaussianLikelihood` says what was measured, ``y = A x + n``, with any linear operator of ODL; the
denoiser ``D(x, t)`` says what images look like. `draw_samples` runs chains of a sampler and returns
`PosteriorSamples`, with mean, standard deviation, intervals, and how often these hold the truth.

`AnnealedLangevin`, at falling noise levels such as `geometric_levels`, is a sampler of the
posterior: for Gaussian priors it is exact in the limit of many levels. `DiffPIR` and `PnPFlow`,
with an `ExactStep` or an `ExplicitStep` towards the data, are methods for good images whose spread
is not that of the posterior.

`GaussianPrior` and `StationaryPrior` are exact denoisers, with `gaussian_posterior` in closed form:
every sampler is held against it.
"""

from odl_learned.reconstruction.diffusion.diffpir import DiffPIR
from odl_learned.reconstruction.diffusion.drawing import draw_samples
from odl_learned.reconstruction.diffusion.flow import ExactStep, ExplicitStep, PnPFlow
from odl_learned.reconstruction.diffusion.gaussian import (
    GaussianPrior,
    StationaryPrior,
    gaussian_posterior,
)
from odl_learned.reconstruction.diffusion.langevin import AnnealedLangevin
from odl_learned.reconstruction.diffusion.likelihood import GaussianLikelihood
from odl_learned.reconstruction.diffusion.sampler import geometric_levels
from odl_learned.reconstruction.diffusion.samples import PosteriorSamples

__all__ = [
    "AnnealedLangevin",
    "DiffPIR",
    "ExactStep",
    "ExplicitStep",
    "GaussianLikelihood",
    "GaussianPrior",
    "PnPFlow",
    "PosteriorSamples",
    "StationaryPrior",
    "draw_samples",
    "gaussian_posterior",
    "geometric_levels",
]
