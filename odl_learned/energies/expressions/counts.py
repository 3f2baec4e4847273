r"""The density of Poisson counts ``b`` with mean ``p + r``, continued quadratically below zero."""

import copy
import math

import torch

from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.bridge.lowering import lower
from odl_learned.energies.expressions.densities import Density, DensityPoint
from odl_learned.energies.expressions.maps import double, in_double
from odl_learned.energies.fidelities import real_products
from odl_learned.energies.intervals import Interval
from odl_learned.energies.potentials.potential import PotentialConstants


class Counts(Density):
    r"""``psi(p) = p + r - b l(p)``, see `functionals.PoissonLikelihood`.

    The second derivative is ``b / (p_+ + r)^2``, the third at most ``2 b / (p_+ + r)^3``.

    Parameters
    ----------
    counts : Argument
        ``b``, of the data alone.
    background : element
        ``r``, positive.
    most : float
        Largest count.
    """

    def __init__(self, counts, background, most):
        layout = layout_of(counts.space)
        self._r, self._most, self._b = double(layout.to_tensor(background))[None], most, None
        self._shift = None if counts.shift is None else double(layout.to_tensor(counts.shift))
        self._data = None
        if counts.data is not None:
            like = layout_of(counts.data.domain).zeros((1,), None)
            self._data = in_double(lower(counts.data), like)

    def on(self, data):
        """Return the density with the counts of these data, after checks."""
        b = 0.0 if self._shift is None else self._shift
        b = torch.as_tensor(b if self._data is None else self._data(data) + b)
        if float(b.min()) < 0 or float(b.max()) > self._most:
            raise ValueError(f"the counts reach from {float(b.min()):g} to {float(b.max()):g}, "
                             f"expected at least 0 and at most {self._most:g}, the number `most` "
                             "of PoissonLikelihood; pass a larger one.")
        found = copy.copy(self)
        found._b = b[None, None] if self._data is None else b[:, None]
        return found

    def value(self, p, nu):
        """Return ``psi``."""
        low, s = p.clamp_max(0) / self._r, p.clamp_min(0) + self._r
        return (p + self._r - self._b * (s.log() + low - low.square() / 2))[:, 0]

    def at(self, p, nu):
        """Return the `DensityPoint`."""
        return CountsPoint(p, self._b, self._r)

    def constants(self, nu):
        """Return the constants for all counts; the slope is not bounded."""
        r = float(self._r.min())
        return PotentialConstants(math.inf, self._most / r**2, 2 * self._most / r**3, 0.0, 0.0)

    def interval(self, p, nu, rho):
        """Return the `Interval`: derivatives fall with ``p``."""
        wide = rho.reshape(-1, *[1] * (p.ndim - 1))
        near, far = (z.clamp_min(0) + self._r for z in (p - wide, p + wide))
        b = self._b * torch.ones_like(near)
        return Interval(b / near**2, 2 * b / near**3, torch.zeros_like(near), b / far**2)


class CountsPoint(DensityPoint):
    """The derivatives of the likelihood of counts."""

    def __init__(self, p, b, r):
        s, low = p.clamp_min(0) + r, p.clamp_max(0) / r
        self._gradient = 1 - b * (1 - low) / s
        self._curvature = b / s.square()

    @property
    def gradient(self):
        """The first derivative."""
        return self._gradient

    def hessian(self, q):
        """Return the second derivative times ``q``."""
        return real_products(self._curvature, q)

    def blocks(self):
        """Return the second derivative."""
        return self._curvature[:, None]
