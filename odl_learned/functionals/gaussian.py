"""The negative log density of a Gaussian with a sparse factor of its precision."""

import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.functionals.fidelities.least_squares import LeastSquares
from odl_learned.odl_validation import require_element, require_operator, shown
from odl_learned.operators import Whitening
from odl_learned.weights import single_weight


def gaussian_energy(
    whitening: Whitening, mean: LinearSpaceElement, accuracy: float = 1e-6, maxiter: int = 1000
) -> odl.functionals.Functional:
    r"""Return the negative log density of a Gaussian, up to a constant, as an ODL functional.

    .. math:: E(u) = \tfrac12 |L^T (u - m)|^2 - \sum_i l_i, \qquad
              \nabla E(u) = w^{-1} P (u - m), \qquad
              \text{prox}_{\tau E}(x) = m + (I + \tau w^{-1} P)^{-1} (x - m),

    a sum over entries, as a density is, not an integral: gradient and proximal in the space have
    its weight ``w``. Of complex images both parts are Gaussian, and the logarithms count twice. It
    is ``w^-1`` times `LeastSquares`, minus a number.

    Parameters
    ----------
    whitening : operators.Whitening
        ``L^T``, on a space with one weight for all entries.
    mean : element of ``whitening.domain``
        ``m``.
    accuracy, maxiter
        Of the proximal, as of `LeastSquares`.

    Returns
    -------
    energy : odl.functionals.Functional
        Plus ``log(2 pi) / 2`` for every entry it is the negative log density.

    Raises
    ------
    TypeError
        If the operator or the mean are none, or entries have different weights.
    ValueError
        If a number is out of bounds.

    Source: Duff, Simpson, Ehrhardt, Campbell, VAEs with structured image covariance applied to
    compressed sensing MRI (2023), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import functionals, operators
    >>> X = odl.uniform_discr([0, 0], [2, 2], (2, 2))
    >>> W = operators.Whitening(X, np.log(3) * np.ones((2, 2)), np.zeros((4, 2, 2)), radius=1)
    >>> E = functionals.gaussian_energy(W, X.zero())
    >>> print(f"{E(X.one()) - E(X.zero()):.1f}")  # 4 pixels, 3^2 / 2 each
    18.0
    """
    require_operator("whitening", whitening, Whitening, "build it with "
                     "operators.Whitening(space, log_diagonal, neighbors, radius).")
    space = whitening.domain
    require_element("mean", mean, space)
    weight = single_weight(space)
    if weight is None:
        raise TypeError(f"whitening.domain is {shown(space)}, expected a constant weight, the same "
                        "for all entries; build it with odl.uniform_discr(...) or odl.rn.")
    square = LeastSquares(whitening, whitening(mean), accuracy, maxiter)
    parts = 1 if isinstance(space.field, odl.RealNumbers) else 2
    return (1 / weight) * square - parts * whitening.log_determinant
