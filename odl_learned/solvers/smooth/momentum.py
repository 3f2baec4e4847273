r"""Momentum of gradient descent for smooth, strongly convex functions, to be told or found out.

After the gradient step ``x_{k+1} = y_k - tau grad f(y_k)`` a momentum says where the next gradient
is taken: ``y_{k+1} = x_{k+1} + beta_k (x_{k+1} - x_k)``. From ``L`` and ``mu`` of every sample it
knows ``beta_k`` and ``tau``, its attribute ``step``.
"""

import numpy as np


class NoMomentum:
    """``y = x`` and ``tau = 2 / (L + mu)``."""

    def __init__(self, L, mu):
        self.step = 2 / (L + mu)

    def take(self, rest):
        """Keep these samples only."""
        self.step = self.step[rest]

    def extrapolate(self, samples, x, y, slope, x_next):
        """Return ``x_{k+1}`` and ``y_{k+1}``."""
        return x_next, x_next


class ConstantMomentum:
    r""":math:`\beta = (\sqrt L - \sqrt \mu) / (\sqrt L + \sqrt \mu)` and ``tau = 1 / L``."""

    def __init__(self, L, mu):
        self.step = 1 / L
        self._beta = (np.sqrt(L) - np.sqrt(mu)) / (np.sqrt(L) + np.sqrt(mu))

    def take(self, rest):
        """Keep these samples only."""
        self.step, self._beta = self.step[rest], self._beta[rest]

    def extrapolate(self, samples, x, y, slope, x_next):
        """Return ``x_{k+1}`` and ``y_{k+1}``."""
        return x_next, samples.extrapolate(x_next, self._beta, x)


class RestartedMomentum:
    r"""Constant momentum until it may lead uphill, then one that grows anew.

    With ``tau = 1 / L`` and ``q = mu / L``,

    .. math:: \beta_k = \frac{a_k (1 - a_k)}{a_k^2 + a_{k+1}}, \qquad
              a_{k+1}^2 = (1 - a_{k+1}) a_k^2 + q a_{k+1},

    from ``a = sqrt(q)``, which stays and is `ConstantMomentum`, unless

    .. math:: \langle \nabla f(y_k), y_k - x_k \rangle >
              \tfrac{1}{2 L} |\nabla f(y_k)|^2 + \tfrac{\mu}{2} |y_k - x_k|^2 .

    Then ``x_{k+1} = y_{k+1} = x_k``, and ``a`` starts anew from ``a^2 = 1 - (1 - q) a``.

    By strong convexity, ``f(y) <= f(x) + <grad f(y), y - x> - mu/2 |y - x|^2``, and a gradient step
    takes ``|grad f(y)|^2 / (2 L)`` off. So ``f(x_k)`` never increases. The ``k``-th point after a
    restart at ``x_0`` is at most ``min((1 - sqrt(q))^k, 4 / (k + 2)^2) (f(x_0) - f* + L/2 |x_0 -
    x*|^2)`` above the minimum if there is no other before.
    """

    def __init__(self, L, mu):
        self.step, self._mu = 1 / L, mu
        q = mu / L
        self._first = 0.5 * (np.sqrt((1 - q) ** 2 + 4) - (1 - q))
        self._a = np.sqrt(q)

    def take(self, rest):
        """Keep these samples only."""
        self.step, self._mu = self.step[rest], self._mu[rest]
        self._first, self._a = self._first[rest], self._a[rest]

    def extrapolate(self, samples, x, y, slope, x_next):
        """Return ``x_{k+1}`` and ``y_{k+1}``."""
        a, way = self._a, samples.add(y, -1.0, x)
        squared = a**2 - self._mu * self.step
        a_next = 0.5 * (np.sqrt(squared**2 + 4 * a**2) - squared)
        descent = self.step * samples.inner(slope, slope) + self._mu * samples.inner(way, way)
        uphill = samples.inner(slope, way) > 0.5 * descent
        if uphill.any():
            back = np.flatnonzero(uphill)
            x_next = samples.put(x_next, back, samples.take(x, back))
        self._a = np.where(uphill, self._first, a_next)
        beta = np.where(uphill, 0.0, a * (1 - a) / (a**2 + a_next))
        return x_next, samples.extrapolate(x_next, beta, x)
