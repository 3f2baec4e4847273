r"""Lanczos' method for what data say in the coordinates in which the prior is white.

With ``w = L^T u`` the precision of ``u`` given data, ``P + N`` with ``N = A^T A / s^2``, is that of

    I + B,    B = L^-1 N L^-T,

a symmetric and positive semidefinite matrix whose rank is at most that of ``A``: where data say
nothing it is zero, however ill-conditioned P is. After k steps from a vector, with all basis
vectors orthogonal to rounding (twice Gram and Schmidt),

    B V_k = V_{k+1} T,    V^T V = I,    T  tridiagonal, (k + 1) x k .

Where a Krylov space is exhausted, a new vector continues it, and an entry of T is zero.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from odl_learned.regularizers.generative.precision.precision import Precision
from odl_learned.regularizers.generative.precision.samples import TensorMap
from odl_learned.validation import shown

#: A Krylov space is exhausted where what is new is smaller than this part of the largest entry.
EXHAUSTED = 1e-12


class Krylov(NamedTuple):
    """Basis and tridiagonal matrix, of M vectors for each of N samples.

    Parameters
    ----------
    basis : torch.Tensor, shape (M, N, k + 1, n)
        The rows are ``V^T``; a row that is zero is none.
    unwhitened : torch.Tensor, shape (M, N, k, n)
        ``L^-T V_k``.
    matrix : torch.Tensor, shape (M, N, k + 1, k)
        T.
    """

    basis: torch.Tensor
    unwhitened: torch.Tensor
    matrix: torch.Tensor


class InWhiteCoordinates:
    """``w -> B w`` for tensors ``(M, N, n)``, in double precision.

    Parameters
    ----------
    precision : Precision
        L, of N samples.
    normal : callable
        N, on tensors ``(count, *image)``, the same for all samples.
    dtype : torch.dtype
        What N is given.
    """

    def __init__(self, precision: Precision, normal: TensorMap, dtype: torch.dtype) -> None:
        self.precision = Precision(precision.log_diagonal.detach().double(),
                                   precision.neighbors.detach().double(),
                                   precision.hood.radius, precision.mask)  # fmt: skip
        self.normal, self.dtype = normal, dtype

    def __call__(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``B w`` and ``L^-T w``."""
        u = self.precision.unwhiten(w.unflatten(-1, self.precision.image))
        x = u.flatten(0, 1).to(self.dtype)
        Nx = self.normal(x)
        if not isinstance(Nx, torch.Tensor) or Nx.shape != x.shape:
            raise ValueError(f"normal(x) is {shown(Nx)}, expected a tensor of the shape of x, "
                             f"{tuple(x.shape)}, such as measurements.normal gives.")
        Nu = Nx.to(u.dtype).reshape(u.shape)
        return self.precision.unwhiten_transposed(Nu).flatten(2), u.flatten(2)


def krylov(operator: InWhiteCoordinates, start: torch.Tensor, steps: int,
           restart: Callable[[], torch.Tensor] | None = None) -> Krylov:  # fmt: skip
    """Return the Krylov spaces of vectors ``(M, N, n)``, none of them zero.

    Parameters
    ----------
    operator : InWhiteCoordinates
    start : torch.Tensor
    steps : int
        k.
    restart : callable, optional
        Makes vectors like the start, with which exhausted spaces go on; without one, with zero.
    """
    basis = start.new_zeros(*start.shape[:-1], steps + 1, start.shape[-1])
    unwhitened = torch.empty_like(basis[..., 1:, :])
    matrix = start.new_zeros(*start.shape[:-1], steps + 1, steps)
    basis[..., 0, :] = _normalized(start)[0]
    for k in range(steps):
        new, unwhitened[..., k, :] = operator(basis[..., k, :])
        new, entries = _orthogonal(new, basis[..., : k + 1, :])
        matrix[..., : k + 1, k] = entries
        new, size = _normalized(new)
        largest = matrix.abs().amax((-1, -2))
        over = size <= EXHAUSTED * largest
        matrix[..., k + 1, k] = torch.where(over, 0.0, size)
        new = torch.where(over[..., None], 0.0, new)
        if restart is not None and bool(over.any()):
            other, _ = _orthogonal(_normalized(restart())[0], basis[..., : k + 1, :])
            other, size = _normalized(other)
            useful = over & (size > 1e-8)  # the rest is in the space, up to rounding
            new = torch.where(useful[..., None], other, new)
        basis[..., k + 1, :] = new
    return Krylov(basis, unwhitened, matrix)


def _orthogonal(new, basis):
    """What is orthogonal to a basis, and the coefficients of the rest."""
    total = 0
    for _ in range(2):
        entries = (basis @ new[..., None])[..., 0]
        new = new - (entries[..., None, :] @ basis)[..., 0, :]
        total = total + entries
    return new, total


def _normalized(x):
    size = torch.linalg.vector_norm(x, dim=-1)
    return x / size.clamp_min(1e-300)[..., None], size
