"""Smoothed total variation: a regularizer with a gradient and known constants."""

import numpy as np
import odl

from odl_learned.operators import gradient, operator_norm
from odl_learned.validation import is_finite_number, require_positive
from odl_learned.weights import entry_weights, integral


class SmoothedGroupL1(odl.functionals.Functional):
    r"""Integral over the smoothed pointwise length of a vector field.

    .. math:: \phi_\nu(p) = \int \sqrt{|p(x)|^2 + \nu^2} \, dx, \qquad
              \nabla \phi_\nu(p) = \frac{p}{\sqrt{|p|^2 + \nu^2}},

    where the integral is the sum over the grid with the weights of the inner product, which cancel
    in the gradient. The gradient has the Lipschitz constant ``1 / nu``.

    Parameters
    ----------
    vfspace : power space of a ``uniform_discr``, ``rn`` or ``cn`` space
        Vector fields, real or complex.
    nu : float
        Smoothing, positive, in the units of the vector field.

    Raises
    ------
    TypeError
        If the space is not such a power space, or its inner product no weighted sum.
    ValueError
        If the smoothing is not positive.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, operators
    >>> V = odl.rn(2) ** 2
    >>> f = functionals.SmoothedGroupL1(V, nu=0.1)
    >>> print(f"{f([[3, 0], [4, 0]]):.3f}")  # nearly |(3, 4)| + |(0, 0)|
    5.101
    """

    def __init__(self, vfspace: odl.ProductSpace, nu: float) -> None:
        is_power = isinstance(vfspace, odl.ProductSpace) and len(vfspace) > 0
        if not is_power or vfspace != vfspace[0] ** len(vfspace):
            raise TypeError(
                f"vfspace is {vfspace!r}; expected a power space such as gradient(space).range."
            )
        entry_weights(vfspace[0])
        require_positive("nu", nu)
        super().__init__(vfspace, linear=False, grad_lipschitz=1 / nu)
        self.nu = float(nu)

    def _length(self, p):
        """Return sqrt(|p|^2 + nu^2) as an array."""
        total = np.full(self.domain[0].shape, self.nu**2, p[0].data.real.dtype)
        for part in p:
            values = part.data
            total += values.real**2
            if np.iscomplexobj(values):
                total += values.imag**2
        return np.sqrt(total, out=total)

    def _call(self, p):
        return integral(self.domain[0], self._length(p))

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator ``p / sqrt(|p|^2 + nu^2)``."""
        return _SmoothedDirection(self)


class _SmoothedDirection(odl.Operator):
    def __init__(self, functional):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional = functional

    def _call(self, p, out=None):
        if out is None:
            out = self.range.element()
        length = self.functional._length(p)
        for source, target in zip(p, out, strict=True):
            np.divide(source.data, length, out=target.data)
        return out


class SmoothedTV(odl.functionals.Functional):
    r"""Smoothed total variation plus a multiple of the squared norm.

    .. math:: R(u) = \alpha \int \sqrt{|\nabla u|^2 + \nu^2} + \frac{\xi}{2} |u|^2 .

    Differentiable and strongly convex: ``grad_lipschitz = alpha |grad|^2 / nu + xi`` and
    ``strong_convexity = xi``. Note that ``xi`` is not multiplied by ``alpha``. Both constants refer
    to the inner product of the space. The attribute ``expression`` is the ODL expression that
    defines value and gradient.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex.
    alpha : float
        Regularization parameter, positive.
    nu : float
        Smoothing, positive, in units of the gradient.
    xi : float
        Strong convexity, nonnegative.

    Raises
    ------
    TypeError
        If the space is not a uniform discretization.
    ValueError
        If a parameter is out of bounds.

    References
    ----------
    Ehrhardt, M. J. and Roberts, L. Inexact derivative-free optimization for bilevel learning.
    J. Math. Imaging Vis. 63 (2021), section 4.
    """

    def __init__(self, space: odl.DiscretizedSpace, alpha: float, nu: float, xi: float) -> None:
        require_positive("alpha", alpha)
        require_positive("nu", nu)
        if not (is_finite_number(xi) and xi >= 0):
            raise ValueError(f"xi is {xi!r}; expected a finite nonnegative number.")
        self.alpha, self.nu, self.xi = float(alpha), float(nu), float(xi)
        difference = gradient(space)
        self.expression = self.alpha * SmoothedGroupL1(difference.range, self.nu) @ difference
        if self.xi:
            self.expression += (self.xi / 2) * odl.functionals.L2NormSquared(space)
        self.strong_convexity = self.xi
        lipschitz = self.alpha * operator_norm(difference) ** 2 / self.nu + self.xi
        super().__init__(space, linear=False, grad_lipschitz=lipschitz)

    def _call(self, u):
        return float(np.real(self.expression(u)))

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator in the inner product of the space."""
        return self.expression.gradient
