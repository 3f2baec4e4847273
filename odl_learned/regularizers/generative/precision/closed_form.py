r"""The precision of greatest likelihood in closed form: one small regression per pixel.

For residuals ``r`` around a mean, and white noise of deviation ``sigma`` added to them, the
expected log density is a sum over pixels of

    l_i - e^{2 l_i} / 2 E (r_i + b_i . n_i)^2,      n_i = (r_{i+k})_k  the later neighbors,

in which ``b_i`` solves ``(E n_i n_i^T + sigma^2 I) b_i = -E r_i n_i``, and ``e^{-2 l_i}`` is what
the regression leaves over. In the entries ``e^l, e^l b`` of L it is concave: this is the maximum.
"""

import numpy as np
import torch

from odl_learned.operators.triangular import Neighborhood
from odl_learned.regularizers.generative.precision.precision import Precision
from odl_learned.validation import is_finite_number, require_nonnegative, require_positive, shown


def white_precision(residuals: torch.Tensor, noise: float = 0.0) -> Precision:
    """Return the multiple of the identity of greatest likelihood, of radius 0.

    Parameters
    ----------
    residuals, noise
        As for `most_likely_precision`.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers.generative import precision
    >>> residuals = 0.5 * torch.randn(400, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> white = precision.white_precision(residuals, noise=0.0)
    >>> print(f"{precision.marginal_variances(white).mean():.2f}")  # 0.5^2
    0.25
    """
    _check(residuals, noise)
    image = residuals.shape[1:]
    variance = residuals.double().square().mean() + noise**2
    require_positive("variance of the residuals", float(variance))
    neighbors = torch.zeros(1, len(Neighborhood(0, _channels(image))), *image[-2:])
    return Precision((-variance.log() / 2).to(residuals.dtype).expand(1, *image),
                     neighbors.to(residuals), 0)  # fmt: skip


def most_likely_precision(
    residuals: torch.Tensor,
    radius: int,
    noise: float = 0.0,
    shrinkage: float = 0.0,
    mask: np.ndarray | None = None,
) -> Precision:
    r"""Return the precision of greatest likelihood of residuals, in closed form.

    .. math:: \max_{l, b} \; \sum_i \Big( l_i - \tfrac12 \, E \, e^{2 l_i}
              \Big( \rho_i + \sum_{k \in N_d} b_{k,i} \, \rho_{i+k} \Big)^2 \Big),
              \qquad \rho = r + \sigma \epsilon,

    with the mean over the residuals ``r`` and white noise ``epsilon``. The noise bounds the
    diagonal, ``e^-l >= sigma``, and is a ridge for the regressions. With fewer residuals than a few
    times the number of neighbors, shrink: the second moments at a pixel are replaced by
    ``(1 - shrinkage)`` of them and ``shrinkage`` of their mean over all pixels.

    Parameters
    ----------
    residuals : real tensor ``(n, H, W)``, or ``(n, C, H, W)`` with channels
        Images minus their means, such as what a generator makes of them.
    radius : int
        ``d``, see `Precision`.
    noise : float, optional
        ``sigma``, in the unit of the images.
    shrinkage : float, optional
        From 0, every pixel by itself, to 1, a stationary model.
    mask : array of bool ``(H, W)``, optional
        See `Precision`.

    Returns
    -------
    precision : Precision
        One, on the device and in the dtype of the residuals; the moments are summed in double
        precision.

    Raises
    ------
    TypeError
        If the residuals are no tensor of real numbers.
    ValueError
        If they have the wrong axes, a number is out of bounds, or a pixel varies so little, or
        there are so few residuals, that there is no maximum.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers.generative import precision
    >>> white = torch.randn(400, 4, 5, generator=torch.Generator().manual_seed(0))
    >>> smooth = (white[..., 1:] + white[..., :-1]) / 2 ** 0.5
    >>> likely = precision.most_likely_precision(smooth, radius=1, noise=0.01, shrinkage=1.0)
    >>> print(f"{precision.correlations(likely, (2, 2))[0, 2, 1]:.1f}")  # of neighbors: 1/2
    0.5
    """
    _check(residuals, noise)
    if not (is_finite_number(shrinkage) and 0 <= shrinkage <= 1):
        raise ValueError(f"shrinkage is {shown(shrinkage)}, expected a number from 0 to 1.")
    image = residuals.shape[1:]
    hood = Neighborhood(radius, _channels(image))
    inside = torch.from_numpy(hood.inside((image[-2], image[-1]), mask)).to(residuals.device)
    r = residuals.double().reshape(len(residuals), hood.channels, *image[-2:])
    log_diagonal, neighbors = r.new_empty(r.shape[1:]), r.new_empty(inside.shape)
    for c in range(hood.channels):
        own = [k for k, term in enumerate(hood.terms) if term[0] == c]
        moments = _moments(r, c, own, hood, inside)
        moments[..., range(len(own) + 1), range(len(own) + 1)] += noise**2
        if shrinkage:
            moments = _shrunken(moments, shrinkage, inside[own])
        neighbors[own], log_diagonal[c] = _regression(moments, inside[own])
    return Precision(log_diagonal.reshape(1, *image).to(residuals.dtype),
                     neighbors[None].to(residuals.dtype), radius, mask)  # fmt: skip


