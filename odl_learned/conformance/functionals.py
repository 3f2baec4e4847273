"""Checks of ODL functionals: values, gradients, constants, proximals, conjugates."""

import numpy as np

from odl_learned.conformance.failure import require, require_small
from odl_learned.conformance.sampling import (
    available,
    has_gradient,
    has_proximal,
    positive,
    precision,
    sample,
)


def check_real_valued(f, rng):
    """Values are Python floats, also on complex spaces."""
    value = f(sample(f, rng))
    require(isinstance(value, float), f"value {value!r} is {type(value).__name__}, expected float")


def check_gradient(f, rng):
    """``Re <grad f(x), h>`` is the directional derivative, by central differences."""
    if not has_gradient(f):
        return
    x, h = sample(f, rng), sample(f, rng)
    step = precision(f) ** (1 / 3)
    quotient = (f(x + step * h) - f(x - step * h)) / (2 * step)
    slope = np.real(f.gradient(x).inner(h))
    scale = max(abs(slope), f.gradient(x).norm() * h.norm(), 1e-30)
    require_small(abs(quotient - slope) / scale, 100 * precision(f) ** (2 / 3), "<grad f(x), h>")


def check_lipschitz(f, rng):
    """``|grad f(x) - grad f(z)| <= L |x - z|`` where a finite ``grad_lipschitz`` is declared.

    Points outside of the domain of the functional, where its value is infinite, do not count.
    """
    if not has_gradient(f) or not np.isfinite(f.grad_lipschitz):
        return
    x = sample(f, rng)
    for scale in (1e-2, 1.0, 1e2):
        z = x + scale * (sample(f, rng) - x)
        if not np.isfinite(f(z)):
            continue
        ratio = (f.gradient(x) - f.gradient(z)).norm() / positive((x - z).norm())
        require(ratio <= f.grad_lipschitz * (1 + 1e-4) + 1e-12,
                f"gradient varies by {ratio:.4g}, more than the declared {f.grad_lipschitz:.4g}")


def check_strong_convexity(f, rng):
    """``Re <grad f(x) - grad f(z), x - z> >= mu |x - z|^2`` where ``strong_convexity`` is given."""
    strong_convexity = getattr(f, "strong_convexity", None)
    if strong_convexity is None or not has_gradient(f):
        return
    x, z = sample(f, rng), sample(f, rng)
    product = np.real((f.gradient(x) - f.gradient(z)).inner(x - z))
    bound = strong_convexity * (x - z).norm() ** 2
    require(product >= bound * (1 - 1e-4), f"monotone only by {product:.4g}, declared {bound:.4g}")


def check_proximal(f, rng, sigma=0.7):
    """``prox(x)`` minimizes ``f(u) + |u - x|^2 / (2 sigma)``: no neighbor is better."""
    if not has_proximal(f):
        return
    x = sample(f, rng)
    p = f.proximal(sigma)(x)

    def energy(u):
        return f(u) + (u - x).norm() ** 2 / (2 * sigma)

    best = energy(p)
    require(np.isfinite(best), f"f(prox(x)) is {f(p)}, expected a finite value")
    others = [p + t * (sample(f, rng) - p) for t in (1e-3, 1e-2, 1e-1, 1.0) for _ in range(8)]
    others += [p + t * (x - p) for t in (1e-3, 1e-2, 1e-1)]
    worst = min(energy(u) for u in others)
    require(worst >= best - 10 * precision(f) * max(abs(best), 1.0),
            f"prox(x) has energy {best:.8g}, a neighbor has {worst:.8g}")


def check_proximal_aliasing(f, rng, sigma=0.7):
    """``prox(x, out=x)`` gives what ``prox(x)`` gives."""
    if not has_proximal(f):
        return
    x, prox = sample(f, rng), f.proximal(sigma)
    expected = prox(x)
    prox(x, out=x)
    require_small((x - expected).norm() / positive(expected.norm()), precision(f), "prox(x, out=x)")


def check_firmly_nonexpansive(f, rng, sigma=0.7):
    """``|p - q|^2 <= Re <p - q, x - z>`` for ``p = prox(x)``, ``q = prox(z)``."""
    if not has_proximal(f):
        return
    x, z, prox = sample(f, rng), sample(f, rng), f.proximal(sigma)
    difference = prox(x) - prox(z)
    product = np.real(difference.inner(x - z))
    slack = 10 * precision(f) * (x - z).norm() ** 2
    require(difference.norm() ** 2 <= product + slack, "prox is not firmly nonexpansive")


def check_moreau(f, rng, sigma=0.7):
    """``x = prox_{sigma f}(x) + sigma prox_{f* / sigma}(x / sigma)``."""
    if not has_proximal(f) or not available(lambda: f.convex_conj.proximal(1.0)):
        return
    x = sample(f, rng)
    rest = f.convex_conj.proximal(1 / sigma)(x / sigma)
    error = (f.proximal(sigma)(x) + sigma * rest - x).norm() / positive(x.norm())
    require_small(error, 10 * precision(f), "Moreau identity")


def check_fenchel_young(f, rng, sigma=0.7):
    """``f(u) + f*(p) >= Re <u, p>``, with equality for ``p = (x - u) / sigma``, ``u = prox(x)``."""
    if not has_proximal(f):
        return
    x = sample(f, rng)
    u = f.proximal(sigma)(x)
    p = (x - u) / sigma
    try:
        value, conjugate = f(u), f.convex_conj(p)
    except NotImplementedError:
        return
    gap = value + conjugate - np.real(u.inner(p))
    scale = max(abs(value), abs(conjugate), u.norm() * p.norm(), 1.0)
    if np.isfinite(gap):
        require_small(abs(gap) / scale, 100 * precision(f), "Fenchel-Young equality")
    z = sample(f, rng)
    inequality = f(z) + conjugate - np.real(z.inner(p))
    require(inequality >= -100 * precision(f) * scale,
            f"f(z) + f*(p) - <z, p> is {inequality:.2e}, expected at least zero")


FUNCTIONAL = (
    check_real_valued,
    check_gradient,
    check_lipschitz,
    check_strong_convexity,
    check_proximal,
    check_proximal_aliasing,
    check_firmly_nonexpansive,
    check_moreau,
    check_fenchel_young,
)
