"""The likelihood of Poisson counts as a function of both mean and counts, smooth everywhere."""

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import require_array_space, require_element
from odl_learned.validation import require_finite, require_positive
from odl_learned.weights import integral


class PoissonLikelihood(odl.functionals.Functional):
    r"""Negative log-likelihood of counts ``b`` with mean ``y + r``, for energies with data.

    .. math:: L(y, b) = \int y + r - b \, \ell(y), \qquad
              \ell(y) = \begin{cases} \log(y + r), & y \ge 0, \\
              \log r + \frac{y}{r} - \frac{y^2}{2 r^2}, & y < 0, \end{cases}

    with a positive background ``r``. Up to a constant it is `KullbackLeiblerFidelity` for
    ``y >= 0``, and goes on below quadratically, twice continuously differentiable, so that the
    second derivative ``b / (max(y, 0) + r)^2`` in ``y`` is at most ``b / r^2`` everywhere.

    Parameters
    ----------
    background : element of a real ``uniform_discr`` or ``rn`` space ``Y``
        ``r``, positive. The domain is ``Y x Y``: projections, and counts.
    most : float
        Largest count that data may have, for bounds of derivatives.

    Raises
    ------
    TypeError
        If the background is no element of a real space of arrays.
    ValueError
        If the background is not positive and finite, or the count not positive.

    References
    ----------
    A. Chambolle, M. J. Ehrhardt, P. Richtarik, C.-B. Schoenlieb, *Stochastic primal-dual hybrid
    gradient algorithm with arbitrary sampling and imaging applications*, SIAM J. Optim. 28 (2018),
    section 6, for the continuation.
    """

    def __init__(self, background: LinearSpaceElement, most: float) -> None:
        require_array_space("background.space", getattr(background, "space", None))
        space = background.space
        require_element("background", background, space)
        if not space.is_real:
            raise TypeError(f"background is in {space!r}, expected a real space: counts are real.")
        require_finite("background", background.data)
        if np.min(background.data) <= 0:
            raise ValueError(f"background has the value {np.min(background.data)}, expected "
                             "positive ones; add the expected scatter, or a small constant.")
        require_positive("most", most)
        super().__init__(space**2, linear=False)
        self.background, self.most = background.copy(), float(most)

    def _call(self, pair):
        y, b = (part.data.astype(np.float64) for part in pair)
        r = self.background.data.astype(np.float64)
        low, s = np.minimum(y, 0) / r, np.maximum(y, 0) + r
        return integral(self.domain[0], y + r - b * (np.log(s) + low - low**2 / 2))

    @property
    def gradient(self) -> odl.Operator:
        """The gradient in projections and counts."""
        return _LikelihoodGradient(self)


class _LikelihoodGradient(odl.Operator):
    """``(y, b) -> (1 - b l'(y), -l(y))``."""

    def __init__(self, likelihood):
        super().__init__(likelihood.domain, likelihood.domain, linear=False)
        self.likelihood = likelihood

    def _call(self, pair):
        (y, b), r = (part.data for part in pair), self.likelihood.background.data
        low, s = np.minimum(y, 0) / r, np.maximum(y, 0) + r
        return self.range.element([1 - b * (1 - low) / s, -(np.log(s) + low - low**2 / 2)])
