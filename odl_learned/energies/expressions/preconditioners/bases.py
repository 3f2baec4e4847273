r"""Bases in which preconditioners are diagonal: frequencies of periodic images, and cosines.

Cosines ``c_k(i) = cos(pi k (i + 1/2) / n)`` are those of images that are reflected at the boundary:
there differences with Neumann's condition are diagonal, and there is no jump where an image ends.
"""

import abc
import functools
import itertools
import math

import numpy as np
import scipy.fft
import scipy.sparse as sp
import torch


class Basis(abc.ABC):
    """An orthonormal basis ``U`` of images, with what is nearest to a matrix in it."""

    @abc.abstractmethod
    def diagonal(self, matrix: sp.sparray, shape: tuple[int, ...]) -> torch.Tensor:
        """Return the symbol of a sparse symmetric matrix on images, ``(*shape)``, not negative."""

    @abc.abstractmethod
    def converted(self, symbol: torch.Tensor) -> torch.Tensor:
        """Return the symbol of the operator that an even symbol of frequencies stands for."""

    @abc.abstractmethod
    def seen(self, diagonal: torch.Tensor) -> torch.Tensor:
        """Return what a symbol in the basis can have of the diagonal of a matrix, ``(B, N)``."""

    @abc.abstractmethod
    def filtered(self, symbol: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return ``U^* s U v`` for images ``(B, *shape)``."""


class Frequencies(Basis):
    """Those of the discrete Fourier transform; a matrix has its circulant average."""

    def diagonal(self, matrix: sp.sparray, shape: tuple[int, ...]) -> torch.Tensor:
        entries = matrix.tocoo()
        to, source = (np.unravel_index(index, shape) for index in (entries.row, entries.col))
        offsets = np.ravel_multi_index(
            [(a - b) % n for a, b, n in zip(to, source, shape, strict=True)], shape)  # fmt: skip
        size = int(np.prod(shape))
        stencil = np.bincount(offsets, weights=entries.data, minlength=size).reshape(shape) / size
        return torch.fft.fftn(torch.from_numpy(stencil)).real.clamp_min(0)

    def converted(self, symbol: torch.Tensor) -> torch.Tensor:
        return symbol

    def seen(self, diagonal: torch.Tensor) -> torch.Tensor:
        return diagonal.mean(1, keepdim=True).expand_as(diagonal)

    def filtered(self, symbol: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        axes = tuple(range(1, v.ndim))
        if v.is_complex():
            return torch.fft.ifftn(symbol * torch.fft.fftn(v, dim=axes), dim=axes)
        half = symbol[..., : v.shape[-1] // 2 + 1]
        return torch.fft.irfftn(half * torch.fft.rfftn(v, dim=axes), v.shape[1:], dim=axes)


class Cosines(Basis):
    r"""Those of the cosine transform; a matrix has its diagonal in this basis.

    With ``2 c_k(i) c_k(j) = cos(pi k (i - j) / n) + cos(pi k (i + j + 1) / n)`` all entries with
    the same difference and sum count together.
    """

    def diagonal(self, matrix: sp.sparray, shape: tuple[int, ...]) -> torch.Tensor:
        entries, doubled = matrix.tocoo(), tuple(2 * n for n in shape)
        to, source = (np.unravel_index(index, shape) for index in (entries.row, entries.col))
        pairs = [(abs(a - b), a + b + 1) for a, b in zip(to, source, strict=True)]
        size = int(np.prod(doubled))
        sums = functools.reduce(np.add, (
            np.bincount(np.ravel_multi_index(place, doubled), entries.data, size)
            for place in itertools.product(*pairs)))  # fmt: skip
        found = torch.from_numpy(sums.reshape(doubled)).double()  # of no entries: whole numbers
        for axis, n in enumerate(shape):
            found = _along(_cosines(n, np.arange(2 * n)), found, axis) / n
            found.select(axis, 0).mul_(0.5)
        return found.clamp_min(0)

    def converted(self, symbol: torch.Tensor) -> torch.Tensor:
        # what it does far from the boundary: sum_o r(o) cos(pi k o / n)
        found = torch.fft.ifftn(symbol).real
        for axis, n in enumerate(symbol.shape):
            offsets = (np.arange(n) + n // 2) % n - n // 2
            found = _along(_cosines(n, offsets), found, axis)
        return found.clamp_min(0)

    def seen(self, diagonal: torch.Tensor) -> torch.Tensor:
        return diagonal

    def filtered(self, symbol: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        axes = tuple(range(1, v.ndim))
        w = scipy.fft.dctn(v.resolve_conj().numpy(), axes=axes, norm="ortho")
        w *= symbol.numpy()
        return torch.from_numpy(scipy.fft.idctn(w, axes=axes, norm="ortho", overwrite_x=True))


def _cosines(n, offsets):
    """``cos(pi k m / n)`` for ``k < n``, rows, and offsets ``m``."""
    return torch.from_numpy(np.cos(math.pi / n * np.outer(np.arange(n), offsets)))


def _along(matrix, x, axis):
    return torch.tensordot(matrix, x, ([1], [axis])).movedim(0, axis)
