r"""Variances of all pixels, exactly and in one sweep, and covariances with one pixel.

Pixel by pixel from the last one on, ``u_i = -sum_k b_k u_{i+k} + e^{-l_i} w_i``. So the covariance
of ``u_i`` with what came before is a combination of ``K`` known rows,

    Cov(u_i, .) = -sum_k b_k Cov(u_{i+k}, .),
    Var u_i     = e^{-2 l_i} - sum_k b_k Cov(u_i, u_{i+k}),

and nothing but the last ``R = C (d W + d + 1)`` pixels is ever asked for again: a square of ``R``
numbers, whose rows are overwritten in turn. ``n K R`` operations, where dense matrices take
``n^3``.
"""

import numpy as np
import torch

from odl_learned.regularizers.generative.precision.precision import Precision
from odl_learned.regularizers.generative.precision.preconditioners import require_precision
from odl_learned.validation import shown


def marginal_variances(precision: Precision) -> torch.Tensor:
    """Return the variances of all pixels, the diagonal of ``P^-1``, of shape ``(N, *image)``.

    Exact up to rounding; computed on the CPU in double precision, without derivatives.

    Parameters
    ----------
    precision : Precision

    Raises
    ------
    TypeError
        If it is none.
    """
    require_precision(precision)
    diagonals, neighbors = (part.detach().double().cpu().numpy()
                            for part in (precision.log_diagonal, precision.neighbors))  # fmt: skip
    result = np.stack([_variances(diagonal, below, precision.hood)
                       for diagonal, below in zip(diagonals, neighbors, strict=True)])  # fmt: skip
    return torch.from_numpy(result).reshape(precision.scale.shape).to(precision.scale)


def covariances(precision: Precision, pixel: tuple[int, ...]) -> torch.Tensor:
    """Return the covariances of all pixels with one, a column of ``P^-1``, ``(N, *image)``.

    By two triangular solves, differentiable in the coefficients.

    Parameters
    ----------
    precision : Precision
    pixel : tuple of int
        ``(i, j)``, with channels ``(c, i, j)``.

    Raises
    ------
    TypeError, ValueError
        If the precision is none, or the pixel is none of the image.
    """
    return precision.covariance_times(unit_image(precision, pixel))


def unit_image(precision: Precision, pixel: tuple[int, ...]) -> torch.Tensor:
    """Return images ``(N, *image)`` that are one in a pixel, or raise if it is none of theirs."""
    require_precision(precision)
    if (not isinstance(pixel, tuple) or len(pixel) != len(precision.image)
            or not all(isinstance(i, int) and 0 <= i < n
                       for i, n in zip(pixel, precision.image))):  # fmt: skip
        raise ValueError(f"pixel is {shown(pixel)}, expected a tuple of {len(precision.image)} "
                         f"whole numbers in an image {precision.image}.")
    unit = torch.zeros_like(precision.scale)
    unit.movedim(0, -1)[pixel] = 1
    return unit


def correlations(precision: Precision, pixel: tuple[int, ...]) -> torch.Tensor:
    r"""Return the correlations of all pixels with one, between -1 and 1, ``(N, *image)``.

    .. math:: \frac{\Sigma_{ij}}{\sqrt{\Sigma_{ii} \Sigma_{jj}}}, \qquad \Sigma = P^{-1}

    Parameters, errors
        As `covariances`.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers.generative import precision
    >>> P = precision.Precision(torch.zeros(1, 3, 3), torch.full((1, 4, 3, 3), -0.3), radius=1)
    >>> print(precision.correlations(P, (1, 1))[0])
    tensor([[0.6010, 0.6111, 0.4602],
            [0.5131, 1.0000, 0.4495],
            [0.3606, 0.4709, 0.4101]])
    >>> c = precision.covariances(P, (1, 1))[0, 1, 1]
    >>> print(f"{c / precision.marginal_variances(P)[0, 1, 1]:.4f}")
    1.0000
    """
    column, variances = covariances(precision, pixel).detach(), marginal_variances(precision)
    own = variances.movedim(0, -1)[pixel].reshape(-1, *[1] * len(precision.image))
    return column / (own * variances).sqrt()


def _variances(log_diagonal, neighbors, hood):
    """Variances of one Gaussian, ``(H, W, C)`` flat put back to ``(C, H, W)``."""
    channels, (height, width) = hood.channels, neighbors.shape[1:]
    # Beyond the border there are coefficients that nothing is multiplied with.
    coefficients = (neighbors * hood.inside((height, width))).reshape(len(hood), height * width).T
    noise = np.exp(-2 * log_diagonal.reshape(channels, -1).T)
    length = channels * (hood.radius * (width + 1) + 1)
    terms = [[k for k, term in enumerate(hood.terms) if term[0] == c] for c in range(channels)]
    steps = [np.array([(a * width + b) * channels + other - c
                       for _, other, a, b in (hood.terms[k] for k in terms[c])], int)
             for c in range(channels)]  # fmt: skip
    covariance, result = np.zeros((length, length)), np.empty(height * width * channels)
    for i in range(len(result) - 1, -1, -1):
        pixel, c = divmod(i, channels)
        known, slot = (i + steps[c]) % length, i % length
        b = coefficients[pixel, terms[c]]
        row = -(b @ covariance[known])
        result[i] = row[slot] = noise[pixel, c] - b @ row[known]
        covariance[slot] = covariance[:, slot] = row
    return np.moveaxis(result.reshape(height, width, channels), -1, 0)
