r"""How much second derivatives of an energy change on a ball around a point.

An energy has Lipschitz constants, ``LA`` of its Hessian and ``LB`` of its mixed derivative
``J = d_theta d_x E``, and the bound ``B`` of ``|J|``; energies in closed form know more,
from intervals of their potentials (`intervals`, `filters.ridge_variation`). Certificates of
hypergradients are made of it, see ``docs/hypergradient_bound.md``.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from odl_learned.energies.samples import sample_inner, sample_norms

#: Radii of balls, one for each sample.
Radius = torch.Tensor | np.ndarray


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
    pencil
        A number ``k`` with ``|<(H(x~ + t d) - H(x~)) q, p>| <= k t |d|_M |p|_M`` for all ``|d| <=
        e``, ``0 <= t <= 1`` and ``p``, in the norm ``|p|_M^2 = <p, M p>`` of some ``mu <= M <=
        H(x)`` for all ``x`` of the ball; infinite where none is known.
    """

    hessian: torch.Tensor
    mean_hessian: torch.Tensor
    mixed: torch.Tensor
    jacobian: torch.Tensor
    pencil: torch.Tensor | float = math.inf


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
                     torch.full_like(change, jacobian),
                     torch.full_like(change, math.inf))  # fmt: skip


def variation(energy, x, params, data, radius, q):
    """Return the tightest `Variation` that an energy knows.

    Global constants give one; ``energy.variation_bound(x, params, data, radius, q)``, where the
    energy has this method, another. Each entry is the smaller of the two.
    """
    everywhere = global_variation(energy.curvature_constants(params), q, radius)
    local = getattr(energy, "variation_bound", None)
    if local is None:
        return everywhere
    near = local(x, params, data, radius, q)
    near = near._replace(pencil=torch.as_tensor(near.pencil, dtype=torch.float64))
    return Variation(*map(torch.minimum, everywhere, near))


def pencil_seen(here, there, d, q):
    """Return a lower bound of `Variation.pencil`, ``(B,)``, from two `Linearization`.

    With ``v = (H(x~ + d) - H(x~)) q`` it is ``<v, v> <= k |d|_M |v|_M``, and no norm in ``M`` is
    larger than that in a Hessian on the ball. Rounding errors of ``v`` do not count.
    """
    first, second = here.hessian(q), there.hessian(q)
    v, doubt = second - first, 64 * torch.finfo(q.dtype).eps * (
        sample_norms(first) + sample_norms(second))  # fmt: skip
    sizes = [torch.minimum(sample_inner(p, here.hessian(p)), sample_inner(p, there.hessian(p)))
             for p in (d, v)]  # fmt: skip
    least = (sizes[0] * sizes[1]).clamp_min(0).sqrt()
    size = (sample_norms(v) - doubt).clamp_min(0)
    return torch.where(least > 0, size**2 / least.clamp_min(1e-300), 0.0)
