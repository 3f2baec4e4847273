"""What samplers have in common: they are values, and a chain has random numbers of its own."""

import abc
import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from odl_learned.reconstruction.diffusion.likelihood import GaussianLikelihood
from odl_learned.validation import is_finite_number, require_count, require_positive, shown


@dataclasses.dataclass(frozen=True)
class Sampler(abc.ABC):
    """Abstract: a chain of images from noise to an image that explains the data.

    The state of chains is a tuple of tensors ``(B, ...)``, the images first. What is not finite
    there, after a step, is an error.
    """

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of steps of a chain."""

    @abc.abstractmethod
    def start(self, likelihood: GaussianLikelihood, noise: "Noise") -> tuple[torch.Tensor, ...]:
        """Return the first state, one chain for each of the data."""

    @abc.abstractmethod
    def step(
        self,
        k: int,
        state: tuple[torch.Tensor, ...],
        denoiser: nn.Module,
        likelihood: GaussianLikelihood,
        noise: "Noise",
    ) -> tuple[torch.Tensor, ...]:
        """Return the state after step k, counted from 0."""


class Noise:
    """Standard normal numbers for chains, each from a generator of its own.

    So a chain has the same ones alone and among others, on every device.

    Parameters
    ----------
    numbers : list of tuple of int
        Nonnegative numbers that a generator depends on, for each chain.
    device : torch.device
    """

    def __init__(self, numbers: Sequence[tuple[int, ...]], device: torch.device):
        seeds = [np.random.SeedSequence(each).generate_state(1, np.uint64) for each in numbers]
        self.generators = [torch.Generator().manual_seed(int(seed[0])) for seed in seeds]
        self.device = device

    def like(self, x: torch.Tensor) -> torch.Tensor:
        """Return numbers of the shape ``(B, ...)`` and dtype of x, in both parts if complex."""
        shape = (*x.shape[1:], 2) if x.is_complex() else x.shape[1:]
        drawn = torch.stack([torch.randn(shape, generator=generator, dtype=x.real.dtype)
                             for generator in self.generators])
        return (torch.view_as_complex(drawn) if x.is_complex() else drawn).to(self.device)


def geometric_levels(largest: float, smallest: float, count: int) -> tuple[float, ...]:
    """Return noise levels that fall by the same factor from one to the next.

    Parameters
    ----------
    largest, smallest : float
        The first and the last one; the first should exceed the spread of images, so that nothing
        of a start is left, the last one be below the noise of the data divided by ``|A|``.
    count : int
        How many, at least two.

    Raises
    ------
    ValueError
        If they are not positive, or the first one is not the largest.
    """
    require_positive("largest", largest)
    require_positive("smallest", smallest)
    require_count("count", count, 2, 10**6)
    if not largest > smallest:
        raise ValueError(f"largest is {largest}, expected more than smallest = {smallest}.")
    return tuple(np.geomspace(float(largest), float(smallest), count).tolist())


def require_levels(name: str, levels: Sequence[float], lowest: bool = True) -> tuple[float, ...]:
    """Return falling positive numbers as a tuple, or raise."""
    if not isinstance(levels, tuple | list) or not levels:
        raise TypeError(f"{name} is {shown(levels)}, expected a tuple of falling noise levels, "
                        "such as diffusion.geometric_levels(1.0, 0.01, 100).")
    if not all(is_finite_number(level) and level > 0 for level in levels):
        raise ValueError(f"{name} is {shown(levels)}, expected finite numbers above zero.")
    if any(b >= a for a, b in zip(levels, levels[1:])):
        raise ValueError(f"{name} is {shown(levels)}, expected numbers that fall from one to the "
                         "next.")
    return tuple(map(float, levels))


def flow_step(x: torch.Tensor, denoised: torch.Tensor, before: float, after: float) -> torch.Tensor:
    r"""Return a step of the probability flow from one noise level to the next, Euler's.

    The flow ``dx / dt = (x - D(x, t)) / t`` turns images with noise t into those with less; as long
    as D(x) stays what it is, ``x - D`` is proportional to t.
    """
    return denoised + (after / before) * (x - denoised)
