"""Samples of a posterior: mean, spread, and whether intervals of them hold the truth."""

import dataclasses
from typing import NamedTuple

import numpy as np
import torch

from odl_learned.reconstruction.tensor_maps import require_tensor
from odl_learned.validation import is_finite_number, shown


class Calibration(NamedTuple):
    """How often intervals between samples hold the truth, from the widest one on.

    Parameters
    ----------
    nominal : np.ndarray
        ``(K + 1 - 2 j) / (K + 1)`` for the interval between the j-th least and the j-th largest of
        K samples: the probability with which it holds one more sample, whatever the distribution.
    attained : np.ndarray
        The share of entries of the truth that it holds.
    """

    nominal: np.ndarray
    attained: np.ndarray


@dataclasses.dataclass(frozen=True)
class PosteriorSamples:
    """Images that explain the data, drawn by `draw_samples`.

    Parameters
    ----------
    images : torch.Tensor, shape (K, N, *X.shape)
        K samples for each of N data.

    Raises
    ------
    TypeError
        If they are no tensor of floats.
    ValueError
        If there are none.
    """

    images: torch.Tensor

    def __post_init__(self):
        x = self.images
        require_tensor("images", x)
        if not (x.is_floating_point() or x.is_complex()):
            raise TypeError(f"images is {shown(x)}, expected a tensor (K, N, *shape).")
        if x.ndim < 2 or not x.numel():
            raise ValueError(f"images has shape {tuple(x.shape)}, expected (K, N, *shape), at "
                             "least one sample.")

    def __len__(self) -> int:
        """K, the number of samples for each of the data."""
        return len(self.images)

    @property
    def mean(self) -> torch.Tensor:
        """The mean, ``(N, *X.shape)``: the estimate with the least squared error."""
        return self.images.mean(0)

    @property
    def standard_deviation(self) -> torch.Tensor:
        """``(sum |x_k - mean|^2 / (K - 1))^{1/2}`` in every pixel, ``(N, *X.shape)``, real.

        In complex images, of the modulus of the difference: ``2^{1/2}`` of that of each part. The
        squared error of the *mean* is that of the samples' spread, plus what is left by their
        number: ``1 / K`` of it.
        """
        self._require(2, "a standard deviation")
        squares = (self.images - self.mean).abs().square().sum(0)
        return (squares / (len(self) - 1)).sqrt()

    def interval(self, level: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the interval of every entry that holds one more sample with this probability.

        It lies between the j-th least and the j-th largest sample, with the largest j for which
        ``(K + 1 - 2 j) / (K + 1)`` is at least the level, so that the claim holds for every K and
        every distribution.

        Parameters
        ----------
        level : float
            Above zero, at most ``(K - 1) / (K + 1)``.

        Returns
        -------
        lower, upper : torch.Tensor, shape (N, *X.shape), for complex images (N, *X.shape, 2)
            The latter with the real and the imaginary part along the last axis.

        Raises
        ------
        ValueError
            If the level is none, or there are too few samples for it.
        """
        K = len(self)
        if not (is_finite_number(level) and 0 < level < 1):
            raise ValueError(f"level is {shown(level)}, expected a number between 0 and 1.")
        j = int((1 - level) * (K + 1) / 2 + 1e-9)
        if j < 1:
            raise ValueError(f"level is {level}, expected at most {(K - 1) / (K + 1):.3g} for {K} "
                             f"samples; draw at least {int(np.ceil(2 / (1 - level) - 1 - 1e-9))}.")
        ordered = self._ordered()
        return ordered[j - 1], ordered[K - j]

    def coverage(self, truth: torch.Tensor, level: float) -> float:
        """Return the share of entries of the truth within their `interval`.

        Parameters
        ----------
        truth : torch.Tensor, shape (N, *X.shape)
        level : float
        """
        lower, upper = self.interval(level)
        truth = self._truth(truth)
        return float(((lower <= truth) & (truth <= upper)).double().mean())

    def calibration(self, truth: torch.Tensor) -> Calibration:
        """Return nominal and attained coverages of all intervals between samples.

        Truths that are drawn from the prior, with data that are drawn from the likelihood, are one
        more sample of the exact posterior: then both are equal on average.

        Parameters
        ----------
        truth : torch.Tensor, shape (N, *X.shape)

        Raises
        ------
        ValueError
            If there are fewer than two samples, or the truth has another shape.
        """
        self._require(2, "intervals")
        K, ordered, truth = len(self), self._ordered(), self._truth(truth)
        ranks = np.arange(1, K // 2 + 1)
        attained = [float(((ordered[j - 1] <= truth) & (truth <= ordered[K - j])).double().mean())
                    for j in ranks]
        return Calibration((K + 1 - 2 * ranks) / (K + 1), np.array(attained))

    def _ordered(self):
        x = torch.view_as_real(self.images) if self.images.is_complex() else self.images
        return x.sort(dim=0).values

    def _truth(self, truth):
        require_tensor("truth", truth)
        expected = self.images.shape[1:]
        if truth.shape != expected or (
                truth.is_complex() != self.images.is_complex()):  # fmt: skip
            kind = "complex" if self.images.is_complex() else "real"
            raise ValueError(f"truth is {shown(truth)}, expected a {kind} tensor of shape "
                             f"{tuple(expected)}, one image for each of the data.")
        return torch.view_as_real(truth) if truth.is_complex() else truth

    def _require(self, least, what):
        if len(self) < least:
            raise ValueError(f"there is {len(self)} sample, expected at least {least} for {what}; "
                             "draw more of them.")
