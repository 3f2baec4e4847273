"""Second derivatives of the potentials of ridges, and bounds of them on intervals.

Potentials are even, with ``0 <= phi'' <= 1``. Each function is a `functools.singledispatch` one
with a rule for `Huber`, `LogCosh` and `networks.ConvexSpline`.
"""

import functools
import math

import torch

from odl_learned.networks import ConvexSpline
from odl_learned.regularizers.ridges.potentials import Huber, LogCosh

#: Where ``2 tanh t / cosh(t)^2``, the third derivative of log cosh, is largest.
STEEPEST = math.atanh(1 / math.sqrt(3))


@functools.singledispatch
def bend(potential, t):
    """Return ``phi''(t)``; one-sided where it jumps."""
    raise NotImplementedError(f"{type(potential).__name__} has no second derivative here.")


@bend.register
def _(potential: Huber, t):
    return (t.abs() <= 1).to(t)


@bend.register
def _(potential: LogCosh, t):
    return _sech(t).square()


@bend.register
def _(potential: ConvexSpline, t):
    h = potential.radius / potential.slopes().shape[1]
    return _read(potential, (t.abs() / h).floor())


@functools.singledispatch
def bends_between(potential, a, b):
    """Return bounds of ``phi''`` from below and above, and its Lipschitz constant, on an interval.

    Parameters
    ----------
    potential : Huber, LogCosh or ConvexSpline
    a, b : tensor ``(B, K, *shape)``, ``0 <= a <= b``
        Ends of the intervals of ``|t|``.

    Returns
    -------
    low, high, rate : tensor of the same shape
    """
    raise NotImplementedError(f"{type(potential).__name__} has no bounds here.")


@bends_between.register
def _(potential: Huber, a, b):
    jump = (a <= 1) & (b >= 1)
    return (b <= 1).to(a), (a <= 1).to(a), torch.where(jump, math.inf, 0.0).to(a)


@bends_between.register
def _(potential: LogCosh, a, b):
    t = torch.clamp(torch.full_like(a, STEEPEST), a, b)
    rate = 2 * torch.tanh(t) * _sech(t).square()
    return _sech(b).square(), _sech(a).square(), rate


@bends_between.register
def _(potential: ConvexSpline, a, b):
    slopes = torch.nn.functional.pad(potential.slopes().detach(), (0, 1))  # zero beyond
    pieces = slopes.shape[1]
    h = potential.radius / (pieces - 1)
    first, last = ((t / h).floor().clamp_max(pieces - 1) for t in (a, b))
    low, high = (torch.full_like(a, start) for start in (math.inf, -math.inf))
    for j in range(pieces):
        inside, value = (first <= j) & (last >= j), _column(slopes[:, j], a)
        low = torch.where(inside, torch.minimum(low, value), low)
        high = torch.where(inside, torch.maximum(high, value), high)
    return low, high, torch.where(first == last, 0.0, math.inf).to(a)


@functools.singledispatch
def third(potential):
    """Return the Lipschitz constant of ``phi''``; infinite where it jumps."""
    return math.inf


@third.register
def _(potential: LogCosh):
    return 4 / (3 * math.sqrt(3))


@functools.singledispatch
def steepest(potential):
    """Return the largest ``|phi'|``."""
    return 1.0


@steepest.register
def _(potential: ConvexSpline):
    h = potential.radius / potential.slopes().shape[1]
    return float((h * potential.slopes().detach().sum(1)).max())


def _sech(t):
    size = torch.exp(-t.abs())
    return 2 * size / (1 + size.square())


def _column(values, like):
    return values.reshape(1, -1, *[1] * (like.ndim - 2)).to(like)


def _read(potential, cell):
    """The slope of every entry's piece, zero beyond the last."""
    slopes = torch.nn.functional.pad(potential.slopes().detach(), (0, 1))
    found = torch.zeros_like(cell)
    for j in range(slopes.shape[1] - 1):
        found = torch.where(cell == j, _column(slopes[:, j], cell), found)
    return found
