r"""A-posteriori bounds of hypergradients; proofs are in ``docs/hypergradient_bound.md``.

Known are an approximate solution ``x~`` with ``|x~ - x^| <= e`` and an approximate adjoint ``q~``
with ``r = grad l(x~) - H(x~) q~``. Everything else that the bounds need is how much the Hessian
``H`` and ``J = d_theta d_x E`` can change on the ball of radius ``e`` around ``x~``, as seen by
``q~``: a `Variation`. It follows from global Lipschitz constants, and, much tighter, from intervals
of a potential (`intervals`, `ridge_variation`).
"""

from typing import NamedTuple

import torch


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


def gradient_bound(change, residual, error_bound, loss_lipschitz, strong_convexity):
    r"""Bound ``|z - grad F|`` for ``z = -J(x~)^T q~``, for every sample.

    .. math:: |z - \nabla F| \le \frac{\sup |J|}{\mu} \big(|r| + L_f e
        + \sup |(H - \tilde H) \tilde q|\big) + \sup |(J - \tilde J)^T \tilde q| .

    Parameters
    ----------
    change : Variation
    residual, error_bound : tensor ``(B,)``
        ``|r|`` and ``e``.
    loss_lipschitz, strong_convexity : float
        ``L_f`` and ``mu``.

    Returns
    -------
    bound : tensor ``(B,)``, infinite where nothing is known

    Source: ``docs/hypergradient_bound.md``, Theorem 1, after Ehrhardt & Roberts 2024.
    """
    adjoint = (residual + loss_lipschitz * error_bound + change.hessian) / strong_convexity
    return torch.where(adjoint == 0, 0.0, change.jacobian * adjoint) + change.mixed


def corrected_value_bound(change, residual, error_bound, loss_lipschitz):
    r"""Bound the error of ``l(x~) - <q~, grad E(x~)>`` as value of ``l(x^)``, for every sample.

    .. math:: e \Big(|r| + \tfrac12 L_f e
        + \sup \Big|\int_0^1 (H(\tilde x + t d) - \tilde H) \tilde q \, dt\Big|\Big) .

    Parameters and result as in `gradient_bound`.

    Source: ``docs/hypergradient_bound.md``, Theorem 2.
    """
    inside = residual + loss_lipschitz / 2 * error_bound + change.mean_hessian
    return torch.where(error_bound == 0, 0.0, error_bound * inside)


def sample_norms(x):
    """Return Euclidean norms of samples, ``(B,)`` in double precision."""
    return torch.linalg.vector_norm(_real(x), dim=1)


def sample_inner(x, y):
    """Return ``Re <x_b, y_b>``, ``(B,)`` in double precision."""
    return (_real(x) * _real(y)).sum(1)


def _real(x):
    x = torch.view_as_real(x.resolve_conj().contiguous()) if x.is_complex() else x
    return x.flatten(1).to(torch.float64)
