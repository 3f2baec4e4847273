"""Functionals of complex elements as functionals of pairs of real ones."""



import odl

from odl_learned.functionals.types import ProximalFactory
from odl_learned.odl_validation import require_functional
from odl_learned.operators import real_parts


class OnRealParts(odl.functionals.Functional):
    r"""A functional on a complex space, of real and imaginary parts.

    .. math:: f(u, v) = F(u + i v), \qquad \text{prox}_{\sigma f} = P \, \text{prox}_{\sigma F} P^*,
              \qquad f^*(p, q) = F^*(p + i q), \qquad \nabla f = P \, \nabla F \, P^*

    with ``P`` of `operators.real_parts`, which is unitary.

    Parameters
    ----------
    functional : odl.functionals.Functional
        ``F`` on a complex space, or a product of such spaces.

    Raises
    ------
    TypeError
        If the domain is not complex.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> f = functionals.OnRealParts(odl.functionals.L1Norm(odl.cn(2)))
    >>> print(f([[3, 0], [4, 1]]))  # |3 + 4i| + |i|
    6.0
    """

    def __init__(self, functional: odl.functionals.Functional) -> None:
        require_functional("functional", functional)
        self.parts = real_parts(functional.domain)
        super().__init__(self.parts.range, linear=False,
                         grad_lipschitz=functional.grad_lipschitz)  # fmt: skip
        self.functional = functional

    def _call(self, z):
        return self.functional(self.parts.adjoint(z))

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator."""
        return self.parts @ self.functional.gradient @ self.parts.adjoint

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of the proximal."""
        proximal = self.functional.proximal
        return lambda sigma=1.0: self.parts @ proximal(sigma) @ self.parts.adjoint

    @property
    def convex_conj(self) -> odl.functionals.Functional:
        """The convex conjugate, of real and imaginary parts."""
        return OnRealParts(self.functional.convex_conj)
