"""DiffPIR: a denoiser and the proximal of the data term in turns, with noise between."""

import dataclasses

import torch
from torch import nn

from odl_learned.reconstruction.diffusion.likelihood import GaussianLikelihood
from odl_learned.reconstruction.diffusion.sampler import Noise, Sampler, require_levels
from odl_learned.validation import is_finite_number, require_positive, shown


@dataclasses.dataclass(frozen=True)
class DiffPIR(Sampler):
    r"""Denoise, come near to the data, and add noise of the next level.

    .. math:: \hat x = \arg\min_u \frac{|A u - y|^2}{2 s^2} + \lambda \frac{|u - D(x, t)|^2}{2 t^2},
              \qquad x \leftarrow \hat x + t' \Big( \sqrt{1 - \zeta} \, \frac{x - \hat x}{t}
              + \sqrt{\zeta} \, e \Big)

    with the next level t' and standard normal e; the last image is the last ``\hat x``, denoised.
    It is *no* sampler of the posterior, also not with many levels: its images spread too little
    (`docs/diffusion.md` has numbers for Gaussian priors). Use it for good images in few steps, and
    `AnnealedLangevin` for their uncertainty.

    Parameters
    ----------
    levels : tuple of float
        t, falling.
    strength : float, optional
        ``lambda``, positive: larger ones trust the denoiser more.
    zeta : float, optional
        From 0, where only the start is random, to 1, where all noise is drawn anew.

    Raises
    ------
    TypeError, ValueError
        If the levels are none, or a number is out of bounds.

    Source: Zhu et al., Denoising diffusion models for plug-and-play image restoration (2023),
    algorithm 1, with noise that is not scaled (``t = sigma_t`` and ``rho_t = lambda s^2 / t^2``)
    and the exact proximal.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned.reconstruction import diffusion
    >>> A = odl.IdentityOperator(odl.rn(2))
    >>> prior = diffusion.GaussianPrior(torch.zeros(2).double(), torch.eye(2).double())
    >>> y = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    >>> likelihood = diffusion.GaussianLikelihood(A, y, noise_level=0.1)
    >>> sampler = diffusion.DiffPIR(diffusion.geometric_levels(10.0, 0.01, 20))
    >>> seed = torch.Generator().manual_seed(0)
    >>> samples = diffusion.draw_samples(sampler, prior, likelihood, 200, seed)
    >>> exact = diffusion.gaussian_posterior(prior, likelihood)
    >>> print(f"{samples.mean[0, 0]:.1f} {exact.mean[0, 0]:.1f}")
    2.0 2.0
    """

    levels: tuple[float, ...]
    strength: float = 1.0
    zeta: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "levels", require_levels("levels", self.levels))
        require_positive("strength", self.strength)
        if not (is_finite_number(self.zeta) and 0 <= self.zeta <= 1):
            raise ValueError(f"zeta is {shown(self.zeta)}, expected a number from 0 to 1.")

    def __len__(self):
        return len(self.levels)

    def start(self, likelihood: GaussianLikelihood, noise: Noise) -> tuple[torch.Tensor, ...]:
        return (self.levels[0] * noise.like(likelihood.back),)

    def step(
        self,
        k: int,
        state: tuple[torch.Tensor, ...],
        denoiser: nn.Module,
        likelihood: GaussianLikelihood,
        noise: Noise,
    ) -> tuple[torch.Tensor, ...]:
        (x,), t = state, self.levels[k]
        clean = likelihood.nearest(denoiser(x, t), t / self.strength**0.5)
        if k == len(self.levels) - 1:
            return (denoiser(clean, t),)
        kept, drawn = (1 - self.zeta) ** 0.5, self.zeta**0.5
        direction = kept * (x - clean) / t + drawn * noise.like(x)
        return (clean + self.levels[k + 1] * direction,)
