r"""How much second derivatives of sums of filter responses change on a ball.

The energy has the terms ``psi_k((F_k x)_i)`` with ``psi_k = sum_j w_kj phi_{nu_j}``. While ``x``
moves by ``e``, a response ``(F_k x)_i`` moves by at most ``e`` times the norm of a row of ``F_k``,
so that derivatives of the potential are needed on short intervals only; see `intervals`.

Source of all bounds: ``docs/hypergradient_bound.md``, section "Ridge functions".
"""

import torch

from odl_learned.energies.filters.filter_norms import (
    Patches,
    product_norm,
    row_norms,
    weighted_norm,
)
from odl_learned.energies.filters.reflecting_filters import ReflectingFilters
from odl_learned.energies.hessian_variation import Variation
from odl_learned.energies.intervals import interval
from odl_learned.energies.samples import sample_norms


def ridge_variation(energy, x, params, radius, q):
    r"""Return the `Variation` of an `ExpertsEnergy` on the ball ``|z - x| <= e``.

    Parameters
    ----------
    energy : ExpertsEnergy
        Without negative weights at ``params``.
    x, q : tensor ``(B, *shape)``
    params : tensor ``(P,)``
    radius : tensor or array ``(B,)``

    Returns
    -------
    variation : Variation
    """
    at = _Ball(energy, x, params, radius, q)
    of_filters, of_weights = (part.to(at.x) for part in energy.slopes(params))
    linear = at.e * product_norm(at.filters, at.third * at.s.abs())
    size = weighted_norm(at.filters, torch.ones_like(at.third[:1, :, 0, 0]))
    capped = size * sample_norms(torch.minimum(at.third * at.rho, at.curvature) * at.s)
    mixed, jacobian = _of_weights(at, of_weights)
    if bool(of_filters.any()):
        moved, reached = _of_filters(at, of_filters)
        apart = not bool((of_filters.abs().sum((0, 1, 2)) * of_weights.abs().sum((0, 1))).any())
        join = torch.hypot if apart else torch.add
        mixed, jacobian = join(mixed, moved), join(jacobian, reached)
    return Variation(torch.minimum(linear, capped), torch.minimum(linear / 2, capped), mixed,
                     jacobian)  # fmt: skip


class _Ball:
    """Responses ``(B, K, *shape)`` at the center, and bounds of derivatives on the ball.

    ``curvatures`` bounds ``phi_j''`` and ``slopes`` is ``phi_j'`` at the center, ``(B, K, J,
    *shape)``; ``third``, ``curvature`` and ``slope`` bound derivatives of ``psi_k``.
    """

    def __init__(self, energy, x, params, radius, q):
        self.x, self.q, potential = x.double(), q.double(), energy.potential
        self.e = torch.as_tensor(radius, dtype=torch.float64, device=x.device)
        self.filters, weights = energy.evaluated(params.double(), self.x)
        r, self.s = self.filters.forward(self.x), self.filters.forward(self.q)
        self.rho = self.e[:, None, None, None] * row_norms(self.filters)
        low, high = (r.abs() - self.rho).clamp_min(0), r.abs() + self.rho
        rates = [interval(potential, nu, low, high, True) for nu in energy.scales]
        self.curvatures = torch.stack([rate.curvature for rate in rates], 2)
        self.slopes = torch.stack([potential.weight(r * r, nu) * r for nu in energy.scales], 2)
        third, self.curvature, slope = (
            torch.einsum("kj,bkjmn->bkmn", weights, parts)
            for parts in (torch.stack([rate.third for rate in rates], 2), self.curvatures,
                          self.slopes))  # fmt: skip
        self.third, self.slope = third, slope.abs() + self.rho * self.curvature


def _of_weights(at, jacobian):
    """Bounds of the parts of ``J`` from the weights, whose derivative is ``(K, J, P)``."""
    e, norms = at.e[:, None, None], at.filters.norms()[:, None]
    changes = e * norms * _norms(at.curvatures * at.s[:, :, None])
    sizes = _transposed_norms(at) + e * norms**2 * at.curvatures.amax((3, 4))
    jacobian = jacobian.flatten(0, 1)
    gram = (jacobian @ jacobian.mT).abs()
    return [torch.einsum("bm,mn,bn->b", m.flatten(1), gram, m.flatten(1)).sqrt()
            for m in (changes, sizes)]  # fmt: skip


def _transposed_norms(at):
    """``|F_k^T phi_j'(F_k x)|``, ``(B, K, J)``."""
    norms = []
    for kernel, slopes in zip(at.filters.filters, at.slopes.unbind(1), strict=True):
        alone = ReflectingFilters(at.filters.shape, kernel[None])
        images = alone.adjoint(slopes.flatten(0, 1)[:, None])
        norms.append(_norms(images.unflatten(0, slopes.shape[:2])))
    return torch.stack(norms, 1)


def _of_filters(at, jacobian):
    """Bounds of the parts of ``J`` from the filters, whose derivative is ``(K, s_1, s_2, P)``."""
    # |sum_k G_k^T u_k|^2 <= |Gamma| sum_k |R_k u_k|^2 with R_k^T R_k = G_k G_k^T, and Gamma_kl = 0
    # where G_k and G_l belong to different parameters, one otherwise.
    jacobian = jacobian.flatten(1, 2)
    vectors, sizes, _ = torch.linalg.svd(jacobian, full_matrices=False)
    roots = sizes[:, :, None] * vectors.mT
    used = (jacobian != 0).any(1).double()
    coupling = torch.linalg.matrix_norm((used @ used.mT > 0).double(), 2).sqrt()

    patches, e = Patches(at.filters), at.e[:, None]
    reach = patches.norm * sizes[:, 0]
    bent = (patches.norms(roots, at.x, at.third * at.s)
            + patches.norms(roots, at.q, at.curvature))  # fmt: skip
    moved = reach * _norms(at.curvature * at.s)
    changes = at.e * (weighted_norm(at.filters, bent.square()) + moved.norm(dim=1))
    bent = patches.norms(roots, at.x, at.curvature) + e * reach * at.curvature.amax((2, 3))
    moved = reach * _norms(at.slope)
    sizes = weighted_norm(at.filters, bent.square()) + moved.norm(dim=1)
    return coupling * changes, coupling * sizes


def _norms(images):
    """Norms over the last two axes."""
    return torch.linalg.vector_norm(images, dim=(-2, -1))
