r"""How much second derivatives of an energy change on a ball around a point.

An energy has Lipschitz constants, ``LA`` of its Hessian and ``LB`` of its mixed derivative
``J = d_theta d_x E``, and the bound ``B`` of ``|J|``; energies in closed form know more,
from intervals of their potentials (`intervals`, `filters.ridge_variation`). Certificates of
hypergradients are made of it, see ``docs/hypergradient_bound.md``.
"""

from typing import NamedTuple

import torch

from odl_learned.energies.samples import sample_norms


class Variation(NamedTuple):
    r"""How much second derivatives change on the ball ``|x - x~| <= e``, for every sample.

    Every entry is a tensor ``(B,)`` in double precision; sums and minima of them are bounds, too.

    Parameters
    ----------
    hessian
        ``>= |(H(x) - H(x~)) q|`` for all ``x`` of the ball.
    mean_hessian
        ``>= |int_0^1 (H(x~ + t d) - H(x~)) q dt|`` for all ``|d| <= e``.
    mixed
        ``>= |(J(x) - J(x~))^T q|`` for all ``x`` of the ball.
    jacobian
        ``>= |J(x)|``, the spectral norm, for all ``x`` of the ball.
    """

    hessian: torch.Tensor
    mean_hessian: torch.Tensor
    mixed: torch.Tensor
    jacobian: torch.Tensor


def global_variation(constants, q, radius):
    """Return the `Variation` that follows from constants ``(LA, LB, B)`` on the whole space.

    Parameters
    ----------
    constants : tuple of floats
        As returned by ``energy.curvature_constants``; infinite where unknown.
    q : tensor ``(B, *shape)``
    radius : tensor or array ``(B,)``
    """
    size = sample_norms(q)
    change = torch.as_tensor(radius, dtype=torch.float64, device=size.device) * size

    def times(constant):
        return torch.where(change == 0, 0.0, constant * change)

    lipschitz_hessian, lipschitz_mixed, jacobian = (float(c) for c in constants)
    return Variation(times(lipschitz_hessian), times(lipschitz_hessian / 2), times(lipschitz_mixed),
                     torch.full_like(change, jacobian))  # fmt: skip


def variation(energy, x, params, data, radius, q):
    """Return the tightest `Variation` that an energy knows.

    Global constants give one; ``energy.variation_bound(x, params, data, radius, q)``, where the
    energy has this method, another. Each entry is the smaller of the two.
    """
    everywhere = global_variation(energy.curvature_constants(params), q, radius)
    local = getattr(energy, "variation_bound", None)
    if local is None:
        return everywhere
    return Variation(*map(torch.minimum, everywhere, local(x, params, data, radius, q)))
