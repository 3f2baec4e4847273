r"""Norms of nonnegative symmetric matrices from a test vector, after Perron and Frobenius."""

import torch

POWERS = 4


def perron_bound(product, like):
    r"""Bound the norm of a symmetric matrix ``M`` with nonnegative entries, for every sample.

    For any ``u > 0``,

    .. math:: |M| \le \max_p \frac{(M u)_p}{u_p},

    with equality for the eigenvector of Perron; a few steps of the power method give ``u``.

    Parameters
    ----------
    product : callable
        ``u -> M u`` on tensors ``(B, *shape)``.
    like : tensor ``(B, *shape)``
        Of the type of ``u``.

    Returns
    -------
    bound : tensor ``(B,)``

    Source: R. A. Horn, C. R. Johnson, *Matrix analysis*, 2nd ed., Theorem 8.1.18 and Corollary
    8.1.29.
    """
    u, bounds = torch.ones_like(like), []
    axes = tuple(range(1, like.ndim))
    for _ in range(POWERS):
        image = product(u)
        bounds.append((image / u).amax(axes))
        largest = image.amax(axes, keepdim=True)
        u = torch.where(largest > 0, image / largest, 0.0) + 1e-3
    return torch.stack(bounds).amin(0)
