"""Kullback-Leibler fidelity of counts, with a known background."""

import math

import numpy as np
import odl
import scipy.special
from odl.core.set.space import LinearSpaceElement

from odl_learned.functionals.types import ProximalFactory
from odl_learned.odl_validation import require_operator
from odl_learned.validation import require_finite, shown
from odl_learned.weights import entry_weights, integral


class KullbackLeiblerFidelity(odl.functionals.Functional):
    r"""Kullback-Leibler divergence of counts ``b`` from their expectation ``y + r``.

    .. math:: D(y) = \int y + r - b + b \log \frac{b}{y + r}, \qquad y + r \ge 0,

    and infinite where ``y + r < 0``, or ``y + r = 0 < b``; ``0 log 0 = 0``. Up to a constant it is
    the negative logarithm of the likelihood of Poisson counts ``b`` with mean ``y + r``, where
    ``y = A x`` and ``r`` is the expected background (scattered and random events). With
    ``s = sigma``,

    .. math:: \nabla D(y) = 1 - \frac{b}{y + r}, \qquad
              \text{prox}_{s D}(x) = \tfrac{1}{2} \Big( z - s + \sqrt{(z - s)^2 + 4 s b} \Big) - r,
              \quad z = x + r .

    If ``r > 0`` wherever ``b > 0``, the gradient has on nonnegative ``y`` the Lipschitz constant
    ``grad_lipschitz`` :math:`= \max b / r^2`; on smaller ``y`` it has none, and without background
    ``grad_lipschitz`` is infinite. The weights of the inner product cancel in all formulas.

    Parameters
    ----------
    data : element of a real ``uniform_discr`` or ``rn`` space
        Counts ``b``, nonnegative; the domain is its space.
    background : element of the same space, optional
        Expected background ``r``, nonnegative. Default: zero.

    Raises
    ------
    TypeError
        If the space is not real and on numpy, or its inner product no weighted sum.
    ValueError
        If a value is negative or not finite, or the spaces differ; the gradient also if
        ``y + r <= 0 < b`` for some entry.

    References
    ----------
    A. Chambolle, M. J. Ehrhardt, P. Richtarik, C.-B. Schoenlieb, *Stochastic primal-dual hybrid
    gradient algorithm with arbitrary sampling and imaging applications*, SIAM J. Optim. 28 (2018).

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> X = odl.rn(2)
    >>> f = functionals.KullbackLeiblerFidelity(X.element([1.0, 4.0]), X.element([0.5, 0.5]))
    >>> print(f([0.5, 3.5]), f"{f([1.5, 3.5]):.4f}")  # zero where x + background = data
    0.0 0.3069
    >>> isinstance(f.convex_conj, functionals.KullbackLeiblerConjugate)
    True
    """

    def __init__(
        self, data: LinearSpaceElement, background: LinearSpaceElement | None = None
    ) -> None:
        space = _space_of(data)
        background = space.zero() if background is None else background
        if getattr(background, "space", None) != space:
            raise ValueError(
                f"background is in {getattr(background, 'space', type(background).__name__)}, "
                f"expected {space}, the space of the data; build it with data.space.element(...)."
            )
        for name, x in (("data", data), ("background", background)):
            require_finite(name, x.data)
            if np.min(x.data) < 0:
                raise ValueError(
                    f"{name} has the negative value {np.min(x.data)}, expected nonnegative ones; "
                    "counts corrected for the background must keep it: pass it as `background`."
                )
        self.data, self.background = data.copy(), background.copy()
        super().__init__(space, linear=False, grad_lipschitz=_curvature(data.data, background.data))

    def _call(self, y):
        b, s = _doubles(self.data), _doubles(y) + _doubles(self.background)
        return integral(self.domain, scipy.special.kl_div(b, s))

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator ``1 - b / (y + r)``."""
        return _Ratio(self)

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of the proximal, the root of a quadratic equation in every entry."""
        return lambda sigma=1.0: _Entrywise(self, float(sigma), _root)

    @property
    def convex_conj(self) -> "KullbackLeiblerConjugate":
        """The convex conjugate, with value, gradient and proximal."""
        return KullbackLeiblerConjugate(self)


