"""Total variation, with a proximal to a certified accuracy."""



import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.functionals.evaluation import precise_value
from odl_learned.functionals.types import ProximalFactory
from odl_learned.operators import gradient
from odl_learned.solvers.solution import Solution
from odl_learned.solvers.variation.rof import rof
from odl_learned.validation import is_finite_number, require_count, require_positive
from odl_learned.weights import constant_weight


class TotalVariation(odl.functionals.Functional):
    r"""Total variation of images.

    .. math:: R(u) = \int |\nabla u|_p, \qquad
              \text{prox}_{\sigma R}(x) = \text{argmin}_u \; \tfrac12 |u - x|^2 + \sigma R(u),

    with the differences of `operators.gradient`; ``p = 2`` is isotropic and ``p = 1`` anisotropic
    (on complex images the sum of the moduli of the partial derivatives). The proximal is an ODL
    operator that solves the problem of Rudin, Osher and Fatemi by `solvers.rof`, from the same
    start each time, until its duality gap proves the accuracy; its method ``gap(x)`` declares the
    gap, by which `conformance` judges it, and `solvers.rof` itself returns the certificate, too.
    The attribute ``expression`` is the ODL expression of the value.

    Parameters
    ----------
    space : ``uniform_discr`` space
        Images, real or complex, with a constant weight, as `solvers.rof` needs it. Elsewhere
        ``GroupL1Norm(gradient(space).range) @ gradient(space)`` is the value, and
        `solvers.primal_dual` minimizes.
    exponent : {2, 1}, optional
        Pointwise norm ``p`` of the gradient.
    accuracy : float, optional
        Of the proximal: its objective is at most ``1 + accuracy`` times the minimum. Reached where
        the precision of the space allows for it; below ``1e-6`` use double precision.
    maxiter : int, optional
        Largest number of iterations of the proximal.

    Raises
    ------
    TypeError
        If the space is not a uniform discretization of constant weight.
    ValueError
        If a parameter is out of bounds.

    References
    ----------
    Rudin, L., Osher, S. and Fatemi, E. Nonlinear total variation based noise removal algorithms.
    Physica D 60 (1992).
    """

    def __init__(
        self,
        space: odl.DiscretizedSpace,
        exponent: int = 2,
        accuracy: float = 1e-5,
        maxiter: int = 10000,
    ) -> None:
        difference = gradient(space)
        constant_weight("space", space)
        if not is_finite_number(exponent) or exponent not in (1, 2):
            raise ValueError(
                f"exponent is {exponent!r}, expected 2 (isotropic) or 1 (anisotropic)."
            )
        require_positive("accuracy", accuracy)
        require_count("maxiter", maxiter)
        super().__init__(space, linear=False)
        self.exponent, self.accuracy, self.maxiter = exponent, float(accuracy), maxiter
        length = odl.functionals.GroupL1Norm(difference.range, exponent=exponent)
        self.expression = length @ difference

    def _call(self, u):
        return precise_value(self.expression, u)

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of proximal operators, ``sigma -> prox``."""
        return lambda sigma=1.0: DenoisingProximal(self, float(sigma))

    def denoised(self, x: LinearSpaceElement, sigma: float) -> Solution[LinearSpaceElement]:
        """Return the `Solution` of the proximal, with its certificate; see `solvers.rof`."""
        return rof(x, sigma, self.accuracy, self.maxiter, self.exponent)


class DenoisingProximal(odl.Operator):
    """``x -> argmin_u |u - x|^2 / 2 + sigma R(u)`` by ``functional.denoised(x, sigma)``."""

    def __init__(self, functional, sigma):
        require_positive("sigma", sigma)
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional, self.sigma = functional, sigma

    def _call(self, x):
        return self.functional.denoised(x, self.sigma).x

    def gap(self, x):
        """Return how far the objective at ``prox(x)`` is above its minimum, at most."""
        return self.functional.denoised(x, self.sigma).gap
