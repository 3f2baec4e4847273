"""Valid calls of posterior sampling."""

import odl
import torch

from odl_learned.reconstruction import diffusion

V = odl.rn(4)
LIKELIHOOD = diffusion.GaussianLikelihood(
    odl.IdentityOperator(V), torch.ones(1, 4, dtype=torch.float64), 0.1)
LEVELS = (1.0, 0.5)


def prior():
    return diffusion.StationaryPrior(torch.zeros(4).double(), torch.ones(4).double())


DIFFUSION = {
    "AnnealedLangevin": (diffusion.AnnealedLangevin, lambda: dict(levels=LEVELS, steps=1)),
    "DiffPIR": (diffusion.DiffPIR, lambda: dict(levels=LEVELS, strength=1.0, zeta=0.5)),
    "ExactStep": (diffusion.ExactStep, lambda: dict(strength=1.0)),
    "ExplicitStep": (diffusion.ExplicitStep, lambda: dict(size=1.0, exponent=0.5)),
    "GaussianLikelihood": (diffusion.GaussianLikelihood, lambda: dict(
        forward_op=odl.IdentityOperator(V), data=torch.ones(2, 4).double(), noise_level=0.1,
        accuracy=1e-3, maxiter=100)),
    "GaussianPrior": (diffusion.GaussianPrior, lambda: dict(
        mean=torch.zeros(4).double(), covariance=torch.eye(4).double())),
    "PnPFlow": (diffusion.PnPFlow, lambda: dict(
        times=(0.5, 0.8), data_step=diffusion.ExactStep(), average=1)),
    "PosteriorSamples": (diffusion.PosteriorSamples, lambda: dict(images=torch.ones(3, 2, 4))),
    "StationaryPrior": (diffusion.StationaryPrior, lambda: dict(
        mean=torch.zeros(4).double(), spectrum=torch.ones(4).double())),
    "draw_samples": (diffusion.draw_samples, lambda: dict(
        sampler=diffusion.DiffPIR(LEVELS), denoiser=prior(), likelihood=LIKELIHOOD, count=2,
        generator=torch.Generator(), batch_size=2, checkpoint=None, progress=False)),
    "gaussian_posterior": (diffusion.gaussian_posterior, lambda: dict(
        prior=prior(), likelihood=LIKELIHOOD)),
    "geometric_levels": (diffusion.geometric_levels, lambda: dict(
        largest=1.0, smallest=0.1, count=3)),
    "a posterior interval": (diffusion.PosteriorSamples(torch.rand(9, 1, 4)).interval,
                             lambda: dict(level=0.5)),
    "a posterior coverage": (diffusion.PosteriorSamples(torch.rand(9, 1, 4)).coverage,
                             lambda: dict(truth=torch.rand(1, 4), level=0.5)),
}  # fmt: skip

DIFFUSION = {f"reconstruction.{name}": call for name, call in DIFFUSION.items()}
