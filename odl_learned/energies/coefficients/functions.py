r"""Coefficients of an energy as functions of the learned parameters.

Energies in closed form know the derivatives in their coefficients: regularization parameter
``alpha``, smoothing ``nu``, strong convexity ``xi`` and the weights of the data. How these depend
on ``params`` is a function that torch differentiates, such as

    lambda p: Coefficients(10 ** p[0], 1e-3, 1e-3)                      # log10 alpha
    lambda p: Coefficients(p[-1], 1e-2, 1e-2, p[:-1].reshape(n, n)**2)  # a weight for every point
    lambda p: Coefficients(alpha, 1e-2, 1e-2, (lines @ p).reshape(n, n))      # a linear map of them
"""

import math
import numbers
from collections.abc import Callable
from typing import NamedTuple

import torch

from odl_learned.energies.doors import require_images, require_length
from odl_learned.energies.energy import UnsolvableError
from odl_learned.validation import require_image_shape, require_nonnegative, require_positive


class Coefficients(NamedTuple):
    r"""Coefficients of :math:`\frac12 |A x - y|_w^2 + \alpha \sum \phi_\nu + \frac{\xi}{2} |x|^2`.

    Parameters
    ----------
    alpha, nu, xi : float or tensor without axes
        Nonnegative, positive, nonnegative.
    weights : tensor of the shape of the data of one sample, optional
        Nonnegative, ``|r|_w^2 = sum_j w_j |r_j|^2``. Default: ones.
    """

    alpha: float | torch.Tensor
    nu: float | torch.Tensor
    xi: float | torch.Tensor
    weights: torch.Tensor | None = None


def decimal(params: torch.Tensor) -> Coefficients:
    """Return the coefficients for ``params = log10 (alpha, nu, xi)``."""
    require_length(params, 3, "log10 of alpha, nu and xi")
    return Coefficients(10 ** params[0], 10 ** params[1], 10 ** params[2])


def decimal_times_alpha(params: torch.Tensor) -> Coefficients:
    """Return the same with ``xi`` inside: ``alpha (sum phi_nu + xi/2 |x|^2)``.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.energies import coefficients
    >>> c = coefficients.decimal_times_alpha(torch.tensor([-1.0, -2.0, -3.0]))
    >>> isinstance(c, coefficients.Coefficients)
    True
    >>> print(f"{c.alpha:.0e} {c.nu:.0e} {c.xi:.0e}")  # xi is multiplied by alpha
    1e-01 1e-02 1e-04
    """
    require_length(params, 3, "log10 of alpha, nu and xi")
    return Coefficients(10 ** params[0], 10 ** params[1], 10 ** (params[0] + params[2]))


def natural(params: torch.Tensor) -> Coefficients:
    """Return the coefficients for ``params = log (alpha, nu)``, without ``xi``."""
    require_length(params, 2, "logarithms of alpha and nu")
    return Coefficients(params[0].exp(), params[1].exp(), 0.0)


def decimal_alpha(nu: float, xi: float) -> Callable[[torch.Tensor], Coefficients]:
    """Return ``params -> coefficients`` for ``params = (log10 alpha,)`` and constants."""
    _require_constants(nu, xi)

    def coefficients(params):
        require_length(params, 1, "log10 of alpha")
        return Coefficients(10 ** params[0], nu, xi)

    return coefficients


