r"""Preconditioners of sums ``sum_k M_k^H C_k M_k`` of terms, as values.

A rule each divides the terms: those with a `sparse_matrix` give ``K``, with curvatures ``C`` that
jump, as those of total variation; those with a `normal_symbol` give ``F^* s F``, diagonal in
frequency; of all others only a mean counts, a number.
"""

import dataclasses

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg
import torch

from odl_learned.energies.expressions.preconditioners.map_parts import (
    circulant_symbol,
    parts_of_map,
)
from odl_learned.validation import require_count

#: Smallest symbol, relative to the largest.
FLOOR = 1e-10


class Identity:
    """No preconditioner."""

    def __call__(self, points):
        """Return the identity, for a list of `TermPoint`."""
        return lambda v: v


class Jacobi:
    """The diagonal."""

    def __call__(self, points):
        """Return division by the diagonal, for a list of `TermPoint`."""
        model = Model(points)
        diagonal = model.diagonal + model.level[:, None]
        inverse = 1 / diagonal.reshape(-1, *model.shape)
        return lambda v: inverse * v


class ScaledSpectral:
    r"""Frequencies between the two halves of a diagonal.

    .. math:: M^{-1} = S F^* \frac{1}{s + t} F S, \qquad
              S_j^2 = \frac{g + \bar s}{K_{jj} + \bar s},

    with the geometric mean ``g`` of the diagonal of ``K``, the circulant average ``t`` of ``K``
    scaled to the mean ``g`` of its diagonal, and the mean of ``s``. Where ``K`` has constant
    curvatures, that is the inverse of ``K + F^* s F``, up to the boundary; where these jump, ``S``
    sees it.
    """

    def __call__(self, points):
        """Return ``v -> M^-1 v`` for a list of `TermPoint`."""
        model = Model(points)
        diagonal, level = model.diagonal, model.level[:, None]
        mean = diagonal.clamp_min(1e-300).log().mean(1, keepdim=True).exp()
        scale = ((mean + level) / (diagonal + level)).sqrt().reshape(-1, *model.shape)
        ratio = mean / diagonal.mean(1, keepdim=True).clamp_min(1e-300)
        symbol = (model.symbol + ratio * model.average).reshape(-1, *model.shape)
        inverse = 1 / _floored(symbol)
        return lambda v: scale * filtered(inverse, scale * v)


@dataclasses.dataclass(frozen=True)
class LocalTimesSpectral:
    r"""``K`` exactly, times what frequencies say about the rest.

    .. math:: M^{-1} = G \, (K + c)^{-1} \, G, \qquad
              G = F^* \Big( \frac{c + t}{s + t} \Big)^{1/2} F,

    with the circulant average ``t`` of ``K`` and ``c = (max s \, \bar s)^{1/2}``. It is the inverse
    of ``K + F^* s F`` for circulant ``K``, and for constant ``s`` and any ``K``. ``K + c`` is
    factorized for every image of the plane, in the time of some twenty products: it pays for
    expensive operators and small tolerances.

    Parameters
    ----------
    largest : int, optional
        Most pixels of an image; beyond, and in other dimensions, `ScaledSpectral` takes its place.
    """

    largest: int = 2**18

    def __post_init__(self):
        require_count("largest", self.largest)

    def __call__(self, points):
        """Return ``v -> M^-1 v`` for a list of `TermPoint`."""
        model = Model(points)
        if len(model.shape) != 2 or model.symbol.shape[1] > self.largest:
            return ScaledSpectral()(points)
        inverses, roots = [], []
        for b, symbol in enumerate(model.symbol):
            matrix = model.matrix(b)
            level = float((symbol.max() * symbol.mean()).sqrt())
            average = circulant_symbol(matrix, model.shape).flatten()
            roots.append(((level + average) / _floored(symbol + average)).sqrt())
            inverses.append(_factorized(matrix, level))
        root = torch.stack(roots).reshape(-1, *model.shape)

        def applied(v):
            z = filtered(root, v)
            z = [inverse(part) for inverse, part in zip(inverses, z, strict=True)]
            return filtered(root, torch.stack(z))

        return applied


class Model:
    """What preconditioners see of the terms at a point, for images of ``N`` pixels.

    Parameters
    ----------
    points : list of TermPoint

    Attributes
    ----------
    shape : tuple of int
        Of images.
    symbol : tensor ``(B, N)``
        ``s``, with the mean of all terms that have no rule.
    level : tensor ``(B,)``
        The mean of ``s``.
    diagonal, average : tensor ``(B, N)``
        Of ``K``: its diagonal, and the symbol of its circulant average.
    """

    def __init__(self, points):
        self.shape = points[0].images
        size = len(points[0].gradient), int(np.prod(self.shape))
        self.symbol, self.diagonal, self.average = torch.zeros((3, *size), dtype=torch.float64)
        self._local = []
        for point in points:
            if point.map is None:  # by autograd
                self.symbol += point.mean_curvature()
                continue
            parts, blocks = parts_of_map(point.map), point.blocks()
            curvatures = blocks.diagonal(dim1=1, dim2=2).movedim(-1, 1)
            means = curvatures.flatten(2).mean(2)  # (B, d)
            if parts.matrix is not None:
                whole = curvatures.expand(-1, -1, *point.p.shape[2:]).flatten(1)
                self.diagonal += torch.from_numpy((parts.squares @ whole.numpy().T).T.copy())
                self.average += means @ parts.averages
                self._local.append((parts, blocks, point.p.shape[2:]))
            elif parts.symbol is not None:
                self.symbol += means.mean(1, keepdim=True) * parts.symbol
            else:
                self.symbol += means.mean(1, keepdim=True) * parts.mean_square
        self.level = self.symbol.mean(1)

    def matrix(self, b):
        """Return ``K`` of one sample as a sparse matrix."""
        size = self.diagonal.shape[1]
        total = sp.csc_array((size, size))
        for parts, blocks, shape in self._local:
            rows = parts.rows(blocks.shape[1])
            for i, left in enumerate(rows):
                for j, right in enumerate(rows):
                    values = blocks[b, i, j].expand(shape).numpy().ravel()
                    total = total + (left.conj().T @ (sp.diags_array(values) @ right)).real
        return total.tocsc()


def filtered(symbol, v):
    """Return ``F^* s F v``, for real images with even symbols."""
    axes = tuple(range(1, v.ndim))
    if v.is_complex():
        return torch.fft.ifftn(symbol * torch.fft.fftn(v, dim=axes), dim=axes)
    half = symbol[..., : v.shape[-1] // 2 + 1]
    return torch.fft.irfftn(half * torch.fft.rfftn(v, dim=axes), v.shape[1:], dim=axes)


def _floored(symbol):
    return torch.maximum(symbol, FLOOR * symbol.flatten(1).amax(1).reshape(
        -1, *[1] * (symbol.ndim - 1))) if symbol.ndim > 1 else (
        symbol.clamp_min(FLOOR * float(symbol.max())))


def _factorized(matrix, level):
    """``v -> (K + c)^-1 v`` for one image, real or complex."""
    size = matrix.shape[0]
    factor = scipy.sparse.linalg.splu(
        (matrix + level * sp.eye_array(size)).tocsc(), permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0, options={"SymmetricMode": True})  # fmt: skip

    def solved(v):
        columns = torch.view_as_real(v.resolve_conj()) if v.is_complex() else v
        found = torch.from_numpy(factor.solve(columns.reshape(size, -1).numpy())).contiguous()
        found = torch.view_as_complex(found) if v.is_complex() else found
        return found.reshape(v.shape)

    return solved
