r"""How much the derivatives of a term change on a ball, and how large they are on it.

With ``p = M x``, weights ``w`` and intervals of the density where no group moves by more than
``rho = |M_g| e``: bounds ``L_g`` of the third derivative, ``C_g`` of the second, ``N_g`` of that in
``nu``, and ``k_g`` of the second from below. Let ``|w^1/2 M| <= n``, ``q_g = (M q)_g`` and
``a_g = L_g |q_g|``. As ``docs/hypergradient_bound.md``, with weights,

.. math:: |(H(x) - H(\tilde x)) q| \le \alpha \min\Big(e |M^H w \operatorname{diag}(a) M|,\;
    n \big(\textstyle\sum_g w_g \min(a_g \rho, C_g |q_g|)^2\big)^{1/2}\Big),

and with ``M^H w diag(a) M <= lambda (mu + alpha M^H w diag(k) M)``, a part of all Hessians on the
ball, ``|<(H(x) - H(x~)) q, p>| <= alpha lambda |x - x~| |p|`` in its norm.
"""

from typing import NamedTuple

import torch

from odl_learned.energies.intervals import block_lengths
from odl_learned.energies.samples import sample_norms
from odl_learned.energies.transforms.pencil import pencil_bound


class TermVariation(NamedTuple):
    """The entries of `Variation` for one term, those of ``J`` for each of its scalars, ``(B,)``."""

    hessian: torch.Tensor
    mean_hessian: torch.Tensor
    changes: list
    sizes: list
    pencil: torch.Tensor


def term_variation(at, radius, q, mu):
    """Return the `TermVariation` on the ball ``|z - x| <= radius`` around a `TermPoint`.

    Parameters
    ----------
    at : TermPoint
        At ``x``.
    radius : tensor ``(B,)``
    q : tensor ``(B, *shape)``
    mu : float
        Of the whole energy, positive.
    """
    map, alpha, e = at.map, at.alpha, radius
    n, rho = map.norm, map.row_norm * e
    curvature, third, steepest, convexity = at.density.interval(at.p, at.nu, rho)
    w = map.linear(q)
    lengths = block_lengths(w)
    wide = rho.reshape(-1, *[1] * (w.ndim - 1))

    def root(values):
        return map.spread(values.square()).flatten(1).sum(1).sqrt()

    # no 0 times infinity, where a derivative has no bound
    third, mixed = (torch.where(lengths == 0, 0.0, rate) for rate in (third, steepest))
    bend = third * lengths
    linear = e * torch.minimum(map.product_norm(bend), n * map.row_norm * root(bend))
    linear = torch.where(e == 0, 0.0, linear)
    capped = n * root(torch.minimum(torch.where(wide == 0, 0.0, bend) * wide, curvature * lengths))
    bent, mean = torch.minimum(linear, capped), torch.minimum(linear / 2, capped)
    # mu has the global part of the convexity
    local = (convexity - at.term.density.convexity(at.nu)).clamp_min(0)
    pencil = pencil_bound(map, bend, alpha * local, mu)
    second = sample_norms(map.transpose(map.spread(at.point.hessian(w))))
    changes = [e * (second + mean)]
    sizes = [sample_norms(at.slope) + e * map.product_norm(curvature)]
    if at.term.nu is not None:
        slope = sample_norms(map.transpose(map.spread(at.point.slope_in_nu())))
        far = torch.where(e == 0, 0.0, e * map.product_norm(steepest))
        changes.append(torch.where(e == 0, 0.0, alpha * n * e * root(mixed * lengths)))
        sizes.append(alpha * (slope + far))
    pencil = alpha * pencil if alpha > 0 else torch.zeros_like(pencil)
    return TermVariation(alpha * bent, alpha * mean, changes, sizes, pencil)
