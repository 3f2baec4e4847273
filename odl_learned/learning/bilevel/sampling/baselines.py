r"""Sampling patterns to compare with: the largest coefficients of training images, and greedy ones.

Patterns that know nothing are in `data`: `cartesian_mask`, `radial_mask`, `variable_density_mask`.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from odl_learned.energies.doors import require_kind
from odl_learned.learning.bilevel.sampling.doors import (
    require_generator,
    require_measurements,
)
from odl_learned.learning.bilevel.sampling.patterns import Pattern, require_fraction
from odl_learned.learning.bilevel.sampling.regularizers import Regularizer
from odl_learned.learning.bilevel.sampling.trials import Trials
from odl_learned.validation import require_count, require_positive


def largest_coefficients(data: torch.Tensor, pattern: Pattern, fraction: float) -> np.ndarray:
    r"""Return the mask of the members with the largest mean power in the training data.

    .. math:: p_m = \frac{1}{B n_m} \sum_i \sum_{k \in m} |y_{i, k}|^2 .

    Parameters
    ----------
    data : complex tensor ``(B, *shape)`` or ``(B, C, *shape)``
        Fully sampled measurements, centered.
    pattern : Pattern
    fraction : float
        Sampling rate; members are added while they fit.

    Returns
    -------
    mask : bool array ``(*shape)``
        Centered.

    References
    ----------
    F. Knoll et al., *Adapted random sampling patterns for accelerated MRI*, MAGMA 24 (2011): the
    power spectrum of training data, here its largest values.
    """
    powers = _powers(data, pattern)
    return pattern.mask(pattern.chosen(powers, fraction))


def adapted_random(
    data: torch.Tensor, pattern: Pattern, fraction: float, generator: torch.Generator
) -> np.ndarray:
    """Return a mask drawn without replacement with probabilities like `largest_coefficients`.

    Parameters
    ----------
    data, pattern, fraction
        As for `largest_coefficients`.
    generator : torch.Generator

    References
    ----------
    F. Knoll et al., *Adapted random sampling patterns for accelerated MRI*, MAGMA 24 (2011); drawn
    with exponential keys after Efraimidis and Spirakis (2006).

    Examples
    --------
    >>> import torch
    >>> from odl_learned.learning.bilevel import sampling
    >>> seed = torch.Generator().manual_seed(0)
    >>> x = torch.zeros(1, 8, 8, dtype=torch.complex128)
    >>> x[0, 2:6, 2:6] = 1
    >>> y = torch.fft.fftshift(torch.fft.fftn(x, dim=(1, 2), norm="ortho"), dim=(1, 2))
    >>> mask = sampling.adapted_random(y, sampling.points((8, 8)), fraction=0.25, generator=seed)
    >>> print(mask.mean(), mask[4, 4])  # a quarter, frequency zero among it
    0.25 True
    """
    powers = _powers(data, pattern)
    require_generator(generator)
    draws = torch.empty(pattern.size, dtype=torch.float64).exponential_(generator=generator)
    keys = torch.log(powers.clamp_min(1e-300)) - torch.log(draws)
    return pattern.mask(pattern.chosen(keys, fraction))


class Greedy(NamedTuple):
    """The members in the order in which they were added, and the mean squared errors then.

    Parameters
    ----------
    order : list of int
    errors : list of float
        Of the reconstructions from the first 1, 2, ... members, besides those of the start; with
        `Draws`, of the images that were drawn.
    chosen : bool tensor ``(P,)``
        All members in the end.
    mask : bool array ``(*shape)``
        Centered.
    """

    order: list[int]
    errors: list[float]
    chosen: torch.Tensor
    mask: np.ndarray


class Draws(NamedTuple):
    """How many members are tried in a step of `greedy`, and on how many images, drawn at random.

    Parameters
    ----------
    candidates, samples : int
        All of them where there are not more.
    generator : torch.Generator
    """

    candidates: int
    samples: int
    generator: torch.Generator


def greedy(
    truth: torch.Tensor,
    data: torch.Tensor,
    pattern: Pattern,
    regularizer: Regularizer,
    alpha: float,
    fraction: float,
    *,
    xi: float = 1e-2,
    sensitivities: torch.Tensor | None = None,
    start: torch.Tensor | None = None,
    draws: Draws | None = None,
    accuracy: float = 1e-2,
    batch: int = 256,
) -> Greedy:
    r"""Add the member that improves the reconstructions most, again and again.

    All candidates are reconstructed as one batch, from warm starts.

    Parameters
    ----------
    truth, data, pattern, regularizer, alpha, xi, sensitivities
        As for `sampling_problem`.
    fraction : float
        Sampling rate; members are added while one fits.
    start : bool tensor ``(P,)``, optional
        Members to start with. Default: none.
    draws : Draws, optional
        Default: all members are tried, on all images.
    accuracy : float
        Of the reconstructions, certified, as a part of the norm of the truth.
    batch : int
        Number of images that are reconstructed at once, at most, or one candidate.

    Returns
    -------
    greedy : Greedy

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    B. Gozcu et al., *Learning-based compressive MRI*, IEEE Trans. Med. Imaging 37 (2018),
    algorithm 1; with draws: T. Sanchez et al., *Scalable learning-based sampling optimization for
    compressive dynamic MRI*, ICASSP 2020.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.learning.bilevel import sampling
    >>> seed = torch.Generator().manual_seed(0)
    >>> truth = torch.zeros(2, 8, 8, dtype=torch.complex128)
    >>> truth[0, 2:6, 2:6] = truth[1, 3:5, 1:7] = 1
    >>> y = torch.fft.fftn(truth, dim=(1, 2), norm="ortho")
    >>> lines, smooth = sampling.lines((8, 8), axis=0), sampling.squared_gradient((8, 8))
    >>> isinstance(lines, sampling.Pattern), isinstance(smooth, sampling.Regularizer)
    (True, True)
    >>> draws = sampling.Draws(candidates=8, samples=2, generator=seed)
    >>> found = sampling.greedy(truth, y, lines, smooth, alpha=1e-3, fraction=0.4, draws=draws)
    >>> isinstance(found, sampling.Greedy)
    True
    >>> print(found.order[0], found.mask.mean())  # frequency zero, row 4, comes first
    4 0.375
    """
    require_positive("accuracy", accuracy)
    require_fraction(fraction)
    if draws is not None:
        require_kind("draws", draws, Draws, "leave it out to try everything")
        require_count("candidates", draws.candidates)
        require_count("samples", draws.samples)
    tried = Trials(truth, data, pattern, regularizer, alpha, xi, sensitivities, accuracy, batch)
    chosen = torch.zeros(pattern.size, dtype=torch.bool) if start is None else start.clone()
    covered = pattern.mask(chosen).ravel()
    budget = round(require_fraction(fraction) * covered.size)
    x = torch.zeros_like(truth)
    order: list[int] = []
    errors: list[float] = []
    while True:
        left = budget - np.count_nonzero(covered)
        fits = (i for i in _shuffled(torch.nonzero(~chosen).flatten(), draws)
                if pattern.new_points(covered, i) <= left)  # fmt: skip
        rest = sorted(itertools.islice(fits, None if draws is None else draws.candidates))
        if not rest:
            return Greedy(order, errors, chosen, pattern.mask(chosen))
        if draws is None:
            error, best, x = tried.best(chosen, rest, x)
        else:
            some = _shuffled(torch.arange(len(truth)), draws)[: draws.samples]
            error, best, x[some] = tried.of_samples(some).best(chosen, rest, x[some])
        chosen[best] = True
        covered[pattern.points_of(best)] = True
        order.append(best)
        errors.append(error)


def _shuffled(indices, draws):
    """Return indices as a list, in random order if there are draws."""
    if draws is not None:
        indices = indices[torch.randperm(len(indices), generator=draws.generator)]
    return indices.tolist()


def _powers(data, pattern):
    require_kind("pattern", pattern, Pattern, "build it with points, lines or spokes")
    require_measurements(data, pattern.shape)
    power = data.abs().double().square()
    return pattern.means(power.reshape(-1, *pattern.shape).mean(0))
