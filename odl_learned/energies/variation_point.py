r"""Energies in closed form to second order at a point, exactly and along a dual variable.

With ``p = D x``, ``r = A x - y`` and ``w, k`` of the potential, Newton's method has the Hessian

.. math:: A^* w_j A + \alpha D^T (w + k\, p p^T) D + \xi,

and Newton's method for ``z = w p`` another one, see `VariationEnergy.linearize_from`.
"""

import functools

from odl_learned.energies.coefficients.functions import evaluated_like
from odl_learned.energies.coefficients.slopes import pulled_back
from odl_learned.energies.energy import Frame, Linearization
from odl_learned.energies.fidelities import FourierSampling, real_products, residual, weighted
from odl_learned.energies.swept_part import (
    can_sweep_part,
    swept_exact_part,
    swept_following_part,
)
from odl_learned.energies.transforms.transform import group_products, group_squares
from odl_learned.energies.variation_part import exact_part, following_part


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
        self._r = residual(energy.fidelity, x, data, self._c)
        self._is_swept = can_sweep_part(energy, x)

    def linearization(self):
        """Return the `Linearization`."""
        part = swept_exact_part if self._is_swept else exact_part
        return self._linearization(part(self._energy, self._c, self._x))

    def linearization_from(self, state):
        """Return the `Linearization` along the dual variable, and the next state."""
        following = swept_following_part if self._is_swept else following_part
        part, state = following(self._energy, self._c, self._x, state)
        return self._linearization(part), state

    def _linearization(self, part):
        x, c, fidelity = self._x, self._c, self._energy.fidelity
        factor = float(c.xi) if c.weights is not None else 1 + float(c.xi)  # A is unitary
        product = part.product(factor)

        def hessian(v):
            result = product(v)
            if c.weights is not None:
                result.add_(fidelity.adjoint(c.weights * fidelity.forward(v), v))
            return result

        @functools.cache
        def preconditioner():
            return fidelity.preconditioner(c.weights, self._energy.transform, part.curvatures(),
                                           c.xi)  # fmt: skip

        slope = assembled_gradient(self._energy, x, self._r, part.slope, c)
        frame = None
        if type(fidelity) is FourierSampling and x.is_complex() and c.weights is not None:
            frame = self._frequencies(part, product)
        return Linearization(slope, hessian, self._mixed_adjoint, lambda v: preconditioner()(v),
                             frame)  # fmt: skip

    def _frequencies(self, part, product):
        """Fourier transforms of complex images, where weights and preconditioner are factors."""
        c, fidelity = self._c, self._energy.fidelity

        @functools.cache
        def symbol():
            return fidelity.symbol(c.weights, self._energy.transform, part.curvatures(), c.xi)

        def back(v):
            return fidelity.adjoint(v, v)

        return Frame(fidelity.forward, back,
                     lambda v: fidelity.forward(product(back(v))).add_(c.weights * v),
                     lambda v: v / symbol())  # fmt: skip

    def _mixed_adjoint(self, q):
        x, c, potential = self._x, self._c, self._energy.potential
        p = self._energy.transform.forward(x)
        squares = group_squares(p)
        inner = group_products(p, self._energy.transform.forward(q))
        return pulled_back(self._energy.coefficients, self._params, {
            "alpha": lambda: (potential.weight(squares, c.nu) * inner).sum(),
            "nu": lambda: c.alpha * (potential.weight_slope(squares, c.nu) * inner).sum(),
            "xi": lambda: real_products(x, q).sum(),
            "weights": lambda: real_products(self._r, self._energy.fidelity.forward(q)).sum(0),
        })  # fmt: skip


def assembled_gradient(energy, x, r, slope, c):
    """Return ``d_x E = A^* (w_j r_j) + D^T q + xi x`` for ``r = A x - y`` and ``slope = D^T q``."""
    slope = slope.add_(c.xi * x) if c.xi else slope
    return slope.add_(energy.fidelity.adjoint(weighted(c.weights, r), x))
