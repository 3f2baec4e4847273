"""Nonlinear operators that parameters enter through: the exponential, and multiples by a value."""

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement
from odl.core.space.base_tensors import TensorSpace

from odl_learned.odl_validation import (
    require_array_space,
    require_functional,
    require_operator,
)


class PointwiseExponential(odl.Operator):
    """``u -> exp(u)`` entry by entry, with the derivative ``h -> exp(u) h``.

    Parameters
    ----------
    space : odl tensor space
        Real or complex.

    Raises
    ------
    TypeError
        If this is no space of arrays of real or complex numbers.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> exp = operators.PointwiseExponential(odl.rn(2))
    >>> print(exp([0, 1]), exp.derivative([0, 1])([1, 1]))
    [1.        , 2.71828183] [1.        , 2.71828183]
    """

    def __init__(self, space: TensorSpace) -> None:
        require_array_space("space", space)
        super().__init__(space, space, linear=False)

    def _call(self, u):
        return self.range.element(np.exp(u.data))

    def derivative(self, point: LinearSpaceElement) -> odl.Operator:
        """Multiplication by ``exp(u)``."""
        return odl.MultiplyOperator(self(point), domain=self.domain, range=self.range)


class FunctionalMultiple(odl.Operator):
    r"""An operator times the value of a functional at the same point, ``x -> f(x) A(x)``.

    .. math:: M(x) = f(x) A(x), \qquad
              M'(x) h = \mathrm{Re} \langle \nabla f(x), h \rangle A(x) + f(x) A'(x) h, \qquad
              M'(x)^* y = \mathrm{Re} \langle A(x), y \rangle \nabla f(x) + f(x) A'(x)^* y.

    On complex spaces the derivative is linear over the real numbers and its adjoint belongs to the
    real inner product.

    Parameters
    ----------
    functional : odl.functionals.Functional
        ``f``, real-valued, with a gradient.
    operator : odl.Operator
        ``A``, on the same domain, with a derivative.

    Raises
    ------
    TypeError
        If one is no functional or the other no operator.
    ValueError
        If the domains differ.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.rn(2)
    >>> F = operators.FunctionalMultiple(odl.functionals.L2NormSquared(X), odl.IdentityOperator(X))
    >>> print(F([1, 2]))  # |x|^2 x
    [ 5., 10.]
    """

    def __init__(self, functional: odl.functionals.Functional, operator: odl.Operator) -> None:
        require_functional("functional", functional)
        require_operator("operator", operator)
        if functional.domain != operator.domain:
            raise ValueError(
                f"the functional is defined on {functional.domain!r}, expected the domain of the "
                f"operator, {operator.domain!r}; compose it with odl.ComponentProjection."
            )
        super().__init__(operator.domain, operator.range, linear=False)
        self.functional, self.operator = functional, operator

    def _call(self, x):
        return float(np.real(self.functional(x))) * self.operator(x)

    def derivative(self, point: LinearSpaceElement) -> odl.Operator:
        """The derivative at a point."""
        return _MultipleDerivative(self, self.domain.element(point).copy())


class _MultipleDerivative(odl.Operator):
    def __init__(self, multiple, point):
        super().__init__(multiple.domain, multiple.range, linear=True)
        self.value = float(np.real(multiple.functional(point)))
        self.slope = multiple.functional.gradient(point)
        self.image = multiple.operator(point)
        self.inner_derivative = multiple.operator.derivative(point)

    def _call(self, h):
        slope = float(np.real(self.slope.inner(h)))
        return slope * self.image + self.value * self.inner_derivative(h)

    @property
    def adjoint(self):
        return _MultipleAdjoint(self)


class _MultipleAdjoint(odl.Operator):
    def __init__(self, derivative):
        super().__init__(derivative.range, derivative.domain, linear=True)
        self.forward_op = derivative

    def _call(self, y):
        op = self.forward_op
        inner = float(np.real(op.image.inner(y)))
        return inner * op.slope + op.value * op.inner_derivative.adjoint(y)

    @property
    def adjoint(self):
        return self.forward_op
