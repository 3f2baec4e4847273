"""A sparse precision and its inverse, the covariance, as self-adjoint operators."""

import odl

from odl_learned.odl_validation import require_operator
from odl_learned.operators.triangular.whitening import Whitening


class PrecisionOperator(odl.Operator):
    r"""A positive self-adjoint operator of which the Cholesky factor is sparse and given.

    .. math:: P = A^* A = W^{-1} L W L^T

    with the operator ``A`` of a `Whitening`, whose matrix is ``L^T``, and the weights ``W`` of the
    space: ``L L^T``, the inverse covariance of the entries, where all of them have one weight. It
    has up to four times as many neighbors as its factor; all algebra uses that.

    Parameters
    ----------
    whitening : Whitening

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [3, 3], (3, 3))
    >>> W = operators.Whitening(X, np.log(2) * np.ones((3, 3)), np.full((4, 3, 3), -0.2), radius=1)
    >>> P = operators.PrecisionOperator(W)
    >>> u = odl.phantom.white_noise(X, seed=0)
    >>> print(abs(u.inner(P(u)) - W(u).norm() ** 2) < 1e-12)
    True
    >>> C = operators.CovarianceOperator(P)
    >>> print((C(P(u)) - u).norm() < 1e-12)
    True
    """

    def __init__(self, whitening: Whitening) -> None:
        require_operator("whitening", whitening, Whitening, "build it with "
                         "Whitening(space, log_diagonal, neighbors, radius).")
        super().__init__(whitening.domain, whitening.domain, linear=True)
        self.whitening = whitening

    def _call(self, u):
        return self.whitening.adjoint(self.whitening(u))

    @property
    def log_determinant(self) -> float:
        """``log det P``, twice the sum of the logarithms of the diagonal of the factor."""
        return 2 * self.whitening.log_determinant

    @property
    def adjoint(self) -> "PrecisionOperator":
        """The operator itself."""
        return self

    @property
    def inverse(self) -> "CovarianceOperator":
        """The covariance."""
        return CovarianceOperator(self)


class CovarianceOperator(odl.Operator):
    r"""Inverse of a `PrecisionOperator`, by two triangular solves.

    .. math:: \Sigma = P^{-1} = A^{-1} A^{-*}

    Parameters
    ----------
    precision : PrecisionOperator

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, precision: PrecisionOperator) -> None:
        require_operator("precision", precision, PrecisionOperator,
                         "build it with PrecisionOperator(whitening).")
        super().__init__(precision.domain, precision.domain, linear=True)
        self.precision = precision

    def _call(self, u):
        whitening = self.precision.whitening
        return whitening.inverse(whitening.adjoint.inverse(u))

    @property
    def log_determinant(self) -> float:
        """``log det Sigma``."""
        return -self.precision.log_determinant

    @property
    def adjoint(self) -> "CovarianceOperator":
        """The operator itself."""
        return self

    @property
    def inverse(self) -> PrecisionOperator:
        """The precision."""
        return self.precision
