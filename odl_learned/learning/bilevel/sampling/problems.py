r"""Learning sampling patterns of magnetic resonance imaging, as bilevel problems.

With weights ``s = M t`` of a `Pattern` and parameters ``t`` in [0, 1],

.. math:: \min_t \; c \sum_i |\hat x_i - x_i^*|^2 + \frac{1}{N} \sum_m n_m
          \big(\beta_1 t_m + \beta_2 t_m (1 - t_m)\big), \qquad
          \hat x_i = \text{argmin}_x \tfrac12 \sum_j s_j^2 |(F x - y_i)_j|^2
          + \alpha R_\nu(x) + \tfrac{\xi}{2} |x|^2,

where ``N`` is the number of frequencies, ``n_m`` how many of them a parameter is worth, so that
``sum_m n_m t_m = sum_j s_j``, and ``c`` makes a mean over all real entries of all images: 1 / (2 B
N) for complex images, 1 / (B N) for real ones. Images and data are Euclidean; pixels have side one.

Since weights enter as squares, the derivative of the data term vanishes at ``t = 0``: a parameter
that reaches zero stays there. Start from full sampling with short steps, such as ``max_step=0.1``
of `lbfgsb`; with equal prices ``beta`` the penalty is flat at ``t = 1``, so ``beta_2 < beta_1``
lets learning leave it. Where the signal is strong small weights suffice: a mask of a learned
pattern keeps all parameters above a small threshold, not the largest ones.

References
----------
F. Sherry et al., *Learning the sampling pattern for MRI*, IEEE Trans. Med. Imaging 39 (2020).
"""

import math

import numpy as np
import torch

from odl_learned.energies.coefficients.functions import Coefficients
from odl_learned.energies.doors import require_kind, require_samples
from odl_learned.energies.fidelities import FourierSampling
from odl_learned.energies.variation_energy import VariationEnergy
from odl_learned.learning.bilevel.loss import SquaredError
from odl_learned.learning.bilevel.problem import BilevelProblem, no_penalty
from odl_learned.learning.bilevel.sampling.coils import CoilSampling, one_below_the_other
from odl_learned.learning.bilevel.sampling.doors import (
    require_measurements,
    require_numbers,
    require_prices,
    require_scans,
)
from odl_learned.learning.bilevel.sampling.patterns import Pattern
from odl_learned.learning.bilevel.sampling.regularizers import Regularizer
from odl_learned.validation import require_count, require_positive

LOG_ALPHA = (-25.0, 5.0)


