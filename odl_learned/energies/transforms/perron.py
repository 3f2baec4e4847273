r"""Norms of nonnegative symmetric matrices from a test vector, after Perron and Frobenius."""

import torch

POWERS = 4


def perron_bound(product, like, powers=POWERS):
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
    powers : int, optional
        Number of products.

    Returns
    -------
    bound : tensor ``(B,)``

    Source: R. A. Horn, C. R. Johnson, *Matrix analysis*, 2nd ed., Theorem 8.1.18 and Corollary
    8.1.29.
    """
    axes = tuple(range(1, like.ndim))
    image = product(torch.ones_like(like))
    bound = image.amax(axes)
    for _ in range(powers - 1):
        largest = image.amax(axes, keepdim=True)
        u = torch.where(largest > 0, image / largest, 0.0) + 1e-3
        image = product(u)
        bound = torch.minimum(bound, (image / u).amax(axes))
    return bound
