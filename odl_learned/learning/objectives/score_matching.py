r"""Denoising score matching: a denoiser of every noise level knows the density of images.

For images x with the density p and standard normal e, the mean squared error
``E |D(x + t e, t) - x|^2`` is least for ``D(z, t) = E[x | x + t e = z]``, and by Tweedie's formula
``(D(z, t) - z) / t^2`` is the gradient of ``log p_t`` at z, with the density ``p_t`` of
``x + t e``.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.objective import Objective
from odl_learned.validation import require_method, require_positive


@final
@dataclasses.dataclass(frozen=True)
class LogUniformLevels:
    """Noise levels whose logarithms are uniform.

    Parameters
    ----------
    least, largest : float
        Positive; every level from the noise of data up to the spread of images is needed.

    Raises
    ------
    ValueError
        If they are not positive, or the first is not the smaller one.
    """

    least: float
    largest: float

    def __post_init__(self):
        require_positive("least", self.least)
        require_positive("largest", self.largest)
        if not self.least < self.largest:
            raise ValueError(f"least is {self.least}, expected less than largest = {self.largest}.")

    def __call__(self, uniform: torch.Tensor) -> torch.Tensor:
        """Return levels for numbers in [0, 1)."""
        return self.least * (self.largest / self.least) ** uniform


@final
@dataclasses.dataclass(frozen=True)
class BalancedWeight:
    r"""``(t^2 + v^2) / (t v)^2``, with which every level counts the same.

    It is one over the mean squared error of the best denoiser of independent Gaussian pixels with
    the standard deviation v, and makes the error that of the network within
    `networks.PreconditionedDenoiser`.

    Parameters
    ----------
    spread : float
        v, positive.

    Raises
    ------
    ValueError
        If it is not positive.

    Source: Karras et al. (2022), table 1.
    """

    spread: float

    def __post_init__(self):
        require_positive("spread", self.spread)

    def __call__(self, levels: torch.Tensor) -> torch.Tensor:
        """Return weights of levels."""
        return 1 / levels.square() + 1 / self.spread**2


@final
class DenoisingScoreMatching(Objective):
    r"""The squared error of a denoiser that is told the noise level, over levels.

    .. math:: E_{x, t, e} \ w(t) \, \frac1n |D(x + t e, t) - x|^2

    with standard normal e in the n real entries of images, for each sample a level t of its own.
    The least value has ``D(z, t) = E[x | x + t e = z]``, for every positive weight w: then
    ``(D(z, t) - z) / t^2`` is the score of images with noise, which the samplers of
    `reconstruction.diffusion` need.

    The model of `learning.train` is the denoiser: it maps images ``(batch, *shape)`` and levels
    ``(batch,)`` to images, as `networks.NoiseLevelOnImages` does. The pairs are images alone, or
    have them as truths.

    Parameters
    ----------
    levels : callable
        Numbers ``(batch,)`` that are uniform in [0, 1) to levels, positive and of the same shape:
        `LogUniformLevels`.
    weight : callable
        w, levels to weights: `BalancedWeight`.

    Raises
    ------
    TypeError
        If an argument is no function of one.

    Calling it raises a ValueError where levels or weights are not positive and finite or the model
    returns another shape.

    Source: Vincent, A connection between score matching and denoising autoencoders (2011); Song,
    Ermon, Generative modeling by estimating gradients of the data distribution (2019).
    """

    def __init__(
        self,
        levels: Callable[[torch.Tensor], torch.Tensor],
        weight: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        require_method("levels", levels, "learning.objectives.LogUniformLevels(0.01, 1.0)", 1)
        require_method("weight", weight, "learning.objectives.BalancedWeight(0.5)", 1)
        self.levels, self.weight = levels, weight

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        x = batch.data if batch.truth is None else batch.truth
        count = len(batch.data)
        uniform = batch.uniform(x.real.reshape(count, -1)[:, 0])
        levels = _positive("levels", self.levels(uniform), uniform)
        weights = _positive("weights", self.weight(levels), uniform)
        noisy = x + levels.reshape(count, *[1] * (x.ndim - 1)) * batch.normal(x)
        denoised = batch.predict(lambda images: model(images, levels), noisy)
        if denoised.shape != x.shape:
            raise ValueError(
                f"the denoiser maps images of shape {tuple(x.shape)} to {tuple(denoised.shape)}, "
                "expected the same shape.")
        entries = math.prod(x.shape[1:]) * (2 if x.is_complex() else 1)
        squares = (denoised - x).abs().square().reshape(count, -1).sum(1)
        return (weights * squares).mean() / entries


def _positive(name, values, like):
    """Positive finite numbers of samples, or an error."""
    if not isinstance(values, torch.Tensor) or values.shape != like.shape or not bool(
            (torch.isfinite(values) & (values > 0)).all()):  # fmt: skip
        raise ValueError(f"{name} are {values!r}, expected positive finite numbers of shape "
                         f"{tuple(like.shape)}, one for each image.")
    return values
