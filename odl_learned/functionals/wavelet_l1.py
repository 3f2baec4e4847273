"""The sum of the magnitudes of wavelet coefficients, with a proximal in closed form."""

import math

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement
from odl.core.space.base_tensors import TensorSpace

from odl_learned.functionals.types import ProximalFactory
from odl_learned.odl_validation import shown
from odl_learned.operators import OrthogonalWavelet
from odl_learned.weights import integral


class _WaveletThreshold(odl.functionals.Functional):
    """``u -> sum_j w t_j |(W u)_j|`` with thresholds ``t_j >= 0``, one per coefficient."""

    def __init__(self, transform, thresholds):
        super().__init__(transform.domain, linear=False)
        self.transform, self.thresholds = transform, thresholds

    def _call(self, u):
        magnitudes = np.abs(self.transform(u).data)
        return integral(self.domain, self.thresholds * magnitudes)

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of ``W* S W`` with soft thresholding ``S`` at ``sigma t_j``."""
        return lambda sigma=1.0: _Shrinkage(self, float(sigma))

    @property
    def convex_conj(self) -> "WaveletBound":
        """The indicator of coefficients below the thresholds."""
        return WaveletBound(self)


class WaveletL1(_WaveletThreshold):
    r"""Sum of the magnitudes of all coefficients of an orthogonal wavelet transform.

    .. math:: R(u) = |W u|_1 = w \sum_j |(W u)_j|, \qquad
              \text{prox}_{\sigma R}(x) = W^* S_\sigma (W x), \quad
              S_\sigma(c) = \max(1 - \sigma / |c|, 0) \, c ,

    where ``w`` is the weight of the inner product, which the coefficients share: halving the cells
    of a plane doubles the coefficients of the same image at the same scale, and with a weight a
    quarter as large halves ``R``. The conjugate is the indicator of ``|(W z)_j| <= 1``, a
    `WaveletBound`.

    Parameters
    ----------
    space, wavelet, nlevels
        As for `operators.OrthogonalWavelet`.

    Raises
    ------
    TypeError, ValueError
        As `operators.OrthogonalWavelet` does.

    References
    ----------
    I. Daubechies, M. Defrise, C. De Mol, *An iterative thresholding algorithm for linear inverse
    problems with a sparsity constraint*, Comm. Pure Appl. Math. 57 (2004).

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> f = functionals.WaveletL1(X, "haar", nlevels=2)
    >>> details = functionals.WaveletDetailL1(X, "haar", nlevels=2)
    >>> print(f"{f(X.one()):.2f}", details(X.one()) < 1e-12)  # a constant image has no details
    16.00 True
    >>> isinstance(f.convex_conj, functionals.WaveletBound)
    True
    """

    def __init__(self, space: TensorSpace, wavelet: str, nlevels: int) -> None:
        transform = OrthogonalWavelet(space, wavelet, nlevels)
        super().__init__(transform, _ones(transform))


class WaveletDetailL1(_WaveletThreshold):
    r"""Sum of the magnitudes of the details alone: the coarsest coefficients are free.

    .. math:: R(u) = w \sum_{j \notin C} |(W u)_j|

    with ``C`` the coarsest coefficients, ``transform.coarse``. Constant images cost nothing, and
    the proximal leaves the coarsest coefficients alone.

    Parameters
    ----------
    space, wavelet, nlevels
        As for `WaveletL1`.
    """

    def __init__(self, space: TensorSpace, wavelet: str, nlevels: int) -> None:
        transform = OrthogonalWavelet(space, wavelet, nlevels)
        thresholds = _ones(transform)
        thresholds[transform.coarse] = 0
        super().__init__(transform, thresholds)


class WaveletBound(odl.functionals.Functional):
    r"""Indicator of images whose coefficients are at most the thresholds of a functional.

    .. math:: R^*(z) = \begin{cases} 0 & \text{if } |(W z)_j| \le t_j \text{ for all } j, \\
              \infty & \text{otherwise,} \end{cases}

    with ``t_j = 1``, or zero for a coarsest coefficient of `WaveletDetailL1`. The bounds may be
    exceeded by ``2 slack``, where ``slack`` is the rounding of a transform and its inverse; the
    proximal, the projection for every step, leaves images alone that exceed them by ``slack``.

    Parameters
    ----------
    functional : WaveletL1 or WaveletDetailL1
        The functional of which this is the convex conjugate.

    Raises
    ------
    TypeError
        If it is neither.
    """

    # One level along one axis rounds a coefficient by L products and misses orthogonality by the
    # defect d of the filters; forth and back there are 2 J d_X of them, J levels and d_X axes.
    def __init__(self, functional: _WaveletThreshold) -> None:
        if not isinstance(functional, WaveletL1 | WaveletDetailL1):
            raise TypeError(f"functional is {shown(functional)}, expected a WaveletL1 or "
                            "WaveletDetailL1; take the property convex_conj of one.")
        super().__init__(functional.domain, linear=False)
        self.functional = functional
        self.transform, self.thresholds = functional.transform, functional.thresholds
        stages = 2 * self.transform.nlevels * self.domain.ndim
        eps = float(np.finfo(self.domain.dtype).eps)
        wavelet = self.transform.wavelet
        self.slack = stages * (wavelet.dec_len * eps + self.transform.defect)

    def _call(self, z):
        return 0.0 if self.excess(self.transform(z)) <= 2 * self.slack else math.inf

    def excess(self, coefficients: LinearSpaceElement) -> float:
        """The largest ``|c_j| - t_j``."""
        return float(np.max(np.abs(coefficients.data) - self.thresholds))

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of the projection, whatever the step."""
        return lambda sigma=1.0: _Remainder(self)

    @property
    def convex_conj(self) -> _WaveletThreshold:
        """The functional whose conjugate this is."""
        return self.functional


class _Shrinkage(odl.Operator):
    """``x -> W* S W x``."""

    def __init__(self, functional, sigma):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional, self.sigma = functional, sigma

    def _call(self, x):
        transform = self.functional.transform
        coefficients = transform(x)
        values, level = coefficients.data, self.sigma * self.functional.thresholds
        values -= _clipped(values, level)
        return transform.adjoint(coefficients)


class _Remainder(odl.Operator):
    """``z -> W* P W z`` with ``P`` the projection onto ``|c_j| <= t_j``; ``z`` itself if inside."""

    def __init__(self, bound):
        super().__init__(bound.domain, bound.domain, linear=False)
        self.bound = bound

    def _call(self, z):
        transform = self.bound.transform
        coefficients = transform(z)
        if self.bound.excess(coefficients) <= self.bound.slack:
            return z.copy()
        coefficients.data[...] = _clipped(coefficients.data, self.bound.thresholds)
        return transform.adjoint(coefficients)


def _clipped(values, level):
    """Return the values with magnitudes of at most the level."""
    magnitudes = np.abs(values)
    return values * (level / np.maximum(np.where(magnitudes > 0, magnitudes, 1), level))


def _ones(transform):
    return np.ones(transform.range.shape, np.zeros(0, transform.range.dtype).real.dtype)
