r"""Sampling patterns to compare with: the largest coefficients of training images, and greedy ones.

Patterns that know nothing are in `data`: `cartesian_mask`, `radial_mask`, `variable_density_mask`.
"""

from typing import NamedTuple

import numpy as np
import torch

from odl_learned.learning.bilevel.coefficients import Coefficients
from odl_learned.learning.bilevel.energy import ParametricEnergy
from odl_learned.learning.bilevel.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower_solvers import Newton
from odl_learned.learning.bilevel.problem import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.sampling.patterns import require_fraction
from odl_learned.learning.bilevel.sampling.problems import error_factor, measured, repeated
from odl_learned.learning.bilevel.variation_energy import VariationEnergy
from odl_learned.validation import require_count, require_positive


def largest_coefficients(data, pattern, fraction):
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
    return pattern.mask(pattern.chosen(_powers(data, pattern), fraction))


def adapted_random(data, pattern, fraction, generator):
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
    """
    draws = torch.empty(pattern.size, dtype=torch.float64).exponential_(generator=generator)
    keys = torch.log(_powers(data, pattern).clamp_min(1e-300)) - torch.log(draws)
    return pattern.mask(pattern.chosen(keys, fraction))


class Greedy(NamedTuple):
    """The members in the order in which they were added, and the mean squared errors then.

    Parameters
    ----------
    order : list of int
    errors : list of float
        Of the reconstructions from the first 1, 2, ... members, besides those of the start.
    chosen : bool tensor ``(P,)``
        All members in the end.
    mask : bool array ``(*shape)``
        Centered.
    """

    order: list
    errors: list
    chosen: torch.Tensor
    mask: np.ndarray


def greedy(truth, data, pattern, regularizer, alpha, fraction, *, xi=1e-2, sensitivities=None,
           start=None, candidates=None, generator=None, accuracy=1e-2, batch=256):  # fmt: skip
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
    candidates : int, optional
        How many members are tried for every step, drawn at random. Default: all.
    generator : torch.Generator, optional
        Needed for ``candidates``.
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
        If candidates are to be drawn without a generator, or a number is out of range.

    References
    ----------
    B. Gozcu et al., *Learning-based compressive MRI*, IEEE Trans. Med. Imaging 37 (2018),
    algorithm 1; with random candidates: T. Sanchez et al., *Scalable learning-based sampling
    optimization for compressive dynamic MRI*, ICASSP 2020.
    """
    if candidates is not None:
        require_count("candidates", candidates)
        if generator is None:
            raise ValueError("candidates are drawn at random, expected a torch.Generator as "
                             "generator; or leave candidates out to try all members.")
    require_positive("accuracy", accuracy)
    tried = Trials(truth, data, pattern, regularizer, alpha, xi, sensitivities, accuracy, batch)
    chosen = torch.zeros(pattern.size, dtype=torch.bool) if start is None else start.clone()
    covered = pattern.mask(chosen).ravel()
    budget = round(require_fraction(fraction) * covered.size)
    x, order, errors = torch.zeros_like(truth), [], []
    while True:
        left = budget - np.count_nonzero(covered)
        rest = [i for i in torch.nonzero(~chosen).flatten().tolist()
                if pattern.new_points(covered, i) <= left]  # fmt: skip
        if not rest:
            return Greedy(order, errors, chosen, pattern.mask(chosen))
        if candidates is not None and len(rest) > candidates:
            picked = torch.randperm(len(rest), generator=generator)[:candidates]
            rest = [rest[i] for i in sorted(picked.tolist())]
        error, best, x = tried.best(chosen, rest, x)
        chosen[best] = True
        covered[pattern.points_of(best)] = True
        order.append(best)
        errors.append(error)


