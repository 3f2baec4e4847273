r"""Coefficients of an energy as functions of the learned parameters.

Energies in closed form know the derivatives in their coefficients: regularization parameter
``alpha``, smoothing ``nu``, strong convexity ``xi`` and the weights of the data. How these depend
on ``params`` is a function that torch differentiates, such as

    lambda p: Coefficients(10 ** p[0], 1e-3, 1e-3)                      # log10 alpha
    lambda p: Coefficients(p[-1], 1e-2, 1e-2, p[:-1].reshape(n, n)**2)  # a weight for every point
    lambda p: Coefficients(alpha, 1e-2, 1e-2, (lines @ p).reshape(n, n))      # a linear map of them
"""

from typing import Any, NamedTuple

import torch

from odl_learned.validation import require_positive


class Coefficients(NamedTuple):
    r"""Coefficients of :math:`\frac12 |A x - y|_w^2 + \alpha \sum \phi_\nu + \frac{\xi}{2} |x|^2`.

    Parameters
    ----------
    alpha, nu, xi : float or tensor without axes
        Nonnegative, positive, nonnegative.
    weights : tensor of the shape of the data of one sample, optional
        Nonnegative, ``|r|_w^2 = sum_j w_j |r_j|^2``. Default: ones.
    """

    alpha: Any
    nu: Any
    xi: Any
    weights: Any = None


def decimal(params):
    """Return the coefficients for ``params = log10 (alpha, nu, xi)``."""
    return Coefficients(10 ** params[0], 10 ** params[1], 10 ** params[2])


def decimal_times_alpha(params):
    """Return the same with ``xi`` inside: ``alpha (sum phi_nu + xi/2 |x|^2)``."""
    return Coefficients(10 ** params[0], 10 ** params[1], 10 ** (params[0] + params[2]))


def natural(params):
    """Return the coefficients for ``params = log (alpha, nu)``, without ``xi``."""
    return Coefficients(params[0].exp(), params[1].exp(), 0.0)


def decimal_alpha(nu, xi):
    """Return ``params -> coefficients`` for ``params = (log10 alpha,)`` and constants."""
    _require_constants(nu, xi)
    return lambda params: Coefficients(10 ** params[0], nu, xi)


def squared_weights(shape, nu, xi):
    """Return coefficients of ``params = (s, alpha)``: weights ``s^2`` of the data, and alpha.

    Parameters
    ----------
    shape : tuple of int
        Shape of the data of one sample; ``s`` is its entries in order.
    nu, xi : float
        Constants.

    Returns
    -------
    coefficients : callable
        For parameters of shape ``(prod(shape) + 1,)``.
    """
    _require_constants(nu, xi)
    return lambda params: Coefficients(params[-1], nu, xi, params[:-1].reshape(shape) ** 2)


def odds_weights(alpha, nu, xi):
    """Return coefficients for ``params = c`` in [0, 1) of a signal: weights ``c / (1 - c)``."""
    _require_constants(nu, xi)
    return lambda params: Coefficients(alpha, nu, xi, params / (1 - params))


def _require_constants(nu, xi):
    require_positive("nu", nu)
    if xi != 0:
        require_positive("xi", xi)


def evaluated(coefficients, params):
    """Return coefficients as tensors without graph, weights None where there are none."""
    with torch.no_grad():
        return coefficients(params.detach())


def evaluated_like(coefficients, params, x):
    """Return coefficients as floats, and weights in the precision and on the device of ``x``.

    Raises
    ------
    ValueError
        If alpha, nu or xi is negative.
    """
    c = evaluated(coefficients, params)
    real = x.real.dtype if x.is_complex() else x.dtype
    weights = None if c.weights is None else c.weights.to(x.device, real)
    c = c._replace(alpha=float(c.alpha), nu=float(c.nu), xi=float(c.xi), weights=weights)
    if c.alpha < 0 or c.nu < 0 or c.xi < 0:
        raise ValueError(
            f"the coefficients are alpha = {c.alpha:g}, nu = {c.nu:g} and xi = {c.xi:g}, "
            "expected none below zero; bound the parameters by `lower` of the problem, or "
            "learn logarithms."
        )
    return c


def require_coefficients(c):
    """Raise TypeError unless ``c`` are `Coefficients`, ValueError unless nu is positive."""
    if not isinstance(c, Coefficients):
        raise TypeError(
            f"the coefficients are {c!r}, expected Coefficients(alpha, nu, xi, weights); let "
            "the function of params return them."
        )
    if not (c.nu > 0 or torch.isnan(torch.as_tensor(c.nu))):
        raise ValueError(
            f"the coefficient nu is {float(c.nu):g}, expected a positive number; bound the "
            "parameters by `lower` of the problem, or learn its logarithm."
        )
