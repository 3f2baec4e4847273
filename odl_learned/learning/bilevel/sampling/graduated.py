r"""Learning a sampling pattern from beginning to end: simulated data, continuation, the pattern.

Weights start at 1/2. At one, most of them are worth little and all are expensive, so that the first
steps are the same for all; near zero they are stuck, since ``s^2`` is flat there. The concave part
of the penalty comes last: see `continuation`.
"""

from collections.abc import Callable

import numpy as np
import odl
import torch

from odl_learned import data, operators
from odl_learned.learning.bilevel.continuation import continuation
from odl_learned.learning.bilevel.problem import BilevelProblem
from odl_learned.learning.bilevel.progress import Learned
from odl_learned.learning.bilevel.sampling.learned_pattern import LearnedPattern, learned_pattern
from odl_learned.learning.bilevel.sampling.patterns import Pattern
from odl_learned.learning.bilevel.sampling.problems import sampling_problem
from odl_learned.learning.bilevel.sampling.regularizers import Regularizer
from odl_learned.validation import (
    require_finite,
    require_nonnegative,
    require_real,
    require_rng,
)


def simulated_scans(
    images: np.ndarray, noise_level: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Simulate fully sampled scans of magnetic resonance imaging, as truth and data to learn from.

    .. math:: x_i^* = u_i \, e^{i \varphi_i}, \qquad y_i = F x_i^* + \sigma w_i,

    with smooth phases ``phi_i``, the unitary centered transform ``F``, and white noise with the
    standard deviation ``sigma`` in real and imaginary parts.

    Parameters
    ----------
    images : array ``(B, n_0, n_1)``
        ``u``, real.
    noise_level : float
        ``sigma``.
    rng : numpy.random.Generator

    Returns
    -------
    truth, data : complex128 tensors ``(B, n_0, n_1)``
        As for `sampling_problem`.
    """
    images = np.asarray(images)
    require_finite("images", images)
    require_real("images", images)
    if images.ndim != 3 or not images.size:
        raise ValueError(f"images has shape {images.shape}, expected (B, n_0, n_1) with at least "
                         "one image; one image is image[None].")
    require_nonnegative("noise_level", noise_level)
    require_rng(rng)
    shape = images.shape[1:]
    space = odl.uniform_discr([0, 0], shape, shape, dtype="complex128")
    whole = operators.SampledFourier(space, np.ones(shape))
    truth = [space.element(image) * data.smooth_phase(space, rng) for image in images]
    noisy = [data.add_white_noise(whole(x), noise_level, rng) for x in truth]
    first, second = (torch.as_tensor(np.stack([v.data for v in many])) for many in (truth, noisy))
    return first, second


def graduated_sampling(
    truth: torch.Tensor,
    data: torch.Tensor,
    pattern: Pattern,
    regularizer: Regularizer,
    alpha: float,
    beta: float,
    learn: Callable[[BilevelProblem, torch.Tensor], Learned],
    xi: float = 1e-2,
    sensitivities: torch.Tensor | None = None,
) -> LearnedPattern:
    r"""Learn a pattern from weights 1/2, without the concave part of the penalty, then with it.

    The two problems have the prices ``(beta, 0)`` and ``(beta, beta / 2)``.

    Parameters
    ----------
    truth, data, pattern, regularizer, alpha, xi, sensitivities
        As for `sampling_problem`.
    beta : float
        Price of sampling, nonnegative.
    learn : callable
        ``(problem, params) -> Learned``, such as ``lambda problem, params: lbfgsb(problem, params,
        Implicit(), Newton(), ftol=1e-4)``.

    Returns
    -------
    learned : LearnedPattern

    References
    ----------
    F. Sherry et al., *Learning the sampling pattern for MRI*, IEEE Trans. Med. Imaging 39 (2020),
    for the problem; A. Blake, A. Zisserman, *Visual Reconstruction*, MIT Press 1987, chapter 7, for
    graduated nonconvexity.
    """
    require_nonnegative("beta", beta)
    problems = [sampling_problem(truth, data, pattern, regularizer, alpha, (beta, concave), xi,
                                 sensitivities) for concave in (0.0, beta / 2)]  # fmt: skip
    start = torch.full((pattern.size,), 0.5, dtype=torch.float64)
    return learned_pattern(pattern, continuation(problems, start, learn).params)