def uncentered(data: torch.Tensor, ndim: int) -> torch.Tensor:
    r"""Turn measurements of `SampledFourier` into those of ``F`` with frequency zero first.

    The centered transform is that of ``x`` shifted by ``n // 2``, which is a phase:

    .. math:: (F x)_k = e^{-2 \pi i \sum_a k_a \lfloor n_a / 2 \rfloor / n_a} \, y_{k + n // 2} .

    Parameters
    ----------
    data : complex tensor ``(*batch, *shape)``
    ndim : int
        Number of axes of ``shape``.

    Returns
    -------
    data : complex tensor ``(*batch, *shape)``

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> import torch
    >>> from odl_learned import operators
    >>> from odl_learned.learning.bilevel import sampling
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4), dtype=complex)
    >>> x = np.random.default_rng(0).standard_normal((4, 4)) + 0j
    >>> y = operators.SampledFourier(X, np.ones((4, 4)))(x).data
    >>> found = sampling.uncentered(torch.as_tensor(y), ndim=2)
    >>> print(np.allclose(found.numpy(), np.fft.fft2(x, norm="ortho")))
    True
    """
    require_measurements(data)
    require_count("ndim", ndim, most=data.ndim)
    axes = tuple(range(-ndim, 0))
    data = torch.fft.ifftshift(data, dim=axes)
    for axis in axes:
        n = data.shape[axis]
        turns = (torch.arange(n) * (n // 2) % n).double() / n
        phase = torch.exp(-2j * math.pi * turns).to(data)
        data = data * phase.reshape(-1, *[1] * (-axis - 1))
    return data


class SamplingEnergy(VariationEnergy):
    """The energy with weights of a sampling pattern; several coils see less than everything."""

    def strong_convexity(self, params):
        """Return ``least min w + xi`` with ``A^* A >= least`` of the fidelity."""
        whole = super().strong_convexity(params)
        xi = float(self.coefficients(params.detach()).xi)
        return getattr(self.fidelity, "least", 1.0) * (whole - xi) + xi


def sampling_problem(
    truth: torch.Tensor,
    data: torch.Tensor,
    pattern: Pattern,
    regularizer: Regularizer,
    alpha: float,
    beta: tuple[float, float] = (0.1, 0.1),
    xi: float = 1e-2,
    sensitivities: torch.Tensor | None = None,
) -> BilevelProblem:
    """Return the problem of learning ``params = t``, in [0, 1], for a given ``alpha``.

    Parameters
    ----------
    truth : tensor ``(B, *shape)``
        Images, complex or real; reconstructions are what they are.
    data : complex tensor ``(B, *shape)``, or ``(B, C, *shape)`` for several coils
        Fully sampled measurements, centered, as of `operators.SampledFourier` with weights one, or
        of `operators.MultiCoilFourier`.
    pattern : Pattern
    regularizer : Regularizer
    alpha : float
        Positive; without effect for `no_regularizer`.
    beta : tuple of two float
        ``(beta_1, beta_2)``, nonnegative: the price of sampling, and of undecided parameters.
    xi : float
        Strong convexity, positive.
    sensitivities : complex tensor ``(C, *shape)``, optional
        Of the coils, with ``sum_c |s_c|^2 <= 1``.

    Returns
    -------
    problem : BilevelProblem
        With penalty and bounds; start at ``torch.ones(pattern.size)``, full sampling.

    Raises
    ------
    ValueError
        If shapes do not fit or numbers are out of range.
    """
    require_positive("alpha", alpha)
    require_regularizer(regularizer, truth)
    fidelity, data = measured(truth, data, sensitivities)
    require_pattern(pattern, truth)
    factor = 0.0 if regularizer.is_zero else float(alpha)

    def coefficients(params):
        weights = repeated(pattern.weights(params) ** 2, sensitivities)
        return Coefficients(factor, regularizer.nu, xi, weights)

    return _problem(fidelity, regularizer, coefficients, truth, data, xi,
                    sampling_penalty(pattern, beta), 0.0, 1.0)  # fmt: skip


def sampling_and_alpha_problem(
    truth: torch.Tensor,
    data: torch.Tensor,
    pattern: Pattern,
    regularizer: Regularizer,
    beta: tuple[float, float] = (0.1, 0.1),
    xi: float = 1e-2,
    sensitivities: torch.Tensor | None = None,
) -> BilevelProblem:
    """Return the problem of learning ``params = (t, log alpha)``, else as `sampling_problem`.

    Raises
    ------
    ValueError
        Also for `no_regularizer`, which has no alpha.
    """
    _require_alpha(regularizer, truth)
    fidelity, data = measured(truth, data, sensitivities)
    require_pattern(pattern, truth)

    def coefficients(params):
        weights = repeated(pattern.weights(params[:-1]) ** 2, sensitivities)
        return Coefficients(params[-1].exp(), regularizer.nu, xi, weights)

    alone = sampling_penalty(pattern, beta)
    lower = torch.zeros(pattern.size + 1, dtype=torch.float64)
    upper = torch.ones(pattern.size + 1, dtype=torch.float64)
    lower[-1], upper[-1] = LOG_ALPHA
    return _problem(fidelity, regularizer, coefficients, truth, data, xi,
                    lambda params: alone(params[:-1]), lower, upper)  # fmt: skip


def alpha_problem(
    truth: torch.Tensor,
    data: torch.Tensor,
    weights: torch.Tensor | np.ndarray,
    regularizer: Regularizer,
    xi: float = 1e-2,
    sensitivities: torch.Tensor | None = None,
) -> BilevelProblem:
    """Return the problem of learning ``params = (log alpha,)`` for centered weights or a mask.

    Parameters
    ----------
    weights : array ``(*shape)``
        ``s``, centered, real numbers or bool; the energy has ``s^2``.
    truth, data, regularizer, xi, sensitivities
        As for `sampling_problem`; the values of data where ``s`` is zero do not matter.
    """
    _require_alpha(regularizer, truth)
    fidelity, data = measured(truth, data, sensitivities)
    weights = require_numbers("weights", weights, tuple(truth.shape[1:]))
    squares = repeated(torch.fft.ifftshift(weights) ** 2, sensitivities)

    def coefficients(params):
        return Coefficients(params[0].exp(), regularizer.nu, xi, squares)

    return _problem(fidelity, regularizer, coefficients, truth, data, xi, no_penalty, *LOG_ALPHA)


def sampling_penalty(pattern, beta):
    """Return ``t -> 1/N sum_m n_m (beta_1 t_m + beta_2 t_m (1 - t_m))``."""
    first, second = require_prices(beta)
    shares = pattern.counts / math.prod(pattern.shape)

    def penalty(t):
        return (shares.to(t) * (first * t + second * t * (1 - t))).sum()

    return penalty


def error_factor(truth):
    """Return ``c``: the squared error becomes its mean over the real entries of all images."""
    return 1 / (truth.numel() * (2 if truth.is_complex() else 1))


def measured(truth, data, sensitivities):
    """Return the fidelity and the data with frequency zero first, after checks."""
    require_scans(truth, data, sensitivities)
    shape = tuple(truth.shape[1:])
    data = uncentered(data, len(shape))
    if sensitivities is None:
        return FourierSampling(), data
    return CoilSampling(sensitivities.to(data.dtype)), one_below_the_other(data)


def repeated(weights, sensitivities):
    """Return weights ``(*batch, *shape)`` for all coils, one below the other, or as they are."""
    if sensitivities is None:
        return weights
    first = 1 - sensitivities.ndim
    return torch.cat([weights] * len(sensitivities), dim=first)


def _problem(fidelity, regularizer, coefficients, truth, data, xi, penalty, lower, upper):
    require_positive("xi", xi)
    energy = SamplingEnergy(fidelity, regularizer.transform, regularizer.potential, coefficients)
    loss = SquaredError(truth, error_factor(truth))
    return BilevelProblem(energy, data, loss, torch.zeros_like(truth), penalty, lower, upper)


def require_pattern(pattern, truth):
    """Raise unless this is a pattern for such images."""
    require_kind("pattern", pattern, Pattern, "build it with points, lines or spokes")
    if pattern.shape != tuple(truth.shape[1:]):
        raise ValueError(f"pattern has shape {pattern.shape}, expected {tuple(truth.shape[1:])}, "
                         "the shape of an image; build it with points(truth.shape[1:]).")


def require_regularizer(regularizer, truth):
    """Raise unless this is a regularizer of such images."""
    require_samples("truth", truth)
    require_kind("regularizer", regularizer, Regularizer,
                 "build it with smoothed_variation(truth.shape[1:])")
    shape = getattr(regularizer.transform, "shape", None)
    if shape is not None and tuple(shape) != tuple(truth.shape[1:]):
        raise ValueError(f"regularizer is for images of shape {tuple(shape)}, expected "
                         f"{tuple(truth.shape[1:])}; build it with that shape.")


def _require_alpha(regularizer, truth):
    require_regularizer(regularizer, truth)
    if regularizer.is_zero:
        raise ValueError("regularizer is zero, so that alpha cannot be learned; expected another, "
                         "or use sampling_problem.")
