r"""A-posteriori bounds of hypergradients; proofs are in ``docs/hypergradient_bound.md``.

Known are an approximate solution ``x~`` with ``|x~ - x^| <= e`` and an approximate adjoint ``q~``
with ``r = grad l(x~) - H(x~) q~``. Everything else that the bounds need is how much the Hessian
``H`` and ``J = d_theta d_x E`` can change on the ball of radius ``e`` around ``x~``, as seen by
``q~``: a `Variation`. It follows from global Lipschitz constants, and, much tighter, from intervals
of a potential (`intervals`, `ridge_variation`).
"""

import math

import torch


def gradient_bound(change, residual, error_bound, loss_lipschitz, strong_convexity,
                   distance=math.inf):  # fmt: skip
    r"""Bound ``|z - grad F|`` for ``z = -J(x~)^T q~``, for every sample.

    .. math:: |z - \nabla F| \le \sup |J| \Big(\frac{|r| + L_f e}{\mu}
        + \min\Big(\frac{\sup |(H - \tilde H) \tilde q|}{\mu},
        \frac{\kappa \gamma}{\sqrt \mu}\Big)\Big) + \sup |(J - \tilde J)^T \tilde q| .

    Parameters
    ----------
    change : Variation
    residual, error_bound : tensor ``(B,)``
        ``|r|`` and ``e``.
    loss_lipschitz, strong_convexity : float
        ``L_f`` and ``mu``.
    distance : tensor ``(B,)``, optional
        ``gamma >= |x~ - x^|_M``, in the norm of ``change.pencil``, which is ``kappa``.

    Returns
    -------
    bound : tensor ``(B,)``, infinite where nothing is known

    Source: ``docs/hypergradient_bound.md``, Theorem 1, after Ehrhardt & Roberts 2024, and
    Theorem 3.
    """
    bent = torch.minimum(change.hessian / strong_convexity,
                         _times(change.pencil, distance) / strong_convexity**0.5)  # fmt: skip
    adjoint = (residual + loss_lipschitz * error_bound) / strong_convexity + bent
    return torch.where(adjoint == 0, 0.0, change.jacobian * adjoint) + change.mixed


def corrected_value_bound(change, residual, error_bound, loss_lipschitz, distance=math.inf):
    r"""Bound the error of ``l(x~) - <q~, grad E(x~)>`` as value of ``l(x^)``, for every sample.

    .. math:: e \Big(|r| + \tfrac12 L_f e\Big) + \min\Big(e
        \sup \Big|\int_0^1 (H(\tilde x + t d) - \tilde H) \tilde q \, dt\Big|,
        \tfrac12 \kappa \gamma^2\Big) .

    Parameters and result as in `gradient_bound`.

    Source: ``docs/hypergradient_bound.md``, Theorem 2.
    """
    straight = error_bound * (residual + loss_lipschitz / 2 * error_bound)
    bent = torch.minimum(error_bound * change.mean_hessian,
                         _times(change.pencil, distance) * distance / 2)  # fmt: skip
    return torch.where(error_bound == 0, 0.0, straight + bent)


def _times(pencil, distance):
    """``kappa gamma``, zero where one of them is."""
    product = torch.as_tensor(pencil) * distance
    return torch.where(product.isnan(), 0.0, product)