def squared_weights(
    shape: tuple[int, ...], nu: float, xi: float
) -> Callable[[torch.Tensor], Coefficients]:
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

    Examples
    --------
    >>> import torch
    >>> from odl_learned.energies import coefficients
    >>> of = coefficients.squared_weights((2,), nu=0.1, xi=0.1)
    >>> c = of(torch.tensor([1.0, 2.0, 0.5]))
    >>> print(c.weights, c.alpha)
    tensor([1., 4.]) tensor(0.5000)
    """
    _require_constants(nu, xi)
    shape = require_image_shape(shape)
    length = math.prod(shape) + 1

    def coefficients(params):
        require_length(params, length, f"roots of weights of the shape {shape}, and alpha")
        return Coefficients(params[-1], nu, xi, params[:-1].reshape(shape) ** 2)

    return coefficients


def odds_weights(alpha: float, nu: float, xi: float) -> Callable[[torch.Tensor], Coefficients]:
    """Return coefficients for ``params = c`` in [0, 1) of a signal: weights ``c / (1 - c)``.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.energies import coefficients
    >>> of = coefficients.odds_weights(alpha=0.1, nu=0.1, xi=0.1)
    >>> print(of(torch.tensor([0.0, 0.5])).weights)  # c / (1 - c)
    tensor([0., 1.])
    """
    _require_constants(nu, xi)
    require_nonnegative("alpha", alpha)
    return lambda params: Coefficients(alpha, nu, xi, params / (1 - params))


def _require_constants(nu, xi):
    require_positive("nu", nu)
    require_nonnegative("xi", xi)


def evaluated(coefficients, params):
    """Return coefficients as tensors without graph, weights None where there are none."""
    if not isinstance(params, torch.Tensor):
        raise TypeError(f"params is {type(params).__name__}, expected a tensor of real floats; "
                        "pass torch.tensor([...], dtype=torch.float64).")
    if params.ndim != 1:
        raise ValueError(f"params has shape {tuple(params.shape)}, expected (P,), one axis.")
    try:
        with torch.no_grad():
            return coefficients(params.detach())
    except (IndexError, RuntimeError) as error:
        raise ValueError(f"the coefficients cannot be computed from {len(params)} parameters "
                         f"({error}); expected as many as their function uses.") from error


def evaluated_like(coefficients, params, x):
    """Return coefficients as floats, and weights in the precision and on the device of ``x``.

    Raises
    ------
    TypeError, UnsolvableError
        As `require_coefficients`.
    """
    require_images("x", x)
    c = evaluated(coefficients, params)
    alpha, nu, xi = require_coefficients(c)
    real = x.real.dtype if x.is_complex() else x.dtype
    weights = None if c.weights is None else c.weights.to(x.device, real)
    return Coefficients(alpha, nu, xi, weights)


def require_coefficients(c):
    """Return alpha, nu and xi as floats, after checks.

    Raises
    ------
    TypeError
        If these are no real numbers, weights no tensor of them, or ``c`` no `Coefficients`.
    UnsolvableError
        If a number is not finite, alpha or xi is negative, or nu is not positive.
    """
    if not isinstance(c, Coefficients):
        raise TypeError(
            f"the coefficients are {c!r}, expected Coefficients(alpha, nu, xi, weights); let "
            "the function of params return them."
        )
    alpha, nu, xi = _number("alpha", c.alpha), _number("nu", c.nu), _number("xi", c.xi)
    weights = c.weights
    if weights is not None and not (
        isinstance(weights, torch.Tensor) and weights.is_floating_point()
    ):
        given = weights.dtype if isinstance(weights, torch.Tensor) else type(weights).__name__
        raise TypeError(f"the weights of the coefficients are {given}, expected a tensor of real "
                        "floats, of the shape of the data of one sample, or None.")
    if not (math.isfinite(alpha) and math.isfinite(nu) and math.isfinite(xi)):
        raise UnsolvableError(
            f"the coefficients are alpha = {alpha:g}, nu = {nu:g} and xi = {xi:g}, expected finite "
            "numbers; bound the parameters by `lower` and `upper` of the problem."
        )
    if alpha < 0 or nu < 0 or xi < 0:
        raise UnsolvableError(
            f"the coefficients are alpha = {alpha:g}, nu = {nu:g} and xi = {xi:g}, "
            "expected none below zero; bound the parameters by `lower` of the problem, or "
            "learn logarithms."
        )
    if nu == 0:
        raise UnsolvableError(
            "the coefficient nu is 0, expected a positive number; bound the parameters by `lower` "
            "of the problem, or learn its logarithm."
        )
    return alpha, nu, xi


def _number(name, value):
    if isinstance(value, torch.Tensor):
        is_number = value.ndim == 0 and not value.is_complex() and not value.is_meta
    else:
        is_number = isinstance(value, numbers.Real)
    if not is_number:
        given = f"{type(value).__name__} {value!r}"
        if isinstance(value, torch.Tensor):
            given = f"a tensor of shape {tuple(value.shape)} and {value.dtype}"
        raise TypeError(f"the coefficient {name} is {given}, expected a real number or a tensor "
                        "without axes; let the function of params return such.")
    return float(value)
