"""The answer of all solvers of this room."""

from typing import NamedTuple

import numpy as np
import torch


class Reconstruction(NamedTuple):
    """Images with the latent vectors that explain them.

    Parameters
    ----------
    x : torch.Tensor, shape (N, *X.shape)
        u; where no deviation is admitted, ``G(z)``.
    latent : torch.Tensor, shape (N, latent)
        z, in double precision.
    value : torch.Tensor, shape (N,)
        The objective, in nats; it is not convex in z, and this may be a local minimum.
    stationarity : torch.Tensor, shape (N,)
        Norm of the gradient in z, in nats: at the end, or at the last image that minimizes for its
        z.
    niter : array of int, shape (N,)
        Number of rounds, or of steps.
    reason : array of str, shape (N,)
        ``"accuracy"``, ``"maxiter"``, or ``"rounding"``: no further decrease in this precision.
    """

    x: torch.Tensor
    latent: torch.Tensor
    value: torch.Tensor
    stationarity: torch.Tensor
    niter: np.ndarray
    reason: np.ndarray
