r"""Convolutions that keep norms: products of small orthogonal ones, found by Bjorck's iteration.

For an orthogonal projection P, the kernel ``(P, 1 - P)`` of two entries keeps norms: at every
frequency its symbol ``P + (1 - P) e^{i w}`` is unitary. Products of such kernels along all axes
with an orthogonal matrix do, too, on circular images. On zero padded images the map is a part of
that, at most 1-Lipschitz.
"""

import torch
from torch import nn

from odl_learned.networks.boundaries import Boundary, Circular, Zero
from odl_learned.networks.layers import require_generator
from odl_learned.networks.lipschitz import BoundedConvolution, rounding_slack

#: Steps of Bjorck's iteration; small singular values grow by 3/2 in each, then quadratically.
STEPS = 30


def orthonormalized(matrix: torch.Tensor, steps: int = STEPS) -> torch.Tensor:
    r"""Return a matrix with the same singular vectors and singular values near one, never above.

    .. math:: A_{k+1} = \tfrac12 A_k (3 - A_k^T A_k), \qquad
              A_0 = A / \sqrt{|A|_1 |A|_\infty},

    sends a singular value s in [0, 1] to ``s (3 - s^2) / 2``, again in [0, 1] and not smaller.

    Parameters
    ----------
    matrix : tensor ``(..., m, n)``
    steps : int, optional

    Source: Bjorck, Bowie, An iterative algorithm for computing the best estimate of an orthogonal
    matrix (1971).
    """
    size = matrix.abs().sum(-1).amax(-1) * matrix.abs().sum(-2).amax(-1)
    matrix = matrix / size.clamp_min(torch.finfo(matrix.dtype).tiny).sqrt()[..., None, None]
    wide = matrix.shape[-1] > matrix.shape[-2]
    a = matrix.mT if wide else matrix
    for _ in range(steps):
        a = 1.5 * a - 0.5 * a @ (a.mT @ a)
    return a.mT if wide else a


class OrthogonalConvolution(BoundedConvolution):
    r"""A convolution that keeps norms (or drops channels) on circular images.

    .. math:: K = H \, B_1 \cdots B_m, \qquad B_j = P_j + (1 - P_j) T_j, \quad P_j = N_j N_j^T,

    with ``T_j`` a shift along one axis, ``size - 1`` of them per axis, and H and N_j with
    orthonormal columns by Bjorck's iteration, in double precision.

    Parameters
    ----------
    in_channels, out_channels, size : int
        Channels, and entries of the kernel along every axis.
    boundary : networks.Circular or networks.Zero
        Reflected images have another norm; use `NormalizedConvolution` for them.
    dimension : int
        Number of axes of an image: 1, 2 or 3.
    generator : torch.Generator, optional
        Source of the random weights; the default is torch's own.

    Maps ``(N, in_channels, *shape)`` to ``(N, out_channels, *shape)``, in the dtype of the weights.

    Raises
    ------
    ValueError
        For sizes below 1, or an input of another shape or too small for the kernel.
    TypeError
        If the boundary is another one, or for an input of another dtype.

    Source: Li et al., Preventing gradient attenuation in Lipschitz constrained convolutional
    networks (2019).

    Examples
    --------
    >>> import torch
    >>> from odl_learned import networks
    >>> seed = torch.Generator().manual_seed(0)
    >>> circular = networks.Circular()
    >>> layer = networks.OrthogonalConvolution(2, 2, 3, circular, dimension=2, generator=seed)
    >>> x = torch.rand(1, 2, 8, 8, generator=seed)
    >>> print(f"{layer(x).norm() / x.norm():.4f}")
    1.0000
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        boundary: Boundary,
        *,
        dimension: int,
        generator: torch.Generator | None = None,
    ) -> None:
        if not isinstance(boundary, Circular | Zero):
            raise TypeError(f"boundary is of type {type(boundary).__name__}, expected "
                            "networks.Circular() or networks.Zero(); for reflected images use "
                            "networks.NormalizedConvolution.")
        super().__init__(in_channels, out_channels, size, boundary, dimension)
        require_generator(generator)
        width = max(in_channels, out_channels)
        factors = (size - 1) * dimension
        self.matrix = nn.Parameter(torch.randn(width, width, generator=generator))
        self.frames = nn.Parameter(
            torch.randn(factors, width, max(1, width // 2), generator=generator))

    def kernel(self) -> torch.Tensor:
        """Return the kernel, of norm at most one also after rounding to the dtype of the weights.

        Factors have norms of at most one, whether or not the iteration has converged: singular
        values of H and eigenvalues p of ``P_j`` are in [0, 1], and ``|p + (1 - p) z| <= 1``.
        """
        dtype, d = self.matrix.dtype, self.dimension
        H = orthonormalized(self.matrix.double())
        frames = orthonormalized(self.frames.double())
        projections = frames @ frames.mT
        one = torch.eye(H.shape[0], dtype=H.dtype, device=H.device)
        kernel = H.reshape(*H.shape, *[1] * d)
        for j, P in enumerate(projections):
            axis = 2 + j % d
            near = torch.einsum("oc...,ci->oi...", kernel, P)
            far = torch.einsum("oc...,ci->oi...", kernel, one - P)
            nothing = torch.zeros_like(near.narrow(axis, 0, 1))
            kernel = torch.cat([near, nothing], axis) + torch.cat([nothing, far], axis)
        kernel = kernel[: self.out_channels, : self.in_channels]
        return (kernel / rounding_slack(kernel, dtype)).to(dtype)
