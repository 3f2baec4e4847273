"""Least squares through an operator, with a proximal by conjugate gradients."""

import warnings

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.functionals.evaluation import precise_value
from odl_learned.functionals.fidelities.l2 import l2_fidelity
from odl_learned.functionals.types import ProximalFactory
from odl_learned.odl_validation import require_operator
from odl_learned.operators import operator_norm
from odl_learned.solvers import conjugate_gradient
from odl_learned.validation import require_count, require_positive


class LeastSquares(odl.functionals.Functional):
    r"""Half the squared distance of what an operator measures to the data.

    .. math:: D(x) = \tfrac12 |A x - y|_Y^2, \qquad \nabla D(x) = A^* (A x - y), \qquad
              \text{prox}_{\sigma D}(x) = (I + \sigma A^* A)^{-1} (x + \sigma A^* y),

    which is ``l2_fidelity(y) @ A`` with a proximal: the data step of splitting methods, exact up to
    ``accuracy`` for every linear operator. On masks, whose ``A* A`` has two eigenvalues, it takes
    two iterations.

    Parameters
    ----------
    forward_op : linear odl.Operator
        ``A``, with an adjoint.
    data : element of ``forward_op.range``
        ``y``.
    accuracy : float, optional
        Of the proximal: its distance to the exact one, relative to ``|x + sigma A* y|``. Where the
        precision of the space does not allow for it, what it does.
    maxiter : int, optional
        Largest number of iterations of the proximal; a RuntimeWarning says where it was not enough.

    Raises
    ------
    TypeError
        If the operator is none, is not linear, or the data are not in its range.
    ValueError
        If the data are not finite, or a number is out of bounds.
    """

    def __init__(
        self,
        forward_op: odl.Operator,
        data: LinearSpaceElement,
        accuracy: float = 1e-6,
        maxiter: int = 200,
    ) -> None:
        require_operator("forward_op", forward_op)
        if not forward_op.is_linear or data not in forward_op.range:
            raise TypeError(
                f"forward_op is {forward_op!r} and data of type {type(data).__name__}, expected a "
                "linear operator and an element of its range; pass forward_op.derivative(x), or "
                "forward_op.range.element(array)."
            )
        require_positive("accuracy", accuracy)
        require_count("maxiter", maxiter, 1)
        self.expression = l2_fidelity(data) @ forward_op
        self.forward_op, self.data = forward_op, data
        self.accuracy, self.maxiter = float(accuracy), maxiter
        norm = operator_norm(forward_op)
        super().__init__(forward_op.domain, linear=False, grad_lipschitz=float(norm) ** 2)
        self.normal, self.back = forward_op.adjoint @ forward_op, forward_op.adjoint(data)

    def _call(self, x):
        return precise_value(self.expression, x)

    @property
    def gradient(self) -> odl.Operator:
        """``x -> A* A x - A* y``."""
        return self.normal - odl.ConstantOperator(self.back, self.domain)

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of ``(I + sigma A* A)^-1 (x + sigma A* y)``."""
        return lambda sigma=1.0: LeastSquaresProximal(self, float(sigma))


class LeastSquaresProximal(odl.Operator):
    """``x -> (I + sigma A* A)^-1 (x + sigma A* y)``, by conjugate gradients from ``x``."""

    def __init__(self, functional, sigma):
        require_positive("sigma", sigma)
        super().__init__(functional.domain, functional.domain, linear=False)
        self.functional, self.sigma = functional, sigma

    def _call(self, x):
        f, sigma = self.functional, self.sigma
        b = x + sigma * f.back
        size = float(b.norm())
        if size == 0:
            return b
        system = odl.IdentityOperator(f.domain) + sigma * f.normal
        return settled(conjugate_gradient(system, b, x, f.accuracy * size, f.maxiter,
                                          lower_bound=1.0))  # fmt: skip


def settled(solution, maker="LeastSquares"):
    """Return the point of a solution of conjugate gradients; warn where it is not there yet.

    The maker of the least squares is who is to be given more iterations.
    """
    missed = np.atleast_1d(solution.reason) == "maxiter"
    if missed.any():
        warnings.warn(
            f"a proximal of least squares was not reached in {missed.sum()} of {missed.size} "
            f"samples after {np.max(solution.niter)} iterations: it is "
            f"{np.max(solution.error_bound):.2g} away at most. Pass {maker} a larger maxiter, "
            "or take a smaller step.", RuntimeWarning, stacklevel=3)  # fmt: skip
    return solution.x