class WeightsInData(ParametricEnergy):
    """The energy of sampling with weights of its own for every sample: data ``(y, s^2)``.

    Parameters
    ----------
    fidelity : FourierSampling or CoilSampling
    regularizer : Regularizer
    alpha, xi : float
    """

    follows_dual = True

    def __init__(self, fidelity, regularizer, alpha, xi):
        self._fidelity, self._regularizer = fidelity, regularizer
        self._alpha, self._xi = 0.0 if regularizer.is_zero else float(alpha), float(xi)

    def value(self, x, params, data):
        """Return ``E`` of every sample."""
        return self._inner(data).value(x, params, data[0])

    def gradient(self, x, params, data):
        """Return ``d_x E``."""
        return self._inner(data).gradient(x, params, data[0])

    def linearize(self, x, params, data):
        """Return the `Linearization` at ``x``."""
        return self._inner(data).linearize(x, params, data[0])

    def linearize_from(self, x, params, data, state):
        """Return a `Linearization` for Newton's method, and the next state."""
        return self._inner(data).linearize_from(x, params, data[0], state)

    def lipschitz(self, params):
        """Return the bound for weights up to one."""
        one = torch.ones(1, dtype=torch.float64)
        return self._inner((None, one)).lipschitz(params)

    def strong_convexity(self, params):
        """Return ``xi``."""
        return self._xi

    def rounding(self, x, params, data):
        """Bound the rounding error of the gradient."""
        return self._inner(data).rounding(x, params, data[0])

    def _inner(self, data):
        r = self._regularizer
        c = Coefficients(self._alpha, r.nu, self._xi, data[1])
        return VariationEnergy(self._fidelity, r.transform, r.potential, lambda params: c)


class Trials:
    """Reconstructions for many sets of members at once."""

    def __init__(self, truth, data, pattern, regularizer, alpha, xi, sensitivities, accuracy,
                 batch):  # fmt: skip
        require_positive("alpha", alpha)
        require_positive("xi", xi)
        require_count("batch", batch)
        self._fidelity, self._data = measured(truth, data, sensitivities)
        self._energy = WeightsInData(self._fidelity, regularizer, alpha, xi)
        self._truth, self._pattern, self._coils = truth, pattern, sensitivities
        self._factor = error_factor(truth)
        norms = truth.abs().double().flatten(1).norm(dim=1)
        self.accuracy = accuracy * norms.clamp_min(1e-12).cpu().numpy()
        self._at_once = max(1, batch // len(truth))

    def best(self, chosen, rest, x):
        """Return the least error, the member that leads to it, and its reconstructions."""
        masks = []
        for i in rest:
            more = chosen.clone()
            more[i] = True
            masks.append(more)
        errors, images = self.values(masks, x)
        least = int(errors.argmin())
        return float(errors[least]), rest[least], images[least]

    def values(self, masks, x):
        """Return the mean squared errors of sets of members, and reconstructions of the best.

        The reconstructions are a dict: only that of the least error so far is kept.
        """
        errors, kept, least = [], {}, float("inf")
        for k in range(0, len(masks), self._at_once):
            found, images = self._errors(masks[k : k + self._at_once], x)
            at = int(found.argmin())
            if float(found[at]) < least:
                least, kept = float(found[at]), {k + at: images[at].clone()}
            errors.append(found)
        return torch.cat(errors), kept

    def _errors(self, masks, x):
        count, size = len(masks), len(x)
        weights = torch.stack([torch.fft.ifftshift(torch.as_tensor(self._pattern.mask(mask)))
                               for mask in masks])  # fmt: skip
        weights = weights.to(x.real.dtype if x.is_complex() else x.dtype)
        weights = repeated(weights, self._coils).repeat_interleave(size, 0)
        data = self._data.repeat(count, *[1] * (self._data.ndim - 1))
        many = [count, *[1] * (x.ndim - 1)]
        loss = SquaredError(self._truth.repeat(many), self._factor)
        problem = BilevelProblem(self._energy, (data, weights), loss, x.repeat(many))
        lower = LowerLevel(problem, Newton(), memory=0)
        solution = lower.solve(torch.zeros(1, dtype=torch.float64), np.tile(self.accuracy, count))
        errors = loss.value(solution.x).reshape(count, size).sum(1)
        return errors, solution.x.reshape(count, *x.shape)


def _powers(data, pattern):
    power = data.abs().double().square()
    return pattern.means(power.reshape(-1, *pattern.shape).mean(0))
