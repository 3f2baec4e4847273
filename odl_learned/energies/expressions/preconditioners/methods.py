r"""Preconditioners of sums ``sum_k M_k^H C_k M_k`` of terms, as values.

A rule each divides the terms: those with a `sparse_matrix` give ``K``, with curvatures ``C`` that
jump, as those of total variation; those with a `normal_symbol` give ``F^* s F``, diagonal in
frequency; of all others only a mean counts, a number.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg
import torch

from odl_learned.energies.expressions.autograd.term import AutogradPoint
from odl_learned.energies.expressions.preconditioners.bases import Basis, Cosines, Frequencies
from odl_learned.energies.expressions.preconditioners.map_parts import parts_of_map
from odl_learned.energies.expressions.terms import TermPoint
from odl_learned.validation import require_count, shown

FREQUENCIES, COSINES = Frequencies(), Cosines()

#: Smallest symbol, relative to the largest.
FLOOR = 1e-10

#: The derivatives of the terms of an energy at images.
Points = Sequence[TermPoint | AutogradPoint]
#: What makes ``v -> M^-1 v`` of them.
Preconditioner = Callable[[Points], Callable[[torch.Tensor], torch.Tensor]]


class Identity:
    """No preconditioner.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned import energies, functionals, operators, solvers
    >>> from odl_learned.energies.expressions import preconditioners
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> u, (alpha, nu), y = functionals.arguments(X, 2, X)
    >>> E = (0.5 * odl.functionals.L2NormSquared(X) @ (u - y)
    ...      + functionals.smoothed_length(operators.gradient(X) @ u, alpha, nu))
    >>> y = torch.as_tensor(odl.phantom.shepp_logan(X, modified=True).data)[None]
    >>> x0, params = torch.zeros_like(y), torch.tensor([1.0, -2.0]).double()
    >>> for choice in (preconditioners.Identity(), preconditioners.Jacobi(),
    ...                preconditioners.ScaledSpectral(preconditioners.Frequencies()),
    ...                preconditioners.ScaledSpectral(preconditioners.Cosines()),
    ...                preconditioners.LocalTimesSpectral()):
    ...     f = energies.FixedEnergy(energies.energy_of(E, choice), params, y)
    ...     print(solvers.newton_krylov(f, x0, 1e-4, 50, strong_convexity=1.0).reason)
    ...
    ['accuracy']
    ['accuracy']
    ['accuracy']
    ['accuracy']
    ['accuracy']
    """

    def __call__(self, points: Points) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return the identity, for a list of `TermPoint`."""
        return lambda v: v


class Jacobi:
    """The diagonal."""

    def __call__(self, points: Points) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return division by the diagonal, for a list of `TermPoint`."""
        model = Model(points, FREQUENCIES)
        diagonal = model.diagonal + model.level[:, None]
        inverse = 1 / diagonal.reshape(-1, *model.shape)
        return lambda v: inverse * v


@dataclasses.dataclass(frozen=True)
class ScaledSpectral:
    r"""Frequencies, or cosines, between the two halves of a diagonal.

    .. math:: M^{-1} = S U^* \frac{1}{s + g t} U S, \qquad
              S_j^2 = \frac{g L_{jj} + \bar s}{K_{jj} + \bar s},

    with an orthonormal basis ``U``, the diagonal ``t`` of ``U L U^*`` for ``K`` with mean
    curvatures, ``L``, the geometric mean ``g`` of ``K_jj / L_jj``, and the mean of ``s``; for
    frequencies, which see no boundary, ``L_jj`` is its mean. Where ``K`` has constant curvatures
    and ``U`` makes it diagonal, that is the inverse of ``K + U^* s U``; where these jump, ``S``
    sees it.

    Parameters
    ----------
    basis : Basis, optional
        ``Frequencies()`` or ``Cosines()``. Default: cosines where they come nearer to what ``K``
        consists of, as for differences with Neumann's condition of real images; frequencies
        elsewhere.
    """

    basis: Basis | None = None

    def __post_init__(self):
        if not isinstance(self.basis, Basis | None):
            raise TypeError(f"basis is {shown(self.basis)}, expected Frequencies(), Cosines(), or "
                            "None for the better one.")

    def __call__(self, points: Points) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``v -> M^-1 v`` for a list of `TermPoint`."""
        model = Model(points, better_basis(points) if self.basis is None else self.basis)
        diagonal, level = model.diagonal, model.level[:, None]
        even = model.basis.seen(model.even).clamp_min(1e-300)
        ratio = (diagonal / even).clamp_min(1e-300).log().mean(1, keepdim=True).exp()
        scale = (ratio * even + level) / (diagonal + level)
        scale = scale.sqrt().reshape(-1, *model.shape)
        symbol = (model.symbol + ratio * model.average).reshape(-1, *model.shape)
        inverse = 1 / _floored(symbol)
        return lambda v: scale * model.basis.filtered(inverse, scale * v)


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

    def __call__(self, points: Points) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``v -> M^-1 v`` for a list of `TermPoint`."""
        model = Model(points, FREQUENCIES)
        if len(model.shape) != 2 or model.symbol.shape[1] > self.largest:
            return ScaledSpectral()(points)
        inverses, roots = [], []
        for b, symbol in enumerate(model.symbol):
            matrix = model.matrix(b)
            level = float((symbol.max() * symbol.mean()).sqrt())
            average = FREQUENCIES.diagonal(matrix, model.shape).flatten()
            roots.append(((level + average) / _floored(symbol + average)).sqrt())
            inverses.append(_factorized(matrix, level))
        root = torch.stack(roots).reshape(-1, *model.shape)

        def applied(v):
            z = FREQUENCIES.filtered(root, v)
            z = [inverse(part) for inverse, part in zip(inverses, z, strict=True)]
            return FREQUENCIES.filtered(root, torch.stack(z))

        return applied


class Model:
    """What preconditioners see of the terms at a point, for images of ``N`` pixels.

    Parameters
    ----------
    points : list of TermPoint
    basis : Basis

    Attributes
    ----------
    shape : tuple of int
        Of images.
    symbol : tensor ``(B, N)``
        ``s``, with the mean of all terms that have no rule.
    level : tensor ``(B,)``
        The mean of ``s``.
    diagonal, average : tensor ``(B, N)``
        Of ``K``: its diagonal, and its symbol in the basis.
    even : tensor ``(B, N)``
        The diagonal of ``L``.
    """

    def __init__(self, points, basis):
        self.basis, self.shape = basis, points[0].images
        size = points[0].size, int(np.prod(self.shape))
        self.symbol, self.diagonal, self.average, self.even = torch.zeros(
            (4, *size), dtype=torch.float64)
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
                level = means[..., None].expand(-1, -1, whole.shape[1] // means.shape[1])
                self.even += torch.from_numpy(
                    (parts.squares @ level.flatten(1).numpy().T).T.copy())
                self.average += means @ parts.averages(basis)
                self._local.append((parts, blocks, point.p.shape[2:]))
            elif parts.symbol is not None:
                self.symbol += means.mean(1, keepdim=True) * parts.symbol_in(basis)
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


def better_basis(points):
    """Return cosines where these say more about the sparse terms of real images, or frequencies.

    A cosine transform of complex images is two of real ones, which costs more than it saves.
    """
    if points[0].is_complex:
        return FREQUENCIES
    maps = [parts_of_map(point.map) for point in points if point.map is not None]
    said = [sum(parts.share(basis) for parts in maps if parts.matrix is not None)
            for basis in (FREQUENCIES, COSINES)]  # fmt: skip
    return COSINES if said[1] > said[0] + 1e-9 else FREQUENCIES


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