def _moments(r, c, own, hood, inside):
    """``E x x^T`` for ``x = (r_i, n_i)``, zero outside: ``(H, W, 1 + K, 1 + K)``, row by row."""
    d, (height, width) = hood.radius, r.shape[-2:]
    padded = torch.nn.functional.pad(r, (d, d, 0, d))
    rows = []
    for i in range(height):
        x = [r[:, c, i]] + [
            padded[:, source, i + a, d + b : d + b + width] * inside[k, i]
            for k, (_, source, a, b) in ((k, hood.terms[k]) for k in own)]
        x = torch.stack(x).permute(2, 0, 1)  # (W, 1 + K, n)
        rows.append(x @ x.mT / len(r))
    return torch.stack(rows)


def _shrunken(moments, shrinkage, inside):
    """Moments drawn to their mean over the pixels that have both of the neighbors."""
    there = torch.cat([torch.ones_like(inside[:1]), inside]).permute(1, 2, 0).to(moments.dtype)
    pairs = there[..., :, None] * there[..., None, :]
    mean = (moments * pairs).sum((0, 1)) / pairs.sum((0, 1)).clamp_min(1)
    return (1 - shrinkage) * moments + shrinkage * mean * pairs


def _regression(moments, inside):
    """Coefficients ``(K, H, W)`` and ``l`` of the regression of the first variable on the others.

    Variables outside have no moments, and get coefficients zero by a one on the diagonal.
    """
    matrix, vector = moments[..., 1:, 1:], moments[..., 1:, 0]
    matrix = matrix + torch.diag_embed((~inside).permute(1, 2, 0).to(matrix.dtype))
    factor, failed = torch.linalg.cholesky_ex(matrix)
    b = -torch.cholesky_solve(vector[..., None], factor)[..., 0] * inside.permute(1, 2, 0)
    left = moments[..., 0, 0] + (vector * b).sum(-1)
    # What a regression leaves over rounds relative to the variance.
    bad = int(((failed > 0) | (left <= 1e-12 * moments[..., 0, 0])).sum())
    if bad:
        raise ValueError(f"{bad} pixels are functions of their later neighbors in all residuals, "
                         "so that the likelihood has no maximum; pass noise > 0, more residuals, "
                         "or shrinkage.")
    return b.permute(2, 0, 1), -left.log() / 2


def _check(residuals, noise):
    if not isinstance(residuals, torch.Tensor) or not residuals.is_floating_point():
        raise TypeError(f"residuals are {shown(residuals)}, expected a tensor of real numbers.")
    if residuals.ndim not in (3, 4) or not residuals.numel():
        raise ValueError(f"residuals have shape {tuple(residuals.shape)}, expected (n, H, W), or "
                         "(n, C, H, W) with channels.")
    if residuals.device.type == "meta" or not residuals.isfinite().all():
        raise ValueError("residuals have no values or such that are NaN or infinite; expected "
                         "finite numbers only. Find them with torch.isfinite.")
    require_nonnegative("noise", noise)


def _channels(image):
    return image[0] if len(image) == 3 else 1
