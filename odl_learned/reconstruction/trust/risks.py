r"""What a band may miss, and the smallest band that misses no more: split conformal calibration.

Bands grow with a factor q, ``C_q(y) = [l - q w, u + q w]``; the *score* of a pixel is the smallest
q whose band holds it. With n exchangeable groups behind and one ahead, and losses ``L_g(q)`` of
groups in [0, 1] that fall with q,

.. math:: \hat q = \min \Big\{ q : \frac{1}{n + 1} \Big( \sum_{g=1}^n L_g(q) + 1 \Big)
              \le \alpha \Big\} \quad \Rightarrow \quad E\, L_{n+1}(\hat q) \le \alpha .

Proof: let q' be the same with all n + 1 losses, and the largest loss, one, nowhere. It is a
symmetric function of them, so that the mean of ``L_g(q')`` over all of them, at most alpha, is the
expectation of the last; and q' is at most the one above.
"""

import collections
import functools
import math
from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction

import torch

from odl_learned.reconstruction.tensor_maps import require_tensor
from odl_learned.validation import is_finite_number, shown

#: From scores of pixels ``(N, *shape)`` to scores ``(N, K)``, each of which weighs ``1 / K``.
Risk = Callable[[torch.Tensor], torch.Tensor]


def missed_pixels(scores: torch.Tensor) -> torch.Tensor:
    """Count the fraction of pixels outside of the band as the loss of an image.

    With this risk a band holds a fraction ``coverage`` of the pixels, in expectation over patients.

    Parameters
    ----------
    scores : torch.Tensor, shape (N, *shape)

    Returns
    -------
    scores : torch.Tensor, shape (N, number of pixels)

    Raises
    ------
    TypeError
        If it is no tensor.
    """
    require_tensor("scores", scores)
    return scores.flatten(1)


def missed_images(pixels: float) -> Risk:
    """Return the risk that counts an image if fewer than a fraction of its pixels are inside.

    With this risk all images but a fraction ``1 - coverage`` have so many pixels inside. If every
    group is one image, and scores are continuous, the number of images that are covered among m new
    ones has the beta-binomial law of m draws with ``k, n + 1 - k``, ``k = ceil(coverage (n + 1))``.

    Parameters
    ----------
    pixels : float
        The fraction, in (0, 1].

    Returns
    -------
    risk : callable

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import reconstruction
    >>> scores = torch.tensor([[0.5, 0.8, 2.0]])  # distance to the truth, in widths
    >>> print(reconstruction.missed_pixels(scores))
    tensor([[0.5000, 0.8000, 2.0000]])
    >>> print(reconstruction.missed_images(0.5)(scores), reconstruction.missed_images(0.9)(scores))
    tensor([[0.8000]]) tensor([[2.]])
    """
    if not (is_finite_number(pixels) and 0 < pixels <= 1):
        raise ValueError(f"pixels is {shown(pixels)}, expected the fraction of pixels that is "
                         "enough, above zero and at most one.")
    return functools.partial(_missed_images, as_typed(pixels))


def _missed_images(pixels, scores):
    flat = scores.flatten(1)
    return flat.kthvalue(math.ceil(pixels * flat.shape[1]), dim=1, keepdim=True).values


def smallest_factor(
    ratios: torch.Tensor,
    groups: Sequence[Hashable],
    coverage: float,
    risk: Risk = missed_pixels,
) -> float:
    """Return the smallest factor with ``sum_g (1 - L_g(q)) >= coverage (n + 1)``.

    The loss of a group is the mean of those of its images. Sums are exact, of fractions, with
    ``coverage`` as it is typed: 0.9 is nine tenths.

    Parameters
    ----------
    ratios : torch.Tensor, shape (N, *shape), float64
        Scores of pixels; what is not a number counts as infinite.
    groups : sequence of N labels
        Of what is exchangeable, such as patients.
    coverage : float
        In (0, 1).
    risk : callable, optional
        Such as `missed_pixels`, `missed_images(0.9)`.

    Returns
    -------
    factor : float

    Raises
    ------
    ValueError
        If there are fewer than ``coverage / (1 - coverage)`` groups, so that no finite band is
        known to do, the factor is infinite because images are not finite, or the risk returns
        something else.
    """
    sizes = collections.Counter(groups)
    needed = as_typed(coverage) * (len(sizes) + 1)
    if needed > len(sizes):
        enough = math.ceil(as_typed(coverage) / (1 - as_typed(coverage)))
        raise ValueError(
            f"there are {len(sizes)} groups for a coverage of {coverage}, expected at least "
            f"{enough}: with fewer, no finite band is known to cover so much. Calibrate on more "
            "patients, or ask for less coverage.")
    scores = risk(ratios.nan_to_num(nan=torch.inf, posinf=torch.inf))
    if not (isinstance(scores, torch.Tensor) and scores.ndim == 2
            and len(scores) == len(ratios) and scores.numel()):  # fmt: skip
        found = tuple(scores.shape) if isinstance(scores, torch.Tensor) else shown(scores)
        raise ValueError(f"risk returned {found} for scores of shape {tuple(ratios.shape)}, "
                         f"expected ({len(ratios)}, K), such as those of missed_pixels.")
    scores = scores.sort(dim=1).values
    weights = [Fraction(1, sizes[label] * scores.shape[1]) for label in groups]

    def covered(q):
        inside = torch.searchsorted(scores, q.repeat(len(scores), 1), right=True).flatten()
        return sum(weight * count for weight, count in zip(weights, inside.tolist()))

    candidates = scores.flatten().unique()
    low, high = 0, len(candidates) - 1  # the last one covers all
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if covered(candidates[middle]) >= needed else (middle + 1, high)
    factor = float(candidates[low])
    if math.isinf(factor):
        raise ValueError("the factor of the band is infinite: the map or the widths are not finite "
                         "on too many calibration data. Look at what the map returns there.")
    return factor


def require_coverage(coverage: float) -> None:
    """Raise ValueError unless this is between zero and one."""
    if not (is_finite_number(coverage) and 0 < coverage < 1):
        raise ValueError(f"coverage is {shown(coverage)}, expected a number above zero and below "
                         "one, such as 0.9.")


def as_typed(number: float) -> Fraction:
    """The shortest decimal that is this float: what was meant."""
    return Fraction(repr(float(number)))
