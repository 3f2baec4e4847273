r"""Correlation of batches of images with several filters, reflected at the boundary.

.. math:: (F_k x)_i = \sum_t f_k(t) \, x_{i + t - c}, \qquad c = (s_1 // 2, s_2 // 2),

as of `operators.FilterBank`: beyond the boundary the image is its mirror image, edge values
repeated. The mirrored image has the period ``2 n`` along every axis and a cosine series, so that

.. math:: \sum_m F_m^T F_m = C^T \Big( \sum_m |\hat f_m|^2 \Big) C

with the orthogonal cosine transform DCT-II ``C``, where ``m`` runs over one filter and its three
reflections. One of them alone is therefore at most that sum; for filters that are even or odd along
an axis, of odd length, the reflections along this axis are the same again and do not count.
"""

import functools
import math

import torch

from odl_learned.bridge.rules.filter_bank import folded, reflected
from odl_learned.validation import require_count

# Responses are computed for so many entries at once that they stay in the cache of a processor.
CHUNK = 2**19


class ReflectingFilters:
    """The map ``x -> (F_1 x, ..., F_K x)`` with its transpose and spectrum.

    Parameters
    ----------
    shape : tuple of two int
        Of images.
    filters : tensor ``(K, s_1, s_2)``
        None longer than the image.
    """

    def __init__(self, shape, filters):
        self.shape, self.filters = tuple(shape), filters
        self._paddings = [(s // 2, s - 1 - s // 2) for s in filters.shape[1:]]

    def padded(self, x):
        """Return images with their mirror images around, ``(B, 1, *)``."""
        for axis, (before, after) in zip((-2, -1), self._paddings, strict=True):
            x = reflected(x, axis, before, after)
        return x[:, None]

    def forward(self, x):
        """Return responses ``(B, K, *shape)`` of images ``(B, *shape)``."""
        return torch.nn.functional.conv2d(self.padded(x), self.filters[:, None])

    def adjoint(self, p):
        """Return the transpose ``(B, *shape)`` of responses."""
        x = torch.nn.functional.conv_transpose2d(p, self.filters[:, None])[:, 0]
        for axis, (before, after) in zip((-2, -1), self._paddings, strict=True):
            x = folded(x, axis, before, after)
        return x

    def normal(self, v, curvature):
        """Return ``F^T c F v`` with ``c`` of the shape of responses, some samples at a time."""
        result = torch.empty_like(v)
        entries = curvature[0].numel()
        size = max(1, CHUNK // entries) if v.device.type == "cpu" else len(v)
        for i in range(0, len(v), size):
            part = slice(i, i + size)
            result[part] = self.adjoint(self.forward(v[part]).mul_(curvature[part]))
        return result

    def filter_slope(self, images, slopes):
        """Return the derivative of ``sum_i <F x_i, p_i>`` in the filters, ``(K, s_1, s_2)``.

        Parameters
        ----------
        images : list of tensors ``(B, *shape)``
        slopes : list of tensors ``(B, K, *shape)``
        """
        with torch.enable_grad():
            filters = self.filters.detach().requires_grad_()
            outputs = [torch.nn.functional.conv2d(self.padded(x), filters[:, None]) for x in images]
        (result,) = torch.autograd.grad(outputs, filters, slopes)
        return result

    @functools.cached_property
    def symbols(self):
        """Mean of ``|f^|^2`` over the reflections of each filter, ``(K, *shape)``."""
        doubled = tuple(2 * n for n in self.shape)
        squares = torch.fft.fft2(self.filters, s=doubled).abs().square()
        mirrored = torch.roll(squares.flip(-1), 1, -1)
        return (0.5 * (squares + mirrored))[:, : self.shape[0], : self.shape[1]]

    @functools.cached_property
    def multiplicities(self):
        """Number of different reflections of every filter, 1, 2 or 4, ``(K,)``."""
        count = torch.ones_like(self.filters[:, 0, 0])
        for axis, size in zip((1, 2), self.filters.shape[1:], strict=True):
            other = self.filters.flip(axis)
            distances = torch.minimum((self.filters - other).abs().amax((1, 2)),
                                      (self.filters + other).abs().amax((1, 2)))  # fmt: skip
            small = 1e-14 * self.filters.abs().amax((1, 2))
            count = count * torch.where((distances <= small) & (size % 2 == 1), 1.0, 2.0)
        return count

    def largest_square(self, curvatures):
        """Return a bound of ``|sum_k c_k F_k^T F_k|`` as a float; curvatures are ``(K,)``."""
        factors = curvatures * self.multiplicities
        # The symbol of the doubled image on the grid of frequencies that images have.
        return float((factors[:, None, None] * self.symbols).sum(0).max())

    def norms(self):
        """Return bounds of ``|F_k|``, ``(K,)``."""
        return (self.multiplicities * self.symbols.amax((1, 2))).sqrt()

    def shifted_inverse(self, shift, curvatures):
        """Return ``v -> M^-1 v``, ``M = shift + sum_k c_k C^T |f_k^|^2 C``; c is ``(B, K)``."""
        symbol = shift + torch.einsum("bk,kij->bij", curvatures, self.symbols)
        first, second = (_cosines(n, symbol) for n in self.shape)
        return lambda v: first.T @ ((first @ v @ second.T) / symbol) @ second


def dct_filters(size: int) -> torch.Tensor:
    """Return the cosine basis of patches without the constant, ``(size^2 - 1, size, size)``.

    Rows of the orthogonal DCT-II of both axes in double precision, of mean zero and norm one,
    ordered by frequency along the first axis, then the second; the filters of Kunisch and Pock.

    Parameters
    ----------
    size : int
        At least 2.
    """
    require_count("size", size, 2, most=2**8)
    rows = _cosines(size, torch.zeros(1, dtype=torch.float64))
    filters = torch.einsum("ai,bj->abij", rows, rows).reshape(-1, size, size)
    return filters[1:]


def _cosines(n, like):
    """Matrix of the orthogonal DCT-II."""
    grid = torch.arange(n, dtype=torch.float64)
    matrix = math.sqrt(2 / n) * torch.cos(math.pi / n * grid[:, None] * (grid + 0.5))
    matrix[0] /= math.sqrt(2)
    return matrix.to(like)
