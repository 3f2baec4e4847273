"""Total generalized variation of second order: value and proximal to a certified accuracy."""



import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.functionals.types import ProximalFactory
from odl_learned.functionals.variation.total_variation import DenoisingProximal
from odl_learned.operators import gradient
from odl_learned.solvers.solution import Solution
from odl_learned.solvers.variation.tgv import tgv_denoising, tgv_gradient, tgv_value
from odl_learned.validation import require_count, require_positive
from odl_learned.weights import constant_weight


class TotalGeneralizedVariation(odl.functionals.Functional):
    r"""Total generalized variation of second order.

    .. math:: R(u) = \min_v \int |\nabla u - v|_2 + \beta \int |E v|_2

    with the differences of `operators.gradient` and `operators.SymmetrizedGradient`. It is at most
    the total variation, and zero for affine images and no others. Value and proximal are
    minimizations, by `solvers.tgv_value` and `solvers.tgv_denoising`, from the same start each
    time, until their duality gap proves the accuracy. The gradient comes from the dual solution.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex, with a constant weight.
    beta : float
        Ratio of the two weights, positive, in units of length; usually one to a few pixels.
    accuracy : float, optional
        The value is too large by at most ``accuracy`` times the total variation, the objective of
        the proximal by ``accuracy`` times its minimum.
    maxiter : int, optional
        Largest number of iterations.

    Raises
    ------
    TypeError
        If the space is not a uniform discretization of constant weight.
    ValueError
        If a parameter is out of bounds.

    References
    ----------
    Bredies, K., Kunisch, K. and Pock, T. Total Generalized Variation. SIAM J. Imaging Sci. 3
    (2010).

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> slope = X.element(lambda x: 0.1 * x[0] + 0 * x[1])
    >>> slope.data[3:5, 3:5] += 0.2
    >>> tgv, tv = functionals.TotalGeneralizedVariation(X, beta=1.0), functionals.TotalVariation(X)
    >>> print(f"{tgv(slope):.1f} {tv(slope):.1f}")  # slopes cost nothing
    1.5 6.5
    """

    def __init__(
        self, space: odl.DiscretizedSpace, beta: float, accuracy: float = 1e-3, maxiter: int = 20000
    ) -> None:
        gradient(space)
        constant_weight("space", space)
        require_positive("beta", beta)
        require_positive("accuracy", accuracy)
        require_count("maxiter", maxiter)
        super().__init__(space, linear=False)
        self.beta, self.accuracy, self.maxiter = float(beta), float(accuracy), maxiter

    def _call(self, u):
        return tgv_value(u, self.beta, self.accuracy, self.maxiter)

    @property
    def gradient(self) -> odl.Operator:
        """The gradient operator, where there is a gradient, elsewhere a subgradient."""
        return _TotalGeneralizedVariationGradient(self)

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of proximal operators, ``sigma -> prox``."""
        return lambda sigma=1.0: DenoisingProximal(self, float(sigma))

    def denoised(self, x: LinearSpaceElement, sigma: float) -> Solution[LinearSpaceElement]:
        """Return the `Solution` of the proximal; see `solvers.tgv_denoising`."""
        return tgv_denoising(x, sigma, self.beta, self.accuracy, self.maxiter)


class _TotalGeneralizedVariationGradient(odl.Operator):
    """``u -> grad* q`` with the dual solution ``q`` of the inner minimization."""

    def __init__(self, functional):
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional = functional

    def _call(self, u):
        f = self.functional
        return tgv_gradient(u, f.beta, f.accuracy, f.maxiter)

    def gap(self, u):
        """Return ``f(u) - Re <p, u>``, for the gradient ``p`` at ``u``.

        With feasible dual variables ``p = grad* q`` is below the functional, ``f(z) >= Re <p, z>``
        for all ``z``. So it is a subgradient up to the gap: ``f(z) >= f(u) + Re <p, z - u> - gap``.
        """
        return max(0.0, self.functional(u) - float(np.real(self(u).inner(u))))
