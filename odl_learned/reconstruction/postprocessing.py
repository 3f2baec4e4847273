"""Learned postprocessing: a network behind a reconstruction that is known."""

import torch
from torch import nn

from odl_learned.reconstruction.tensor_maps import (
    TensorMap,
    require_samples_apart,
    require_tensor_map,
)


class Postprocessing(nn.Module):
    r"""A network on images after a first reconstruction, ``u = N(A^+ y)``.

    With ``N = id`` it is the first reconstruction. The data do not come in again: what the network
    adds in the null space of A, and takes from its range, no data correct.

    Parameters
    ----------
    initial : torch.nn.Module or callable
        ``A^+``, maps data ``(*batch, *Y.shape)`` to images ``(*batch, *X.shape)``: filtered
        backprojection, ``bridge.as_module(operators.fbp(A))``; the adjoint, which is zero filling
        for `operators.SampledFourier`; or `Tikhonov`, `LeastSquares` or `Landweber`.
    net : torch.nn.Module
        N, maps images to images, for example ``networks.OnImages(networks.Residual(networks.UNet(
        1, 1, (16, 32, 64), dimension=2)), dimension=2)``.

    Raises
    ------
    TypeError
        If an ODL operator is passed in place of its module.
    ValueError
        If the network returns another shape, or mixes samples; the latter is found at the start
        where the first reconstruction knows the space of the data.

    Source: Jin et al., Deep convolutional neural network for inverse problems in imaging (2017).
    """

    def __init__(self, initial: TensorMap, net: nn.Module) -> None:
        super().__init__()
        require_tensor_map("initial", initial)
        require_tensor_map("net", net)
        self.initial, self.net = initial, net
        require_samples_apart(self, initial)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        # (*batch, *Y.shape) -> (*batch, *X.shape)
        u = self.initial(data)
        x = self.net(u)
        if x.shape != u.shape:
            raise ValueError(f"the network maps {tuple(u.shape)} to {tuple(x.shape)}, expected the "
                             "same shape; put channel networks into networks.OnImages.")
        return x
