r"""Annealed Langevin dynamics, preconditioned by the data term.

Images with noise t have the density ``p_t = p * N(0, t^2)``, whose score the denoiser knows,
``(D(x, t) - x) / t^2 = grad log p_t(x)`` (Tweedie). At every level the target is
``q_t(x) ~ p_t(x) p(y | x)``. Langevin's equation with the preconditioner
``P = (A^T A / s^2 + I / t^2)^-1`` is

    dx = P ((D(x) - x) / t^2 + A^T (y - A x) / s^2) d tau + (2 P)^{1/2} dW
       = (nearest(D(x)) - x) d tau + (2 P)^{1/2} dW ,

since ``P (D / t^2 + A^T y / s^2)`` is the image ``nearest(D)`` that minimizes the data term and the
distance to D, and ``P (1 / t^2 + A^T A / s^2) x = x``. Time steps of length one in the scheme of
Leimkuhler and Matthews, with standard normal e and e',

    x' = nearest(D(x)) + P^{1/2} (e + e') / sqrt(2) ,      then e = e',

are stable as long as the Jacobian of D lies between 0 and 1. Where everything is linear,
``x' = (1 - B) x + b + c (e + e')`` with ``c^2 = P / 2`` and ``B = P Q``, Q the precision of the
target. Then ``x = w + c e`` with ``w' = (1 - B) w + b + c (2 - B) e``, and for commuting factors

    Var x = c^2 (2 - B)^2 / (1 - (1 - B)^2) + c^2 = c^2 ((2 - B) / B + 1) = 2 c^2 / B = Q^-1 :

the variance is exact for steps of length one, while that of Euler is ``Q^-1 / (1 - B / 2)``, twice
as large where data decide. In general the error is of second order.

Directions that data do not see move by ``B = t^2 / (v + t^2)`` for the variance v of the prior,
slowly at low levels. So between levels images follow the probability flow
``dx / dt = (x - D(x)) / t``, which takes p_t to the next one; what it spoils, where data decide,
the next step of Langevin puts right.
"""

import dataclasses

import torch
from torch import nn

from odl_learned.reconstruction.diffusion.likelihood import GaussianLikelihood
from odl_learned.reconstruction.diffusion.sampler import Noise, Sampler, flow_step, require_levels
from odl_learned.validation import require_count


@dataclasses.dataclass(frozen=True)
class AnnealedLangevin(Sampler):
    r"""Samples of the posterior by Langevin's equation at falling noise levels.

    .. math:: x \leftarrow \arg\min_u \frac{|A u - y - s e_1|^2}{2 s^2}
              + \frac{|u - D(x, t) - t e_2|^2}{2 t^2}

    with standard normal ``e_1, e_2``, half of whose variance the next step uses again, and, between
    levels, steps of the probability flow of the denoiser. At the end the image is denoised once.

    At a level t it samples ``p_t(x) p(y | x)``, with the density p_t of images with noise t. For a
    Gaussian prior this is exact, if t falls slowly; what is left is that of the last level: a prior
    whose covariance C is ``C + t^2``, and the last denoising, which takes
    ``t^2 C / (C + t^2)`` from it again where data are silent. For other priors, errors of the time
    steps are of second order. A denoiser that is none of a density has none of these properties.

    Parameters
    ----------
    levels : tuple of float
        t, falling, such as ``geometric_levels(1.0, 0.02, 100)``.
    steps : int, optional
        Steps of Langevin at each level.

    Raises
    ------
    TypeError, ValueError
        If the levels are none.

    Source: Song, Ermon, Generative modeling by estimating gradients of the data distribution
    (2019); predictor and corrector: Song et al., Score-based generative modeling through stochastic
    differential equations (2021), algorithm 1; Leimkuhler, Matthews, Rational construction of
    stochastic numerical methods for molecular sampling (2013); perturb and optimize: Papandreou,
    Yuille, Gaussian sampling by local perturbations (2010).
    """

    levels: tuple[float, ...]
    steps: int = 1

    def __post_init__(self):
        object.__setattr__(self, "levels", require_levels("levels", self.levels))
        require_count("steps", self.steps, 1)

    def __len__(self):
        return len(self.levels)

    def start(self, likelihood: GaussianLikelihood, noise: Noise) -> tuple[torch.Tensor, ...]:
        x = self.levels[0] * noise.like(likelihood.back)
        return x, noise.like(x), noise.like(likelihood.data)

    def step(
        self,
        k: int,
        state: tuple[torch.Tensor, ...],
        denoiser: nn.Module,
        likelihood: GaussianLikelihood,
        noise: Noise,
    ) -> tuple[torch.Tensor, ...]:
        x, image_noise, data_noise = state
        t = self.levels[k]
        if k:
            before = self.levels[k - 1]
            x = flow_step(x, denoiser(x, before), before, t)
        for _ in range(self.steps):
            image_next, data_next = noise.like(x), noise.like(likelihood.data)
            z = denoiser(x, t) + t * 0.5**0.5 * (image_noise + image_next)
            x = likelihood.nearest(z, t, 0.5**0.5 * (data_noise + data_next))
            image_noise, data_noise = image_next, data_next
        if k == len(self.levels) - 1:
            x = denoiser(x, t)
        return x, image_noise, data_noise
