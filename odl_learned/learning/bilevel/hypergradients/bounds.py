r"""A-posteriori bounds of hypergradients; proofs are in ``docs/hypergradient_bound.md``.

Known are an approximate solution ``x~`` with ``|x~ - x^| <= e`` and an approximate adjoint ``q~``
with ``r = grad l(x~) - H(x~) q~``. Everything else that the bounds need is how much the Hessian
``H`` and ``J = d_theta d_x E`` can change on the ball of radius ``e`` around ``x~``, as seen by
``q~``: a `Variation`. It follows from global Lipschitz constants, and, much tighter, from intervals
of a potential (`intervals`, `ridge_variation`).
"""

import torch


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
