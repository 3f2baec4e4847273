r"""Lanczos' method in search of directions that refute the constants of an energy.

From a random direction and the gradient, ``k`` products with the Hessian ``H`` at a point give the
extreme Rayleigh quotients of the Krylov space. A random start has a part of ``delta / sqrt(n)`` at
least in any eigenvector, except with a probability of about ``delta``. If the others have their
eigenvalues in ``[a, b]``, one at ``c < a`` stays hidden from the space only while

.. math:: T_{k-1} \Big(1 + 2 \frac{a - c}{b - a}\Big) \le \frac{\sqrt n}{\delta}
          \sqrt{\frac{b - c}{a - c}},

with Chebyshev's polynomial (Y. Saad, *Numerical methods for large eigenvalue problems*, 2011,
Theorem 6.4). So the search ends when no eigenvalue below ``mu / 2`` or above ``2 L`` could be
hidden, after about ``12 sqrt(L / mu)`` products for a ``mu`` that is sharp, or when `PRODUCTS` are
used. A gradient with a large error along few eigenvectors shows them earlier.
"""

import math

import numpy as np
import odl  # noqa: F401  (before scipy, whose array API it switches on)
import scipy.linalg
import torch

from odl_learned.energies.samples import sample_inner, sample_norms
from odl_learned.learning.bilevel.claims import MARGIN

PRODUCTS = 200
ENTRIES = 2**14
DELTA = 1e-4


def certified_bounds(f, x, bounds):
    r"""Return bounds ``|grad E| / mu`` of ``|x - xhat|``, or infinity where these bound nothing.

    Constants that do not follow from a formula are tried first.

    Parameters
    ----------
    f : CountedEnergy
    x : tensor ``(B, *shape)``
    bounds : array ``(B,)``
        With rounding errors.
    """
    if f.is_trial_due and bool(torch.isfinite(x).all()):
        try_constants(f, x, f.work.solves)
    return np.where(np.isfinite(bounds) & f.claims.stands("constants"), bounds, np.inf)


def try_constants(f, x, number):
    """Compare the constants of an energy with extreme Rayleigh quotients of its Hessian.

    As many samples are tried as have `ENTRIES` together, one at least, others the next time.

    Parameters
    ----------
    f : CountedEnergy
    x : tensor ``(B, *shape)``, finite
    number : int
        Of the trial, from 0.
    """
    count = min(len(x), max(1, ENTRIES // max(1, x[0].numel())))
    index = (torch.arange(count) + number * count) % len(x)
    f, x = f.take(index.to(x.device)).in_double(), x[index.to(x.device)]
    x = x.to(torch.complex128 if x.is_complex() else torch.float64)
    linear = f.linearize(x)
    generator = torch.Generator().manual_seed(number)
    start = _unit(torch.randn(x.shape, dtype=x.dtype, generator=generator).to(x.device))
    start = _unit(start + _unit(linear.gradient))
    lowest, highest = _suspects(linear.hessian, start, f.claims)
    for weights in (lowest, highest):
        if weights:
            v = _combined(linear.hessian, start, weights)
            f.claims.products(linear.hessian, v, linear.hessian(v))


def _suspects(hessian, start, claims):
    """Ritz vectors, as weights of Lanczos' vectors by sample, that seem to refute a constant."""
    mu, L, size = claims.strong_convexity, claims.lipschitz, len(start)
    unknowns = _unknowns(start)
    limit = min(PRODUCTS, unknowns)
    diagonals, sides = np.empty((size, limit)), np.empty((size, limit))
    lowest, highest, running, last = {}, {}, np.ones(size, dtype=bool), 0
    for k, (_, diagonal, side) in enumerate(_recurrence(hessian, start), 1):
        diagonals[:, k - 1], sides[:, k - 1] = diagonal, side
        scale = np.abs(diagonals[:, :k]).max(1) + sides[:, :k].max(1)
        ended = running & ((side <= 1e-12 * scale) | (k == limit))
        if k < 8 and not ended.any():
            continue
        due = running & (ended | (k >= 1.3 * last))
        last = k if k >= 1.3 * last else last
        for b in np.flatnonzero(due):
            pairs = diagonals[b, :k], sides[b, : k - 1]
            a = _extreme(pairs, 0)[0]
            z = _extreme(pairs, k - 1)[0]
            if a < mu * (1 - MARGIN) - 1e-14 * z:
                lowest[b] = _extreme(pairs, 0)[1]
            if z > L * (1 + MARGIN):
                highest[b] = _extreme(pairs, k - 1)[1]
            seen = _is_seen(k, a, z, mu / 2, unknowns) and _is_seen(k, -z, -a, -2 * L, unknowns)
            running[b] = not (ended[b] or seen or a < 0.9 * mu or z > 1.1 * L)
        if not running.any():
            break
    return lowest, highest


def _is_seen(k, a, b, c, unknowns):
    """Whether an eigenvalue at ``c`` could not be hidden if all others are in ``[a, b]``."""
    if not a > c:
        return False
    growth = math.acosh(1 + 2 * (a - c) / max(b - a, 1e-300))
    hidden = math.sqrt(unknowns * (b - c) / (a - c)) / DELTA
    return (k - 1) * growth >= math.log(2 * hidden)


def _recurrence(hessian, start):
    """Yield ``v_k`` and, for every sample, ``<v_k, H v_k>`` and the length of what is new.

    In spaces of less than `PRODUCTS` dimensions all ``v_k`` are made orthogonal to each other, so
    that the search ends in time; in larger ones rounding errors delay it only.
    """
    v, before, side = start, torch.zeros_like(start), torch.zeros(len(start), dtype=torch.float64)
    known = [] if _unknowns(start) < PRODUCTS else None
    while True:
        if known is not None:
            known.append(v)
        image = hessian(v)
        diagonal = sample_inner(v, image)
        rest = image - _columns(diagonal, v) * v - _columns(side, v) * before
        for other in known or ():
            rest = rest - _columns(sample_inner(other, rest), v) * other
        side = sample_norms(rest)
        yield v, diagonal.cpu().numpy(), side.cpu().numpy()
        before, v = v, rest / _columns(side, v).clamp_min(1e-300)


def _combined(hessian, start, weights):
    """The sums of Lanczos' vectors with weights by sample, zero for the others."""
    total = torch.zeros_like(start)
    length = max(map(len, weights.values()))
    for k, (v, _, _) in zip(range(length), _recurrence(hessian, start), strict=False):
        for b, row in weights.items():
            if k < len(row):
                total[b] += row[k] * v[b]
    return total


def _extreme(pairs, k):
    """An eigenvalue of a tridiagonal matrix and its eigenvector."""
    values, vectors = scipy.linalg.eigh_tridiagonal(*pairs, select="i", select_range=(k, k))
    return float(values[0]), vectors[:, 0]


def _unknowns(x):
    return x[0].numel() * (2 if x.is_complex() else 1)


def _columns(numbers, v):
    return numbers.to(v.device, v.real.dtype).reshape(-1, *[1] * (v.ndim - 1))


def _unit(v):
    return v / _columns(sample_norms(v).clamp_min(1e-300), v)
