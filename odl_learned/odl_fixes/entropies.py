r"""Repairs of Kullback-Leibler divergences: domains that contain what proximals return.

With the prior g, and in every entry, the values are

    KL             u - g + g log(g / u),    u > 0, or u = 0 = g,
    its conjugate  -g log(1 - p),           p < 1, or p = 1 and g = 0,
    cross          g - u + u log(u / g),    u >= 0, and u = 0 where g = 0,
    its conjugate  g (exp(p) - 1).

Proximals solve ``u^2 - (x - s) u = s g`` (KL), ``e^2 - (1 - x) e = s g`` with ``p = 1 - e`` (its
conjugate), ``w + log w = x / s + log(g / s)`` with ``u = s w`` (cross), and ``w + log w = x +
log(s g)`` with ``p = x - w`` (its conjugate), whose solution is Wright's omega function. Where
Moreau's identity would subtract large numbers, nothing cancels here. All is computed in double
precision; in the end ``u`` is kept away from zero and ``p`` from one, which rounding may reach:
``p`` by ``2 eps``, which leaves room for the rounding of a multiple.
"""

import numpy as np
import scipy.special
from array_api_compat import array_namespace, to_device
from odl.functionals.default_functionals import (
    KullbackLeibler,
    KullbackLeiblerConvexConj,
    KullbackLeiblerCrossEntropy,
    KullbackLeiblerCrossEntropyConvexConj,
)
from odl.solvers.nonsmooth import proximal_operators

from odl_learned.odl_fixes.projections import Projection
from odl_learned.odl_fixes.registry import cures, everywhere
from odl_learned.odl_fixes.sums import (
    arrays,
    assign,
    in_double,
    is_real_sum,
    precision,
    total,
    weights_of,
)


@cures("Kullback-Leibler divergences are infinite at their proximals, and finite at x < 0 = g.")
def divergences():
    integrands = {KullbackLeibler: _divergence, KullbackLeiblerConvexConj: _logarithm,
                  KullbackLeiblerCrossEntropy: _cross_entropy,
                  KullbackLeiblerCrossEntropyConvexConj: _exponential}
    for cls, integrand in integrands.items():
        yield cls, "_call", _integral(cls._call, integrand)


@cures("Proximals of Kullback-Leibler divergences leave the domain by cancellation or overflow.")
def divergence_proximals():
    # With the factor lam, prox_{s (lam f)*}(x) = lam prox_{(s / lam) f*}(x / lam).
    def of_conjugate(original, function):
        def factory(space, lam=1, g=None):
            if not is_real_sum(space) or (g is not None and g not in space):
                return original(space, lam=lam, g=g)
            lam = float(lam)

            def scaled(x, prior, sigma, eps):
                return lam * function(x / lam, prior, sigma / lam, eps)

            return lambda sigma: Projection(space, _entrywise(scaled, g, float(sigma)))

        return factory

    def of_functional(original, function):
        def proximal(self):
            if not is_real_sum(self.domain):
                return original.fget(self)
            return lambda sigma=1.0: Projection(
                self.domain, _entrywise(function, self.prior, float(sigma)))

        return property(proximal)

    kl = proximal_operators.proximal_convex_conj_kl
    cross = proximal_operators.proximal_convex_conj_kl_cross_entropy
    yield from everywhere(kl, of_conjugate(kl, _conjugate_root))
    yield from everywhere(cross, of_conjugate(cross, _conjugate_omega))
    for cls, function in ((KullbackLeibler, _root), (KullbackLeiblerCrossEntropy, _omega)):
        yield cls, "proximal", of_functional(cls.proximal, function)


def _integral(original, integrand):
    def _call(self, x):
        if not is_real_sum(self.domain):
            return original(self, x)
        parts = [in_double(a) for a in arrays(x)]
        values = [integrand(a, g) for a, g in zip(parts, _priors(self.prior, parts), strict=True)]
        return total(values, weights_of(x))

    return _call


def _entrywise(function, prior, sigma):
    def apply(x, out):
        parts = [in_double(a) for a in arrays(x)]
        assign(out, [function(a, g, sigma, precision(x.space))
                     for a, g in zip(parts, _priors(prior, parts), strict=True)])

    return apply


def _priors(prior, parts):
    """The prior for each part, one where there is none."""
    if prior is None:
        return [1 + 0 * part for part in parts]
    return [in_double(a) for a in arrays(prior)]


def _divergence(u, g):
    xp, counted = array_namespace(u), g > 0
    inside = xp.where(counted, u > 0, u >= 0)
    return xp.where(inside, u - g + g * _log_ratio(g, u, inside & counted), np.inf)


def _cross_entropy(u, g):
    xp, counted = array_namespace(u), u > 0
    inside = xp.where(counted, g > 0, u >= 0)
    return xp.where(inside, g - u + u * _log_ratio(u, g, inside & counted), np.inf)


def _logarithm(p, g):
    xp, counted = array_namespace(p), g > 0
    inside = xp.where(counted, p < 1, p <= 1)
    return xp.where(inside, -g * xp.log1p(-xp.where(inside & counted, p, 0.0)), np.inf)


def _exponential(p, g):
    xp = array_namespace(p)
    return g * xp.expm1(xp.where(g > 0, p, 0.0))


def _log_ratio(a, b, where):
    """``log(a / b)`` there, zero elsewhere."""
    xp = array_namespace(a)
    return xp.log(xp.where(where, a, 1.0)) - xp.log(xp.where(where, b, 1.0))


def _root(x, g, sigma, eps):
    xp = array_namespace(x)
    smallest = np.finfo(np.float64 if eps < 1e-9 else np.float32).tiny
    u = _positive_root(x - sigma, sigma * g)
    return xp.where(g > 0, xp.clip(u, float(smallest), None), u)


def _conjugate_root(x, g, sigma, eps):
    xp = array_namespace(x)
    p = 1 - _positive_root(1 - x, sigma * g)
    return xp.where(g > 0, xp.clip(p, None, 1 - 2 * eps), p)


def _positive_root(t, product):
    """The root of ``u^2 - t u - product``: the other one is ``-product / u``."""
    xp = array_namespace(t)
    q = xp.sqrt(t * t + 4 * product)
    rest = q - t
    return xp.where(t > 0, (t + q) / 2, 2 * product / xp.where(rest > 0, rest, 1.0))


def _omega(x, g, sigma, eps):
    return sigma * _wright(x / sigma + _log(g / sigma))


def _conjugate_omega(x, g, sigma, eps):
    # Where z > 0, x is large and almost w: x - w = log w - log(sigma g).
    xp = array_namespace(x)
    z = x + _log(sigma * g)
    w, large = _wright(z), z > 0
    return xp.where(large, _log_ratio(w, sigma * g, large), x - w)


def _wright(z):
    xp = array_namespace(z)
    values = scipy.special.wrightomega(np.asarray(to_device(z, "cpu")))
    return xp.asarray(values, device=z.device)


def _log(values):
    with np.errstate(divide="ignore"):
        return array_namespace(values).log(values)
