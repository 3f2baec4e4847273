r"""How much the derivatives of a term change on a ball, and how large they are on it.

With ``p = M x``, weights ``w`` and intervals of the density where no group moves by more than
``rho = |M_g| e``: bounds ``L_g`` of the third derivative, ``C_g`` of the second, ``N_g`` of that in
``nu``. Let ``|w^1/2 M| <= n``. As ``docs/hypergradient_bound.md``, with weights,

.. math:: |(H(x) - H(\tilde x)) q| \le \alpha \min\Big(n^2 e \max_g L_g |q_g|,\;
    n \big(\textstyle\sum_g w_g \min(L_g \rho, C_g)^2 |q_g|^2\big)^{1/2}\Big), \quad q_g = (M q)_g .
"""

from typing import NamedTuple

import torch

from odl_learned.energies.intervals import block_lengths
from odl_learned.energies.samples import sample_norms


class TermVariation(NamedTuple):
    """The entries of `Variation` for one term, those of ``J`` for each of its scalars, ``(B,)``."""

    hessian: torch.Tensor
    mean_hessian: torch.Tensor
    changes: list
    sizes: list


def term_variation(term, x, params, data, radius, q):
    """Return the `TermVariation` of a `Term` on the ball ``|z - x| <= radius``.

    Parameters
    ----------
    term : Term
    x, q : tensor ``(B, *shape)``
    params : tensor ``(P,)``
    data : tensor
    radius : tensor ``(B,)``
    """
    map, e = term.map, radius
    at = term.at(x, params, data)
    alpha, n = at.alpha, map.norm
    rho = map.row_norm * e
    curvature, third, steepest, _ = at.density.interval(at.p, at.nu, rho)
    w = map.linear(q)
    lengths = block_lengths(w)
    wide = rho.reshape(-1, *[1] * (w.ndim - 1))

    def root(values):
        return map.spread(values.square()).flatten(1).sum(1).sqrt()

    def most(values):
        return values.flatten(1).amax(1)

    # no 0 times infinity, where a derivative has no bound
    third, mixed = (torch.where(lengths == 0, 0.0, rate) for rate in (third, steepest))
    linear = n * e * torch.minimum(n * most(third * lengths), map.row_norm * root(third * lengths))
    linear = torch.where(e == 0, 0.0, linear)
    third = torch.where(wide == 0, 0.0, third)
    capped = n * root(torch.minimum(third * wide, curvature) * lengths)
    bent, mean = torch.minimum(linear, capped), torch.minimum(linear / 2, capped)
    second = sample_norms(map.transpose(map.spread(at.point.hessian(w))))
    first = sample_norms(map.transpose(map.spread(at.point.gradient)))
    changes = [e * (second + mean)]
    sizes = [first + e * n**2 * most(curvature)]
    if term.nu is not None:
        slope = sample_norms(map.transpose(map.spread(at.point.slope_in_nu())))
        changes.append(torch.where(e == 0, 0.0, alpha * n * e * root(mixed * lengths)))
        sizes.append(alpha * (slope + torch.where(e == 0, 0.0, e * n**2 * most(steepest))))
    return TermVariation(alpha * bent, alpha * mean, changes, sizes)
