"""What the proximal of a functional has to satisfy, alone and with the conjugate."""

import numpy as np

from odl_learned.conformance import operators
from odl_learned.conformance.accuracy import proximal_error, proximal_gap
from odl_learned.conformance.failure import require, require_small
from odl_learned.conformance.sampling import (
    available,
    draw,
    has_gradient,
    has_proximal,
    has_value,
    inner,
    norm,
    positive,
    precision,
    sample,
)


def check_proximal(f, rng, sigma=0.7):
    """``prox(x)`` minimizes ``f(u) + |u - x|^2 / (2 sigma)``: no neighbor is better.

    Up to what the proximal declares of its accuracy (`accuracy`).
    """
    if not has_proximal(f) or not has_value(f):
        return
    x = sample(f, rng)
    p = f.proximal(sigma)(x)

    def energy(u):
        return f(u) + (u - x).norm() ** 2 / (2 * sigma)

    best = energy(p)
    require(np.isfinite(best), f"f(prox(x)) is {f(p)}, expected a finite value")
    others = [p + t * (sample(f, rng) - p) for t in (1e-3, 1e-2, 1e-1, 1.0) for _ in range(8)]
    others += [p + t * d for d in (x - p, p) for t in (-1e-1, -1e-2, -1e-3, 1e-3, 1e-2, 1e-1)]
    worst = min(energy(u) for u in others)
    slack = proximal_gap(f, sigma, x) / sigma
    require(worst >= best - 10 * precision(f) * max(abs(best), 1.0) - slack,
            f"f(u) + |u - x|^2 / (2 sigma) is {best:.8g} at u = prox(x), less at another u: "
            f"{worst:.8g}")


def check_proximal_aliasing(f, rng, sigma=0.7):
    """``prox(x, out=x)`` gives what ``prox(x)`` gives, and that has memory of its own."""
    if not has_proximal(f):
        return
    x, prox = sample(f, rng), f.proximal(sigma)
    before, result = x.copy(), prox(x)
    expected = result.copy()
    result.assign(draw(f.domain, rng))
    require(operators.same(x, before),
            "prox(x) shares memory with x: writing to the result changed x; return a copy")
    prox(x, out=x)
    require_small(norm(x - expected) / positive(norm(expected)), precision(f),
                  "prox(x, out=x) = prox(x)", "Read all of x before you write to out.")


def check_firmly_nonexpansive(f, rng, sigma=0.7):
    """``|p - q|^2 <= Re <p - q, x - z>`` for ``p = prox(x)``, ``q = prox(z)``.

    Up to what the proximal declares of its accuracy (`accuracy`).
    """
    if not has_proximal(f):
        return
    x, z, prox = sample(f, rng), sample(f, rng), f.proximal(sigma)
    difference = prox(x) - prox(z)
    product = np.real(difference.inner(x - z))
    distance = (x - z).norm()
    error = proximal_error(f, sigma, x) + proximal_error(f, sigma, z)
    slack = 10 * precision(f) * distance**2 + error * (3 * distance + error)
    require(difference.norm() ** 2 <= product + slack, "prox is not firmly nonexpansive")


def check_moreau(f, rng, sigma=0.7):
    """``x = prox_{sigma f}(x) + sigma prox_{f* / sigma}(x / sigma)``."""
    if not has_proximal(f) or not available(lambda: f.convex_conj.proximal(1.0)):
        return
    x = sample(f, rng)
    rest = f.convex_conj.proximal(1 / sigma)(x / sigma)
    error = (f.proximal(sigma)(x) + sigma * rest - x).norm() / positive(x.norm())
    allowed = 10 * precision(f) + proximal_error(f, sigma, x) / positive(x.norm())
    require_small(error, allowed, "Moreau identity")


def check_fenchel_young(f, rng, sigma=0.7):
    """``f(u) + f*(p) >= Re <u, p>``, with equality for subgradients ``p`` of ``f`` at ``u``.

    Such are the gradient at ``u``, and ``p = (x - u) / sigma`` at ``u = prox(x)``.
    """
    if not available(lambda: f.convex_conj(sample(f, rng))) or not has_value(f):
        return
    for u, p in subgradients(f, rng, sigma):
        value, conjugate = f(u), f.convex_conj(p)
        gap = value + conjugate - np.real(inner(u, p))
        scale = max(abs(value), abs(conjugate), norm(u) * norm(p), 1.0)
        if np.isfinite(gap):
            require_small(abs(gap) / scale, 100 * precision(f),
                          "f(u) + f*(p) = Re <u, p> for a subgradient p at u",
                          f"The left side is {value + conjugate:.6g}, the right one "
                          f"{np.real(inner(u, p)):.6g}.")
        z = sample(f, rng)
        inequality = f(z) + conjugate - np.real(inner(z, p))
        require(inequality >= -100 * precision(f) * scale,
                f"f(z) + f*(p) - Re <z, p> is {inequality:.2e}, expected at least zero")


def subgradients(f, rng, sigma):
    """Points with a subgradient of the functional at each.

    Proximals give one up to rounding, and none if they are iterations.
    """
    if has_proximal(f) and not hasattr(f.proximal(sigma), "gap"):
        x = sample(f, rng)
        u = f.proximal(sigma)(x)
        yield u, (1 / sigma) * (x - u)
    if has_gradient(f):
        x = sample(f, rng)
        yield x, f.gradient(x)