class KullbackLeiblerConjugate(odl.functionals.Functional):
    r"""Convex conjugate of `KullbackLeiblerFidelity`.

    .. math:: D^*(p) = - \int b \log(1 - p) + r p, \qquad p \le 1,

    and infinite where ``p > 1``, or ``p = 1`` and ``b > 0``. With ``s = sigma``,
    ``q = x + s r``,

    .. math:: \text{prox}_{s D^*}(x)
              = \tfrac{1}{2} \Big( q + 1 - \sqrt{(q - 1)^2 + 4 s b} \Big) .

    Parameters
    ----------
    fidelity : KullbackLeiblerFidelity
        The functional of which this is the convex conjugate.

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, fidelity: KullbackLeiblerFidelity) -> None:
        require_operator("fidelity", fidelity, KullbackLeiblerFidelity,
                         "take the property convex_conj of one.")
        super().__init__(fidelity.domain, linear=False)
        self.fidelity = fidelity
        self.data, self.background = fidelity.data, fidelity.background

    def _call(self, p):
        b, r, p = _doubles(self.data), _doubles(self.background), _doubles(p)
        if np.any(p > 1) or np.any((p == 1) & (b > 0)):
            return math.inf
        return -integral(self.domain, scipy.special.xlog1py(b, -p) + r * p)

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator ``b / (1 - p) - r``."""
        return _Quotient(self)

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of the proximal, the root of a quadratic equation in every entry."""
        return lambda sigma=1.0: _Entrywise(self, float(sigma), _conjugate_root)

    @property
    def convex_conj(self) -> KullbackLeiblerFidelity:
        """The fidelity."""
        return self.fidelity


class _Entrywise(odl.Operator):
    """``x -> phi(x, b, r, sigma)`` in every entry."""

    def __init__(self, functional, sigma, function):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional, self.sigma, self.function = functional, sigma, function

    def _call(self, x):
        f = self.functional
        values = self.function(x.data, f.data.data, f.background.data, self.sigma)
        return self.range.element(values)


# The roots s of s^2 - t s - sigma b = 0 with t = z - sigma are (t +- q) / 2, q^2 = t^2 + 4 sigma b,
# and their product is -sigma b: where t < 0, the positive one is 2 sigma b / (q - t), which does
# not cancel. Moreau's identity gives the other proximal: with e = p - 1 the equation is
# e^2 - (x + sigma r - 1) e - sigma b = 0, and here the negative root is wanted.
# Rounding may take a small root away from r, or from 1, and leave the domain, which is open where
# there are counts: then r (1 - eps) and 1 - 2 eps are as near, the latter with room for the
# rounding of a multiple.
def _root(x, b, r, sigma):
    t = x + r - sigma
    eps = np.finfo(x.dtype).eps
    return np.maximum(_positive_root(t, sigma * b) - r, np.where(b > 0, -r * (1 - eps), -r))


def _conjugate_root(x, b, r, sigma):
    root = 1 - _positive_root(1 - x - sigma * r, sigma * b)
    return np.minimum(root, np.where(b > 0, 1 - 2 * np.finfo(x.dtype).eps, 1))


def _positive_root(t, product):
    q = np.hypot(t, 2 * np.sqrt(product))
    rest = q - t
    small = 2 * product / np.where(rest > 0, rest, 1)
    return np.where(t > 0, (t + q) / 2, small)


class _Ratio(odl.Operator):
    """``y -> 1 - b / (y + r)``."""

    def __init__(self, fidelity):
        super().__init__(fidelity.domain, fidelity.domain, linear=False)
        self.fidelity = fidelity

    def _call(self, y):
        b, mean = self.fidelity.data.data, y.data + self.fidelity.background.data
        counted = b > 0
        if np.any(mean[counted] <= 0):
            raise ValueError(
                f"y + r is {np.min(mean[counted])} where data has counts, expected a positive mean;"
                " pass a positive background, keep y positive, or use the proximal instead."
            )
        return self.range.element(1 - b / np.where(counted, mean, 1))


class _Quotient(odl.Operator):
    """``p -> b / (1 - p) - r``."""

    def __init__(self, conjugate):
        super().__init__(conjugate.domain, conjugate.domain, linear=False)
        self.conjugate = conjugate

    def _call(self, p):
        b = self.conjugate.data.data
        counted = b > 0
        if np.any(p.data[counted] >= 1):
            raise ValueError(
                f"p has the value {np.max(p.data[counted])} where data has counts, expected values "
                "below one; use the proximal, which keeps them there."
            )
        quotient = b / np.where(counted, 1 - p.data, 1)
        return self.range.element(quotient - self.conjugate.background.data)


def _space_of(data):
    space = getattr(data, "space", None)
    is_array_space = isinstance(space, odl.core.space.base_tensors.TensorSpace)
    if not is_array_space or space.impl != "numpy":
        raise TypeError(
            f"data is {shown(data)}; expected an element of a numpy space of arrays, such as "
            "forward_op.range.element(counts)."
        )
    entry_weights(space)
    if not np.issubdtype(space.dtype, np.floating):
        raise TypeError(
            f"data has dtype {space.dtype}, expected real floating point numbers; counts are "
            "compared with real means."
        )
    return space


def _doubles(x):
    return x.data.astype(np.float64)


def _curvature(b, r):
    """Return max b / r^2 over the entries with counts, infinite without background there."""
    counted = b > 0
    if not counted.any():
        return 0.0
    b, r = b[counted].astype(np.float64), r[counted].astype(np.float64)
    return float(np.max(b / r**2)) if np.min(r) > 0 else math.inf
