"""Differences of neighbors as transforms of energies in closed form, with exact spectra."""

import math
from collections.abc import Callable

import odl  # noqa: F401  (before scipy, whose array API it switches on)
import scipy.fft
import torch

from odl_learned.energies.transforms.perron import POWERS, perron_bound
from odl_learned.energies.transforms.swept_differences import (
    can_sweep,
    swept_adjoint,
    swept_follow,
    swept_forward,
    swept_hessian,
    swept_neighbors,
)
from odl_learned.energies.transforms.transform import Transform
from odl_learned.energies.transforms.tridiagonal import Tridiagonal
from odl_learned.validation import MOST_ENTRIES, require_count, require_image_shape


class _Differences(Transform):
    """Differences of neighbors along the axes.

    ``D^T diag(c) D`` has entries ``-c_j <= 0`` between neighbors. With the signs ``S`` of a
    checkerboard ``S D^T diag(c) D S`` is nonnegative and has the same norm.
    """

    def product_norm(self, curvatures: torch.Tensor, powers: int = POWERS) -> torch.Tensor:
        """Bound ``|D^T diag(curvatures) D|`` by the vector of Perron; see `perron_bound`."""
        if can_sweep(curvatures[:, 0]) and isinstance(self, ForwardDifferences):
            like = curvatures.new_ones(1).expand(len(curvatures), *self.shape)
            return perron_bound(lambda u: swept_neighbors(u, curvatures), like, powers)
        signs = curvatures.new_ones(self.shape)
        for axis, n in enumerate(self.shape):
            alternating = 1 - 2 * (torch.arange(n, device=signs.device) % 2)
            signs = signs * alternating.reshape(-1, *[1] * (len(self.shape) - axis - 1))

        def product(u):
            return signs * self.adjoint(curvatures * self.forward(signs * u))

        return perron_bound(product, signs.expand(len(curvatures), *self.shape), powers)


