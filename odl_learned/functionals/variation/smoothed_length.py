"""Smoothed lengths under an operator, with parameters in front and inside."""

import numbers

import odl

from odl_learned.functionals.variation.smoothed_tv import SmoothedGroupL1
from odl_learned.odl_validation import require_functional, require_operator
from odl_learned.operators import FunctionalMultiple
from odl_learned.validation import require_nonnegative, require_positive


def smoothed_length(
    op: odl.Operator,
    alpha: float | odl.functionals.Functional,
    nu: float | odl.functionals.Functional,
) -> odl.functionals.Functional:
    r"""Return the smoothed length of what an operator makes of its argument, as an expression.

    .. math:: R(z) = \alpha \int \sqrt{|A z|^2 + \nu^2}
              = \alpha \nu \int \sqrt{|A z / \nu|^2 + 1},

    smoothed total variation for a gradient, smoothed sparsity for wavelets or filters, where
    ``alpha`` and ``nu`` may be learned: with ``u, theta`` the blocks of a product space,
    ``smoothed_length(gradient(X) @ u, Exponential(Coordinate(Theta, 0)) @ theta, 0.01)``.

    Parameters
    ----------
    op : odl.Operator
        ``A``, to a power space, whose vectors have a length at every point, or to a space of
        arrays, with one length for every entry.
    alpha : float or odl.functionals.Functional on ``op.domain``
        Regularization parameter, not negative.
    nu : float or odl.functionals.Functional on ``op.domain``
        Smoothing, positive, in units of ``A z``.

    Returns
    -------
    functional : odl.functionals.Functional
        On ``op.domain``.

    Raises
    ------
    TypeError
        If the operator is none, or alpha or nu no number and no functional.
    ValueError
        If a number is out of bounds, or a functional has another domain.

    See Also
    --------
    SmoothedGroupL1 : the functional of the vectors.
    """
    require_operator("op", op)
    if not isinstance(op.range, odl.ProductSpace):
        op = odl.BroadcastOperator(op)
    for name, value in (("alpha", alpha), ("nu", nu)):
        if not isinstance(value, float | numbers.Real):
            require_functional(name, value)
            if value.domain != op.domain:
                raise ValueError(f"{name} is defined on {value.domain!r}, expected the domain of "
                                 f"the operator, {op.domain!r}; compose it with "
                                 "odl.ComponentProjection.")  # fmt: skip
    if isinstance(nu, numbers.Real):
        require_positive("nu", nu)
        functional = SmoothedGroupL1(op.range, float(nu)) @ op
    else:
        one = odl.functionals.ConstantFunctional(op.domain, 1.0)
        inverse = odl.functionals.FunctionalQuotient(one, nu)
        lengths = SmoothedGroupL1(op.range, 1.0) @ FunctionalMultiple(inverse, op)
        functional = odl.functionals.FunctionalProduct(nu, lengths)
    if isinstance(alpha, numbers.Real):
        require_nonnegative("alpha", alpha)
        return float(alpha) * functional
    return odl.functionals.FunctionalProduct(alpha, functional)
