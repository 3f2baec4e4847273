r"""Exchange of sampled members: sampling patterns that are masks from the start.

At a mask, with weights ``w = M t`` in the fidelity (not squared, so that the derivative does not
vanish at zero), one hypergradient tells for all members at once what more or less of them is worth.
Members outside with the most negative derivative take the places of members inside with the
largest, many at first, then fewer; an exchange stays if the reconstructions get better.
"""

import dataclasses

import numpy as np
import torch

from odl_learned.energies.coefficients.functions import Coefficients
from odl_learned.energies.variation_energy import VariationEnergy
from odl_learned.learning.bilevel.hypergradients.hypergradient import Implicit
from odl_learned.learning.bilevel.lower.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower.lower_solvers import Newton
from odl_learned.learning.bilevel.problem import no_penalty
from odl_learned.learning.bilevel.sampling.baselines import Greedy
from odl_learned.learning.bilevel.sampling.patterns import Pattern
from odl_learned.learning.bilevel.sampling.problems import (
    measured,
    repeated,
    require_pattern,
    require_regularizer,
    sampling_problem,
)
from odl_learned.learning.bilevel.sampling.regularizers import Regularizer
from odl_learned.learning.bilevel.sampling.trials import Trials
from odl_learned.validation import require_count, require_positive, shown


def exchange(
    truth: torch.Tensor,
    data: torch.Tensor,
    pattern: Pattern,
    regularizer: Regularizer,
    alpha: float,
    chosen: torch.Tensor,
    *,
    xi: float = 1e-2,
    sensitivities: torch.Tensor | None = None,
    pairs: int = 16,
    maxiter: int = 100,
    accuracy: float = 1e-2,
    batch: int = 256,
) -> Greedy:
    r"""Improve a mask by exchanging members, at the same sampling rate.

    With ``g = df/dt`` at the mask, ``m`` members outside of least ``g`` and ``m`` inside of
    largest ``g`` trade places, for ``m`` a quarter of those inside, halved as long as that makes
    the error larger. When ``m = 1``, the best of ``pairs`` single exchanges counts; if none helps,
    the mask is a local minimum among them.

    Parameters
    ----------
    truth, data, pattern, regularizer, alpha, xi, sensitivities
        As for `sampling_problem`; all members of the pattern of one size.
    chosen : bool tensor ``(P,)``
        Members of the mask to start with, for example of a `LearnedPattern` or of `greedy`.
    pairs : int
        How many single exchanges are tried at most.
    maxiter : int
        Largest number of hypergradients.
    accuracy, batch
        As for `baselines.greedy`.

    Returns
    -------
    found : Greedy
        Without order; ``errors`` are those of all masks on the way, decreasing.

    Raises
    ------
    ValueError
        If numbers are out of range, members differ in size, or no or all members are chosen.

    References
    ----------
    V. V. Fedorov, *Theory of Optimal Experiments*, Academic Press 1972, chapter 3: exchange
    algorithms, with derivatives of the criterion.
    """
    for name, value in (("pairs", pairs), ("maxiter", maxiter)):
        require_count(name, value)
    require_positive("accuracy", accuracy)
    require_regularizer(regularizer, truth)
    require_pattern(pattern, truth)
    if not isinstance(chosen, torch.Tensor) or chosen.dtype != torch.bool or tuple(
            chosen.shape) != (pattern.size,) or chosen.is_meta:  # fmt: skip
        raise TypeError(f"chosen is {shown(chosen)}, expected a bool tensor ({pattern.size},), one "
                        "entry for each member; pass that of `greedy`, or pattern.chosen(...).")
    chosen = chosen.clone()
    if not 0 < int(chosen.sum()) < pattern.size:
        raise ValueError(f"{int(chosen.sum())} of {pattern.size} members are chosen, expected at "
                         "least one and not all; there is nothing to exchange.")
    if not torch.all(pattern.counts == pattern.counts[0]):
        raise ValueError("members of the pattern have different sizes, expected points or lines; "
                         "exchanges would change the sampling rate.")
    problem = _linear(truth, data, pattern, regularizer, alpha, xi, sensitivities)
    lower, mode = LowerLevel(problem, Newton()), Implicit()
    trials = Trials(truth, data, pattern, regularizer, alpha, xi, sensitivities, accuracy, batch)
    # The reconstructions are that accurate, the adjoint states in proportion.
    slope = 2 * problem.loss.factor * float(trials.accuracy.max())
    error, x = trials.values([chosen], problem.x0)
    error, x, errors = float(error[0]), x[0], []
    errors.append(error)
    count = max(1, int(chosen.sum()) // 4)
    for _ in range(maxiter):
        worth = mode(lower, chosen.double(), trials.accuracy, slope).gradient
        outside, inside = (torch.nonzero(which).flatten() for which in (~chosen, chosen))
        outside = outside[torch.argsort(worth[outside])]
        inside = inside[torch.argsort(worth[inside], descending=True)]
        while True:
            count = min(count, len(inside), len(outside))
            masks = _exchanged(chosen, outside, inside, count, pairs)
            found, images = trials.values(masks, x)
            best = int(found.argmin())
            if float(found[best]) < error or count == 1:
                break
            count //= 2
        if not float(found[best]) < error:
            break
        chosen, error, x = masks[best], float(found[best]), images[best]
        errors.append(error)
    return Greedy([], errors, chosen, pattern.mask(chosen))


def _exchanged(chosen, outside, inside, count, pairs):
    """Masks with ``count`` members exchanged, or with one, in the most promising ways."""
    if count > 1:
        ways = [(outside[:count], inside[:count])]
    else:
        ranks = np.add.outer(np.arange(len(outside)), np.arange(len(inside)))
        first = np.argsort(ranks, axis=None, kind="stable")[:pairs]
        ways = [(outside[i], inside[j]) for i, j in zip(*np.unravel_index(first, ranks.shape))]
    masks = []
    for new, old in ways:
        mask = chosen.clone()
        mask[new], mask[old] = True, False
        masks.append(mask)
    return masks


def _linear(truth, data, pattern, regularizer, alpha, xi, sensitivities):
    """The problem with weights ``w = M t`` instead of their squares, without a penalty."""
    squared = sampling_problem(truth, data, pattern, regularizer, alpha, (0.0, 0.0), xi,
                               sensitivities)  # fmt: skip
    fidelity, _ = measured(truth, data, sensitivities)
    factor = 0.0 if regularizer.is_zero else float(alpha)

    def coefficients(params):
        weights = repeated(pattern.weights(params), sensitivities)
        return Coefficients(factor, regularizer.nu, xi, weights)

    energy = VariationEnergy(fidelity, regularizer.transform, regularizer.potential, coefficients)
    return dataclasses.replace(squared, energy=energy, penalty=no_penalty)
