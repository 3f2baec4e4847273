"""Derivatives of the coefficients of an energy in the parameters: the chain rule, and bounds."""

import math

import torch

from odl_learned.energies.energy import UnsolvableError


def pulled_back(coefficients, params, derivatives):
    """Return derivatives in the coefficients as those in the parameters, by the chain rule.

    Parameters
    ----------
    coefficients : callable
        ``params -> Coefficients``.
    params : tensor ``(P,)``
    derivatives : dict of callables
        By name of the coefficient; called only where it depends on the parameters.

    Returns
    -------
    slope : tensor ``(P,)``
    """
    inner, learned = _learned(coefficients, params)
    slopes = [derivatives[name]().to(value) for name, value in learned.items()]
    (result,) = torch.autograd.grad(list(learned.values()), inner, slopes)
    return result


def slope_lengths(coefficients, params):
    """Return lengths of the gradients of learned coefficients, by name; infinite for arrays."""
    inner, learned = _learned(coefficients, params)
    lengths = {}
    for name, value in learned.items():
        if value.ndim:
            lengths[name] = math.inf
        else:
            (slope,) = torch.autograd.grad(value, inner, retain_graph=True)
            lengths[name] = float(slope.norm())
    return lengths


def coefficient_slopes(coefficients, params):
    """Return gradients of the coefficients alpha, nu, xi, ``(3, P)``, and `WeightSlopes` or None.

    Parameters
    ----------
    coefficients : callable
        ``params -> Coefficients``.
    params : tensor ``(P,)``
        Every weight must be a nondecreasing function of every parameter there.
    """
    params = params.detach()

    def numbers(theta):
        c = coefficients(theta)
        zero = 0 * theta.sum()
        return torch.stack([zero + value for value in (c.alpha, c.nu, c.xi)])

    weights = None
    with torch.enable_grad():
        inner = params.clone().requires_grad_()
        found = coefficients(inner)
        if isinstance(found.weights, torch.Tensor) and found.weights.requires_grad:
            weights = WeightSlopes(lambda theta: coefficients(theta).weights, params)
        jacobian = torch.autograd.functional.jacobian(numbers, params)
    return jacobian, weights


def joined_norms(numbers, weights, sizes, factors):
    r"""Bound ``|sum_k m_k grad c_k + C^T m|`` from ``|m_k|`` and ``|m_j| <= f_j |d_j|, |d| <= 1``.

    Parameters
    ----------
    numbers, weights
        ``grad c_k`` and ``C``, as returned by `coefficient_slopes`.
    sizes : tensor ``(3, B)``
        Bounds of ``|m_k|``.
    factors : tensor ``(B, *data shape)``
        ``f``, which does not count where no weight depends on the parameters.

    Returns
    -------
    bound : tensor ``(B,)``
    """
    gram = (numbers @ numbers.mT).abs().to(sizes)
    bound = torch.einsum("kb,kl,lb->b", sizes, gram, sizes).clamp_min(0).sqrt()
    if weights is None:
        return bound
    apart = not bool((numbers.abs().sum(0) * weights.support).any())
    return (torch.hypot if apart else torch.add)(bound, weights.norm(factors))


class WeightSlopes:
    """``C = d weights / d params``, with nonnegative entries.

    Parameters
    ----------
    weights : callable
        ``params -> weights``.
    params : tensor ``(P,)``

    Attributes
    ----------
    support : tensor ``(P,)``
        Positive for the parameters that a weight depends on.
    """

    def __init__(self, weights, params):
        self._weights, self._params = weights, params
        self._value = weights(params)
        self.support = self._pulled(torch.ones_like(self._value))
        ones = torch.ones_like(params)
        _, self._columns = torch.func.jvp(weights, (params,), (ones,))
        if (self._columns < 0).any() or (self.support < 0).any():
            raise UnsolvableError(
                "a weight of the data decreases in a parameter; bounds need weights that do not, "
                "such as squares of nonnegative parameters. Bound the parameters from below by 0."
            )

    def _pulled(self, values):
        return torch.func.vjp(self._weights, self._params)[1](values)[0]

    def norm(self, factors):
        """Bound ``|C^T diag(f_b)|`` by Schur's test, for every sample, ``(B,)``."""
        rows = torch.stack([self._pulled(f.to(self._value)).amax() for f in factors]).to(factors)
        return (rows * (factors * self._columns).flatten(1).amax(1)).sqrt()


def _learned(coefficients, params):
    """The parameters, and the coefficients that depend on them, with a graph."""
    with torch.enable_grad():
        inner = params.detach().requires_grad_()
        c = coefficients(inner)
    return inner, {name: value for name, value in c._asdict().items()
                      if isinstance(value, torch.Tensor) and value.requires_grad}
