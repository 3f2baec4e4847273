r"""The potential part ``alpha sum_g phi_nu(|(D x)_g|)`` of energies in closed form, at a point.

With ``p = D x`` and ``w, k`` of the potential it has the gradient ``alpha D^T w p`` and the Hessian
``alpha D^T (w + k p p^T) D``; along a dual variable ``z`` near ``w p`` that is another one, see
`VariationEnergy.linearize_from`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from odl_learned.energies.fidelities import real_products
from odl_learned.energies.transforms.transform import group_squares, scaled_groups


class VariationPart(NamedTuple):
    """The derivatives of the potential part at a point.

    Parameters
    ----------
    slope : tensor ``(B, *shape)``
        The gradient.
    product : callable
        ``f -> (v -> H v + f v)`` with the Hessian ``H``.
    curvatures : callable
        ``() -> (B, d, *shape)``, or ``(B, d, 1, ...)`` for means: the diagonal of the matrices
        between ``D^T`` and ``D``; of complex ones, half of the real and the imaginary part.
    """

    slope: torch.Tensor
    product: Callable
    curvatures: Callable


def exact_part(energy, c, x):
    """Return the `VariationPart` of a `VariationEnergy` with coefficients ``c``."""
    p, weight, curvature = _weighted(energy, c, x)
    return _part(energy, c, x, p, weight, None, c.alpha * curvature)


def following_part(energy, c, x, state):
    """Return the `VariationPart` along the dual variable, and the next state."""
    p, weight, curvature = _weighted(energy, c, x)
    ratio = curvature / weight
    z = scaled_groups(weight, p) if state is None else _followed(energy, c, x, state)
    part = _part(energy, c, x, p, weight, z, (0.5 * c.alpha) * ratio)
    return part, (x, p, weight, ratio, z)


def _weighted(energy, c, x):
    p = energy.transform.forward(x)
    return p, *energy.potential.weight_and_curvature(group_squares(p), c.nu)


def _part(energy, c, x, p, weight, z, bent):
    scaled, transform = c.alpha * weight, energy.transform

    def curvatures():
        squares = real_products(p, p) if z is None else 2 * real_products(z, p)
        fields = 2 if x.is_complex() else 1
        return (squares * bent[:, None] / fields).add_(scaled[:, None])

    return VariationPart(transform.scaled_adjoint(scaled, p),
                         lambda factor: transform.hessian(p, z, scaled, bent, factor), curvatures)


def _followed(energy, c, x, state):
    """The dual variable after the step to ``x``; the same, bit by bit, for samples at rest."""
    before, p, weight, ratio, z = state
    step = x - before
    most = energy.potential.constants(c.nu).slope
    moved = energy.transform.followed(step, p, z, weight, ratio, most)
    at_rest = (step == 0).flatten(1).all(1)
    return torch.where(at_rest.reshape(-1, *[1] * (z.ndim - 1)), z, moved)
