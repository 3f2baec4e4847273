"""Multiples and sums of rows ``(B, n)`` of real numbers in one pass: `solvers.arithmetic.updates`.

Every row has a factor of its own. Columns from ``begin`` to ``end`` are computed. Products and sums
are rounded one by one, as in the plain form, so that the bits are the same.
"""

from odl_learned.compiled.compiler import compiled


@compiled
def increase(x, t, y, begin, end):
    """``x + t y`` in the place of ``x``."""
    for b in range(len(x)):
        _increase(x[b, begin:end], t[b], y[b, begin:end])


@compiled
def blend(x, t, y, begin, end):
    """``t x + y`` in the place of ``x``."""
    for b in range(len(x)):
        _blend(x[b, begin:end], t[b], y[b, begin:end])


@compiled
def add(x, t, y, out, begin, end):
    """``x + t y``."""
    for b in range(len(x)):
        _add(x[b, begin:end], t[b], y[b, begin:end], out[b, begin:end])


@compiled
def extrapolate(x, t, y, out, begin, end):
    """``x + t (x - y)``."""
    for b in range(len(x)):
        _extrapolate(x[b, begin:end], t[b], y[b, begin:end], out[b, begin:end])


@compiled
def reach(y, s, x, t, old, out, begin, end):
    """``s (x + t (x - old)) + y``."""
    for b in range(len(x)):
        _reach(y[b, begin:end], s[b], x[b, begin:end], t[b], old[b, begin:end], out[b, begin:end])


@compiled
def lack(x, t, old, y, before, out, begin, end):
    """``t (x - old) - (y - before)``."""
    for b in range(len(x)):
        _lack(x[b, begin:end], t[b], old[b, begin:end], y[b, begin:end], before[b, begin:end],
              out[b, begin:end])  # fmt: skip


@compiled
def _increase(x, t, y):
    for j in range(len(x)):
        x[j] += t * y[j]


@compiled
def _blend(x, t, y):
    for j in range(len(x)):
        x[j] = t * x[j] + y[j]


@compiled
def _add(x, t, y, out):
    for j in range(len(out)):
        out[j] = x[j] + t * y[j]


@compiled
def _extrapolate(x, t, y, out):
    for j in range(len(out)):
        out[j] = x[j] + t * (x[j] - y[j])


@compiled
def _reach(y, s, x, t, old, out):
    for j in range(len(out)):
        out[j] = s * (x[j] + t * (x[j] - old[j])) + y[j]


@compiled
def _lack(x, t, old, y, before, out):
    for j in range(len(out)):
        out[j] = t * (x[j] - old[j]) - (y[j] - before[j])
