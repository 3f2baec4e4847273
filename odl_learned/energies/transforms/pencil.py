"""How large one curvature is against another one, as forms of images."""

import torch

HALVINGS, POWERS = 4, 2
SMALLEST = 1e-4


def pencil_bound(transform, upper, lower, mu):
    r"""Return ``t`` with ``D^T diag(upper) D <= t (mu + D^T diag(lower) D)``, for every sample.

    It is enough that ``|D^T diag(max(upper - t lower, 0)) D| <= t mu``, where the left side falls
    and the right side grows with ``t``: the smallest one is found by bisection.

    Parameters
    ----------
    transform : Transform
    upper, lower : tensor ``(B, 1, *shape)``, nonnegative
        One number for every group.
    mu : float, positive

    Returns
    -------
    t : tensor ``(B,)``
    """
    high = transform.product_norm(upper) / mu
    low = SMALLEST * high
    for _ in range(HALVINGS):
        t = (low * high).sqrt()
        rest = upper - t.reshape(-1, *[1] * (upper.ndim - 1)) * lower
        enough = transform.product_norm(rest.clamp_min(0), POWERS) <= t * mu
        low, high = torch.where(enough, low, t), torch.where(enough, t, high)
    return high
