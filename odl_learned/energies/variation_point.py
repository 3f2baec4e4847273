r"""Energies in closed form to second order at a point, exactly and along a dual variable.

With ``p = D x``, ``r = A x - y`` and ``w, k`` of the potential, Newton's method has the Hessian

.. math:: A^* w_j A + \alpha D^T (w + k\, p p^T) D + \xi,

and Newton's method for ``z = w p`` another one, see `VariationEnergy.linearize_from`.
"""

import functools

import torch

from odl_learned.energies.coefficients.functions import evaluated_like
from odl_learned.energies.coefficients.slopes import pulled_back
from odl_learned.energies.energy import Linearization
from odl_learned.energies.fidelities import real_products, residual, weighted
from odl_learned.energies.transforms.transform import group_products, group_squares, scaled_groups


class VariationPoint:
    """A point, and what all derivatives of a `VariationEnergy` there need.

    Parameters
    ----------
    energy : VariationEnergy
    x : tensor ``(B, *shape)``
    params : tensor ``(P,)``
    data : tensor
    """

    def __init__(self, energy, x, params, data):
        self._energy, self._x, self._params = energy, x, params
        self._c = evaluated_like(energy.coefficients, params, x)
        self._p = energy.transform.forward(x)
        self._squares = group_squares(self._p)
        self._weight, self._curvature = energy.potential.weight_and_curvature(
            self._squares, self._c.nu)  # fmt: skip
        self._r = residual(energy.fidelity, x, data, self._c)

    def linearization(self):
        """Return the `Linearization`."""
        p, bent = self._p, self._c.alpha * self._curvature
        return self._linearization(None, bent, lambda: real_products(p, p) * bent[:, None])

    def linearization_from(self, state):
        """Return the `Linearization` along the dual variable, and the next state."""
        p, ratio = self._p, self._curvature / self._weight
        z = scaled_groups(self._weight, p) if state is None else self._followed(state)
        bent = (0.5 * self._c.alpha) * ratio
        linear = self._linearization(z, bent, lambda: 2 * real_products(z, p) * bent[:, None])
        return linear, (self._x, p, self._weight, ratio, z)

    def _linearization(self, z, bent, bent_squares):
        """The `Linearization` with ``alpha D^T (w + bend) D`` as Hessian of the potential."""
        x, c, p, r = self._x, self._c, self._p, self._r
        fidelity, transform = self._energy.fidelity, self._energy.transform
        scaled = c.alpha * self._weight
        factor = float(c.xi) if c.weights is not None else 1 + float(c.xi)  # A is unitary
        product = transform.hessian(p, z, scaled, bent, factor)

        def hessian(v):
            result = product(v)
            if c.weights is not None:
                result.add_(fidelity.adjoint(c.weights * fidelity.forward(v), v))
            return result

        def mixed_adjoint(q):
            inner = group_products(p, transform.forward(q))
            return pulled_back(self._energy.coefficients, self._params, {
                "alpha": lambda: (self._weight * inner).sum(),
                "nu": lambda: c.alpha * (self._energy.potential.weight_slope(self._squares, c.nu)
                                         * inner).sum(),
                "xi": lambda: real_products(x, q).sum(),
                "weights": lambda: real_products(r, fidelity.forward(q)).sum(0),
            })  # fmt: skip

        @functools.cache
        def preconditioner():
            fields = 2 if x.is_complex() else 1
            curvatures = (bent_squares() / fields).add_(scaled[:, None])
            return fidelity.preconditioner(c.weights, transform, curvatures, c.xi)

        slope = assembled_gradient(self._energy, x, r, transform.scaled_adjoint(scaled, p), c)
        return Linearization(slope, hessian, mixed_adjoint, lambda v: preconditioner()(v))

    def _followed(self, state):
        """The dual variable after the step to ``x``; the same, bit by bit, for samples at rest."""
        before, p, weight, ratio, z = state
        step = self._x - before
        most = self._energy.potential.constants(self._c.nu).slope
        moved = self._energy.transform.followed(step, p, z, weight, ratio, most)
        at_rest = (step == 0).flatten(1).all(1)
        return torch.where(at_rest.reshape(-1, *[1] * (z.ndim - 1)), z, moved)


def assembled_gradient(energy, x, r, slope, c):
    """Return ``d_x E = A^* (w_j r_j) + D^T q + xi x`` for ``r = A x - y`` and ``slope = D^T q``."""
    slope = slope.add_(c.xi * x) if c.xi else slope
    return slope.add_(energy.fidelity.adjoint(weighted(c.weights, r), x))
