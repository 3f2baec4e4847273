"""What a head of a network says at latent vectors, as precisions."""

import torch

from odl_learned.networks.generative import ConstantHead, WindowHead
from odl_learned.regularizers.generative.precision import Precision


def precision_at(head: ConstantHead | WindowHead, z: torch.Tensor) -> Precision:
    """Return the precisions of deviations ``(N, C, *shape)`` at latent vectors ``(N, latent)``."""
    log_diagonal, neighbors = head(z)
    return Precision(log_diagonal, neighbors, head.radius)