class ForwardDifferences(_Differences):
    """``(D x)_i = x_{j + e_i} - x_j``, zero at the last entry of every axis (Neumann).

    The convention of ``operators.gradient`` for a grid of side one. ``D^T D`` is diagonal for the
    cosine transform DCT-II, with eigenvalues ``sum_i 4 sin(pi k_i / (2 n_i))^2``. A group is a row
    block ``[-1 I]``, whose norm squared is ``d + 1``.

    Parameters
    ----------
    shape : tuple of int
        Of images.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        shape = require_image_shape(shape)
        squares = [4 * math.cos(math.pi / (2 * n)) ** 2 for n in shape]
        super().__init__(shape, math.sqrt(sum(squares)), math.sqrt(len(shape) + 1),
                         math.prod(shape))  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the differences along every axis."""
        if can_sweep(x):
            return swept_forward(x)
        ndim = x.ndim - 1
        p = x.new_zeros((x.shape[0], ndim, *x.shape[1:]))
        for i in range(ndim):
            n = x.shape[i + 1]
            torch.sub(x.narrow(i + 1, 1, n - 1), x.narrow(i + 1, 0, n - 1),
                      out=p[:, i].narrow(i + 1, 0, n - 1))  # fmt: skip
        return p

    def adjoint(self, p: torch.Tensor) -> torch.Tensor:
        """Return the negative divergence; the last entries of ``p`` do not count."""
        if can_sweep(p[:, 0]):
            return swept_adjoint(p)
        x = p.new_zeros((p.shape[0], *p.shape[2:]))
        for i in range(p.shape[1]):
            part, n = p[:, i], p.shape[i + 2]
            x.narrow(i + 1, 1, n - 1).add_(part.narrow(i + 1, 0, n - 1))
            x.narrow(i + 1, 0, n - 1).sub_(part.narrow(i + 1, 0, n - 1))
        return x

    def scaled_adjoint(self, factors: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """Return ``D^T (w_g p_g)``."""
        if can_sweep(p[:, 0]):
            return swept_adjoint(p, factors[:, None])
        return super().scaled_adjoint(factors, p)

    def hessian(
        self,
        p: torch.Tensor,
        z: torch.Tensor | None,
        scaled: torch.Tensor,
        bent: torch.Tensor,
        factor: float,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``v -> D^T (s q + b p <p, q>) + f v``."""
        if can_sweep(p[:, 0]):
            return swept_hessian(p, z, scaled, bent, factor)
        return super().hessian(p, z, scaled, bent, factor)

    def followed(
        self,
        d: torch.Tensor,
        p: torch.Tensor,
        z: torch.Tensor,
        weight: torch.Tensor,
        ratio: torch.Tensor,
        most: float,
    ) -> torch.Tensor:
        """Return ``w (p + q) + k z <p, q>``, in groups no longer than ``most``."""
        if can_sweep(d):
            return swept_follow(d, p, z, weight, ratio, most)
        return super().followed(d, p, z, weight, ratio, most)

    def fourier_symbol(self, curvatures: torch.Tensor) -> torch.Tensor:
        """Return the symbol of periodic differences with mean curvatures along every axis."""
        return _mean_symbol(curvatures, self.shape, 2 * math.pi)

    def shifted_inverse(
        self, shift: float, curvatures: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Divide by a symbol in the basis of the DCT-II; exact for constant curvatures."""
        symbol = shift + _mean_symbol(curvatures, self.shape, math.pi)
        return lambda v: _divided_cosines(v, symbol)


class BackwardDifferences(_Differences):
    """``(D x)_j = x_j - x_{j-1}`` with ``x_{-1} = 0``, of signals ``(B, n)`` (Dirichlet left).

    The eigenvalues of ``D^T D`` are ``4 sin((2 k - 1) pi / (4 n + 2))^2`` for ``k = 1, ..., n``.

    Parameters
    ----------
    size : int
        ``n``.
    """

    def __init__(self, size: int) -> None:
        require_count("size", size, most=MOST_ENTRIES)
        size = int(size)
        super().__init__((size,), 2 * math.cos(math.pi / (2 * size + 1)), math.sqrt(2), size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the differences, of shape ``(B, 1, n)``."""
        p = x[:, None].clone()
        p[..., 1:] -= x[:, None, :-1]
        return p

    def adjoint(self, p: torch.Tensor) -> torch.Tensor:
        """Return ``p_j - p_{j+1}`` with ``p_n = 0``."""
        x = p[:, 0].clone()
        x[..., :-1] -= p[:, 0, 1:]
        return x

    def fourier_symbol(self, curvatures: torch.Tensor) -> torch.Tensor:
        """Return the symbol of periodic differences with the mean curvature."""
        return _mean_symbol(curvatures, self.shape, 2 * math.pi)

    def shifted_inverse(
        self, shift: float, curvatures: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Solve the tridiagonal systems of all samples, exactly."""
        c = curvatures[:, 0]
        diagonal, side = shift + c, torch.zeros_like(c)
        diagonal[:, :-1] += c[:, 1:]
        # One long system: samples are not coupled, since the last entry of every side is zero.
        side[:, :-1] = -c[:, 1:]
        return Tridiagonal(diagonal, side)


def _mean_symbol(curvatures, shape, step):
    """``sum_i c_i 4 sin(w_i / 2)^2``, ``(B, *shape)``, ``w_i = step k / n`` along axis ``i``."""
    symbol = 0.0
    for i, n in enumerate(shape):
        means = curvatures[:, i].mean(tuple(range(1, curvatures.ndim - 1)), keepdim=True)
        part = 4 * torch.sin(step / 2 * torch.arange(n, dtype=torch.float64) / n) ** 2
        symbol = symbol + means * part.reshape(-1, *[1] * (len(shape) - i - 1)).to(curvatures)
    return symbol


def _divided_cosines(v, symbol):
    if v.is_complex():
        return torch.complex(_divided_cosines(v.real, symbol), _divided_cosines(v.imag, symbol))
    axes = tuple(range(1, v.ndim))
    spectrum = scipy.fft.dctn(v.cpu().numpy(), axes=axes, norm="ortho")
    spectrum /= symbol.cpu().numpy()
    result = scipy.fft.idctn(spectrum, axes=axes, norm="ortho", overwrite_x=True)
    return torch.from_numpy(result).to(v)
