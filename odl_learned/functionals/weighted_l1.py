"""The L1 norm of several images, each with its weight."""

import numpy as np
import odl
from numpy.typing import ArrayLike

from odl_learned.functionals.constraints import MagnitudeSupport
from odl_learned.validation import require_finite, require_real, require_shape


def weighted_l1(space: odl.ProductSpace, alphas: ArrayLike) -> odl.functionals.SeparableSum:
    r"""Return the weighted sum of the L1 norms of the components.

    .. math:: g(v) = \sum_k \alpha_k \int |v_k|, \qquad
              g^*(p) = \begin{cases} 0 & \text{if } |p_k(x)| \le \alpha_k \text{ for all } k, x, \\
              \infty & \text{otherwise.} \end{cases}

    With a filter bank it is the nonsmooth field of experts ``sum_k alpha_k |f_k * u|_1``, ready for
    ``odl.solvers.pdhg``: ``g = weighted_l1(bank.range, alphas)`` and ``L = bank``; smoothed, it is
    `FieldsOfExperts`.

    Parameters
    ----------
    space : power space ``X ** K``
        Components, real or complex; for example ``bank.range``.
    alphas : array of real numbers, shape ``(K,)``
        Regularization parameters, nonnegative.

    Returns
    -------
    functional : odl.functionals.SeparableSum
        With value, proximal (soft thresholding at ``sigma alpha_k``) and conjugate.

    Raises
    ------
    TypeError
        If the space is not a power space, or a parameter is complex.
    ValueError
        If the shape does not fit, or a parameter is negative or not finite.

    References
    ----------
    S. Roth, M. J. Black, *Fields of experts*, Int. J. Comput. Vis. 82 (2009).

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> f = functionals.weighted_l1(odl.rn(2) ** 2, [1.0, 10.0])
    >>> print(f([[1, -2], [3, 0]]))
    33.0
    """
    if not isinstance(space, odl.ProductSpace) or not space.is_power_space:
        raise TypeError(
            f"space is {space!r}; expected a power space X ** K, such as the range of "
            "operators.FilterBank(X, filters)."
        )
    alphas = np.asarray(alphas)
    require_shape("alphas", alphas, (len(space),), "Pass one parameter for every component.")
    require_finite("alphas", alphas)
    require_real("alphas", alphas)
    if np.min(alphas) < 0:
        raise ValueError(
            f"alphas have the negative value {np.min(alphas)}, expected nonnegative ones; leave "
            "out a component by the parameter zero."
        )
    return odl.functionals.SeparableSum(*(
        MagnitudeSupport(part, alpha) if alpha else odl.functionals.ZeroFunctional(part)
        for part, alpha in zip(space, alphas.tolist(), strict=True)))  # fmt: skip
