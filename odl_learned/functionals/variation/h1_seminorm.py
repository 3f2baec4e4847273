"""The squared gradient, with a proximal in closed form by cosine transforms."""

import math

import numpy as np
import odl
import scipy.fft

from odl_learned.functionals.evaluation import precise_value
from odl_learned.functionals.types import ProximalFactory
from odl_learned.odl_validation import require_operator
from odl_learned.operators import gradient
from odl_learned.solvers.smooth.preconditioners import neumann_laplacian
from odl_learned.weights import constant_weight


# The forward differences of `operators.gradient` make grad* grad the second differences with
# reflection at the boundary, whose eigenvectors are the cosines of the DCT-II, orthonormal up to
# the weight of the space, which cancels. So all maps below are C^-1 m C with real m.
class H1Seminorm(odl.functionals.Functional):
    r"""Half the squared norm of the gradient.

    .. math:: R(u) = \tfrac12 \int |\nabla u|^2, \qquad \nabla R(u) = \nabla^* \nabla u, \qquad
              \text{prox}_{\sigma R}(x) = (I + \sigma \nabla^* \nabla)^{-1} x,

    with the differences of `operators.gradient`. The proximal is exact, by two discrete cosine
    transforms, and ``grad_lipschitz`` is the largest eigenvalue of ``grad* grad``. The conjugate
    is `H1SeminormConjugate`.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex, with a constant weight: with others, cosines are no eigenvectors.

    Raises
    ------
    TypeError
        If the space is not a uniform discretization of constant weight.

    References
    ----------
    Strang, G. The discrete cosine transform. SIAM Review 41 (1999), for the eigenvectors.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4))
    >>> f = functionals.H1Seminorm(X)
    >>> print(f"{f(X.element(lambda x: x[0] + 0 * x[1])):.1f}")  # 12 of 16 differences are one
    6.0
    >>> isinstance(f.convex_conj, functionals.H1SeminormConjugate)
    True
    """

    def __init__(self, space: odl.DiscretizedSpace) -> None:
        difference = gradient(space)
        constant_weight("space", space)
        self.symbol = neumann_laplacian(space.shape, space.cell_sides)
        super().__init__(space, linear=False, grad_lipschitz=float(self.symbol.max()))
        self.expression = 0.5 * odl.functionals.L2NormSquared(difference.range) @ difference
        self._gradient = difference.adjoint @ difference

    def _call(self, u):
        return precise_value(self.expression, u)

    @property
    def gradient(self) -> odl.Operator:
        """``grad* grad``, a linear operator."""
        return self._gradient

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of ``(I + sigma grad* grad)^-1``, a linear operator."""
        return lambda sigma=1.0: _CosineFilter(self.domain, 1 / (1 + float(sigma) * self.symbol))

    @property
    def convex_conj(self) -> "H1SeminormConjugate":
        """The conjugate, finite for images of mean zero."""
        return H1SeminormConjugate(self)


class H1SeminormConjugate(odl.functionals.Functional):
    r"""Convex conjugate of `H1Seminorm`, half the squared norm of the dual space.

    .. math:: R^*(z) = \begin{cases} \frac12 \langle z, (\nabla^* \nabla)^+ z \rangle
              & \text{if } \int z = 0, \\ \infty & \text{otherwise,} \end{cases}
              \qquad \text{prox}_{\sigma R^*} = (\sigma I + \nabla^* \nabla)^{-1} \nabla^* \nabla .

    The mean may differ from zero by ``slack`` times the root mean square, the rounding of two
    transforms.

    Parameters
    ----------
    seminorm : H1Seminorm
        The functional of which this is the convex conjugate.

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, seminorm: H1Seminorm) -> None:
        require_operator("seminorm", seminorm, H1Seminorm, "take the property convex_conj of one.")
        super().__init__(seminorm.domain, linear=False)
        self.seminorm, self.symbol = seminorm, seminorm.symbol
        size = math.prod(self.domain.shape)
        self.slack = 8 * float(np.finfo(self.domain.dtype).eps) * (1 + math.log2(size))

    def _call(self, z):
        coefficients = scipy.fft.dctn(_doubles(z.data), norm="ortho").ravel()
        squares, symbol = np.abs(coefficients) ** 2, self.symbol.ravel()
        if squares[0] > self.slack**2 * squares.sum():
            return math.inf
        weight = constant_weight("domain", self.domain)
        return weight * float(np.sum(squares[1:] / symbol[1:])) / 2

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of ``(sigma I + grad* grad)^-1 grad* grad``, a linear operator."""
        return lambda sigma=1.0: _CosineFilter(
            self.domain, self.symbol / (float(sigma) + self.symbol))

    @property
    def convex_conj(self) -> H1Seminorm:
        """The seminorm."""
        return self.seminorm


class _CosineFilter(odl.Operator):
    """``C^-1 m C`` with the cosine transform and real factors: self-adjoint."""

    def __init__(self, space, factors):
        super().__init__(space, space, linear=True)
        self.factors = factors.astype(np.zeros(0, space.dtype).real.dtype)

    def _call(self, x):
        coefficients = scipy.fft.dctn(x.data, norm="ortho") * self.factors
        return self.range.element(scipy.fft.idctn(coefficients, norm="ortho"))

    @property
    def adjoint(self):
        """The operator itself."""
        return self


def _doubles(values):
    return values.astype(np.complex128 if np.iscomplexobj(values) else np.float64)
