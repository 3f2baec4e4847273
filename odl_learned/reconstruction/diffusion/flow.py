r"""PnP-Flow, which needs no network of its own: a denoiser knows the velocity of the flow.

On the straight paths ``x_t = (1 - t) e + t x`` from noise e to images x the velocity is
``v(x_t, t) = E[x - e | x_t]``. Since ``e = (x_t - t x) / (1 - t)``, it is
``(E[x | x_t] - x_t) / (1 - t)``, and ``x_t / t = x + (1 - t) / t e`` is an image with noise of the
level ``(1 - t) / t``, so that

    E[x | x_t] = D(x_t / t, (1 - t) / t) = x_t + (1 - t) v(x_t, t) .
"""

import abc
import dataclasses

import torch
from torch import nn

from odl_learned.reconstruction.diffusion.likelihood import GaussianLikelihood
from odl_learned.reconstruction.diffusion.sampler import Noise, Sampler, require_levels
from odl_learned.validation import require_count, require_nonnegative, require_positive, shown


@dataclasses.dataclass(frozen=True)
class DataStep(abc.ABC):
    """Abstract: how images come nearer to the data; `ExactStep` or `ExplicitStep`."""

    @abc.abstractmethod
    def __call__(
        self, x: torch.Tensor, t: float, likelihood: GaussianLikelihood
    ) -> torch.Tensor:
        """Return images that are nearer to the data, at time t."""


@dataclasses.dataclass(frozen=True)
class ExactStep(DataStep):
    r"""The proximal of the data term, by conjugate gradients, for the noise of the time.

    .. math:: \arg\min_u \frac{|A u - y|^2}{2 s^2} + \lambda \frac{t^2 |u - x|^2}{2 (1 - t)^2}

    Parameters
    ----------
    strength : float, optional
        ``lambda``, positive: larger ones trust the denoiser more.

    Raises
    ------
    ValueError
        If it is not positive.
    """

    strength: float = 1.0

    def __post_init__(self):
        require_positive("strength", self.strength)

    def __call__(self, x: torch.Tensor, t: float, likelihood: GaussianLikelihood) -> torch.Tensor:
        return likelihood.nearest(x, (1 - t) / t / self.strength**0.5)


@dataclasses.dataclass(frozen=True)
class ExplicitStep(DataStep):
    r"""A gradient step of the data term, ``x - c (1 - t)^a A^T (A x - y)``, as published.

    On operators with a wide range of singular values, as in tomography, one step for each denoising
    is far too little; see `docs/diffusion.md`.

    Parameters
    ----------
    size : float
        c, positive, below ``2 / |A|^2`` in the entries.
    exponent : float, optional
        a, nonnegative.

    Raises
    ------
    ValueError
        If a number is out of bounds.
    """

    size: float
    exponent: float = 0.5

    def __post_init__(self):
        require_positive("size", self.size)
        require_nonnegative("exponent", self.exponent)

    def __call__(self, x: torch.Tensor, t: float, likelihood: GaussianLikelihood) -> torch.Tensor:
        return x - self.size * (1 - t) ** self.exponent * likelihood.gradient(x)


@dataclasses.dataclass(frozen=True)
class PnPFlow(Sampler):
    r"""Come near to the data, go back on the straight path to noise, and denoise.

    .. math:: z = \text{step}_t(x), \qquad
              x \leftarrow \frac1m \sum_{j=1}^m D \Big( z + \frac{1-t}{t} e_j, \frac{1-t}{t} \Big)

    This is ``D_t(t z + (1 - t) e)`` of the paper with ``D_t(x) = x + (1 - t) v(x, t)``, by
    ``v(x, t) = (D(x / t, (1 - t) / t) - x) / (1 - t)``: no network of the flow is needed. It is a
    method for one good image; chains differ by their noise alone, and do not spread as the
    posterior.

    Parameters
    ----------
    times : tuple of float
        t, rising between 0 and 1.
    data_step : DataStep, optional
        `ExactStep` by default.
    average : int, optional
        m.

    Raises
    ------
    TypeError, ValueError
        If times are none, or something else is out of bounds.

    Source: Martin, Gagneux, Hagemann, Steidl, PnP-Flow: plug-and-play image restoration with flow
    matching (2025).

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned.reconstruction import diffusion
    >>> A = odl.IdentityOperator(odl.rn(2))
    >>> prior = diffusion.GaussianPrior(torch.zeros(2).double(), torch.eye(2).double())
    >>> y = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    >>> likelihood = diffusion.GaussianLikelihood(A, y, noise_level=0.1)
    >>> for step in (diffusion.ExactStep(), diffusion.ExplicitStep(1.0)):
    ...     flow, seed = diffusion.PnPFlow((0.2, 0.5, 0.8), step), torch.Generator().manual_seed(0)
    ...     image = diffusion.draw_samples(flow, prior, likelihood, 1, seed).images
    ...     print(tuple(image.shape), bool(image[0, 0, 0] > 1))
    ...
    (1, 1, 2) True
    (1, 1, 2) True
    """

    times: tuple[float, ...]
    data_step: DataStep = ExactStep()
    average: int = 1

    def __post_init__(self):
        if isinstance(self.times, tuple | list):
            object.__setattr__(self, "times", tuple(self.times))
            levels = [(1 - t) / t if isinstance(t, float) and t > 0 else t for t in self.times]
            if not all(isinstance(t, float) and 0 < t < 1 for t in self.times):
                raise ValueError(f"times is {shown(self.times)}, expected numbers between 0 and 1.")
        else:
            levels = self.times
        require_levels("times", levels)
        if not isinstance(self.data_step, DataStep):
            raise TypeError(f"data_step is {shown(self.data_step)}, expected "
                            "diffusion.ExactStep() or diffusion.ExplicitStep(size).")
        require_count("average", self.average, 1)

    def __len__(self):
        return len(self.times)

    def start(self, likelihood: GaussianLikelihood, noise: Noise) -> tuple[torch.Tensor, ...]:
        return (torch.zeros_like(likelihood.back),)

    def step(
        self,
        k: int,
        state: tuple[torch.Tensor, ...],
        denoiser: nn.Module,
        likelihood: GaussianLikelihood,
        noise: Noise,
    ) -> tuple[torch.Tensor, ...]:
        (x,), t = state, self.times[k]
        level = (1 - t) / t
        z = self.data_step(x, t, likelihood)
        images = [denoiser(z + level * noise.like(z), level) for _ in range(self.average)]
        return (sum(images) / self.average,)
