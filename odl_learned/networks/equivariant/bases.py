r"""Equivariant filters as sums of basis filters: one weight for each of them and pair of fields.

A convolution ``(K f)(x) = sum_t K(t) f(x + t)`` maps fields to fields equivariantly if and only if

    K(g t)[g p, g q] = K(t)[p, q]    for all g in G,

with p a component of the target and q one of the source (Cohen, Geiger, Weiler, A general theory of
equivariant CNNs on homogeneous spaces (2019), theorem 3.3, for permutations of components). Where
the group maps the grid to itself, the filters are the functions that are constant on the orbits of
G on triples ``(p, q, t)``: `OrbitBasis`, and nothing is approximated. Elsewhere they are sampled
from functions of the plane: `HarmonicBasis`.
"""

import functools
import itertools
import math

import torch

from odl_learned.networks.equivariant.fields import Fields
from odl_learned.networks.equivariant.groups import Group

#: Width of a ring of a harmonic filter in pixels: its transform is exp(-(2 pi 0.6)^2 / 2) = 8e-4 at
#: the first alias of a constant.
RING_WIDTH = 0.6


class KernelBasis:
    """Abstract: basis filters from one kind of fields to another.

    Parameters
    ----------
    count : int
        Number of basis filters, the weights of one pair of fields.
    shape : tuple of int
        ``(target size, source size, *filter shape)``.
    """

    def __init__(self, count: int, shape: tuple[int, ...]):
        self.count, self.shape = count, shape

    def table(self, out: int, into: int) -> torch.Tensor:
        """What `expand` needs for so many target and source fields: places or values."""
        raise NotImplementedError

    def expand(self, weight: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Return the dense filters ``(target channels, source channels, *filter shape)``.

        Parameters
        ----------
        weight : torch.Tensor, shape (count, target fields, source fields)
        table : torch.Tensor
            `table`, on the device and, if these are values, in the precision of the weights.
        """
        raise NotImplementedError

    def _arranged(self, rows):
        """From ``(prod(shape), out, in)`` to ``(out p, in q, *filter shape)``."""
        out, into = rows.shape[1:]
        rows = rows.view(*self.shape, out, into)
        axes = rows.ndim
        rows = rows.permute(axes - 2, 0, axes - 1, 1, *range(2, axes - 2))
        return rows.reshape(out * self.shape[0], into * self.shape[1], *self.shape[2:])


class OrbitBasis(KernelBasis):
    """Exact filters on the grid: entries of one orbit have one weight.

    Parameters
    ----------
    orbits : torch.Tensor, shape (prod(shape),), int64
        The orbit of each entry.
    count, shape
        Those of `KernelBasis`.
    """

    def __init__(self, orbits: torch.Tensor, count: int, shape: tuple[int, ...]):
        super().__init__(count, shape)
        self.orbits = orbits

    def table(self, out, into):
        places = torch.arange(self.count * out * into).view(self.count, out, into)
        return self._arranged(places[self.orbits])

    def expand(self, weight, table):
        return weight.flatten().index_select(0, table.flatten()).view(table.shape)


class HarmonicBasis(KernelBasis):
    """Filters sampled from circular harmonics: rings times ``cos(l theta), sin(l theta)``.

    Those of fewer than 5 pixels have one ring, the center, and do not depend on the angle.

    Parameters
    ----------
    values : torch.Tensor, shape (prod(shape), count), float64
        The basis filters.
    count, shape
        Those of `KernelBasis`.
    """

    def __init__(self, values: torch.Tensor, count: int, shape: tuple[int, ...]):
        super().__init__(count, shape)
        self.values = values

    def table(self, out, into):
        return self.values

    def expand(self, weight, table):
        return self._arranged((table @ weight.flatten(1)).unflatten(1, weight.shape[1:]))


def kernel_basis(source: Fields, target: Fields, size: int) -> KernelBasis:
    """Return the basis of filters from one kind of fields to another, whatever their counts.

    Parameters
    ----------
    source, target : Fields
        Of the same group.
    size : int
        Length of the filters along every axis.
    """
    return _kernel_basis(source.times(1), target.times(1), size)


@functools.lru_cache(maxsize=64)
def _kernel_basis(source, target, size):
    shape = (target.size, source.size, *[size] * source.group.dimension)
    build = _orbits if source.group.is_exact else _harmonics
    return build(source, target, size, shape)


def _offsets(size, dimension):
    """The offsets t of a filter, times two, so that those of even filters are whole numbers."""
    line = torch.arange(size) * 2 - (size - 1)
    return torch.cartesian_prod(*[line] * dimension).view(-1, dimension)


def _orbits(source, target, size, shape):
    group = source.group
    offsets = _offsets(size, group.dimension)
    powers = torch.tensor([size**k for k in reversed(range(group.dimension))])
    labels = None
    for g in range(group.order):
        moved = (offsets @ group.matrices[g].round().long().T + (size - 1)) // 2
        triples = target.permutations[g][:, None, None] * source.size
        triples = (triples + source.permutations[g][:, None]) * len(offsets) + moved @ powers
        labels = triples if labels is None else torch.minimum(labels, triples)
    orbits, place = labels.flatten().unique(return_inverse=True)
    return OrbitBasis(place, len(orbits), shape)


# K(t)[g p, g q] = psi(g^{-1} t) for the pairs (g p, g q) of an orbit of G on pairs is well defined
# if and only if psi(h t) = psi(t) for all h that keep (p, q). For turns by 2 pi / s that leaves
# cos(l theta), sin(l theta) with l a multiple of s, and with a mirror at the angle a, cos(l (theta
# - a)).
def _harmonics(source, target, size, shape):
    group = source.group
    offsets = _offsets(size, 2).double() / 2
    columns, seen = [], set()
    for p, q in itertools.product(range(target.size), range(source.size)):
        if (p, q) in seen:
            continue
        images = [(int(target.permutations[g, p]), int(source.permutations[g, q]))
                  for g in range(group.order)]  # fmt: skip
        seen |= set(images)
        keeping = [g for g, image in enumerate(images) if image == (p, q)]
        values = [_functions(group, keeping, offsets @ group.matrices[g], size)
                  for g in range(group.order)]  # g^{-1} t = g^T t
        for k in range(values[0].shape[1]):
            column = torch.zeros(target.size, source.size, len(offsets), dtype=torch.float64)
            for image, value in zip(images, values):
                column[image] = value[:, k]
            columns.append(column.flatten())
    table = torch.stack(columns, dim=1)
    # random weights of variance v give entries of variance v in the mean, as for orbits
    table = table * (len(table) / table.square().sum()).sqrt()
    return HarmonicBasis(table, table.shape[1], shape)


def _functions(group: Group, keeping: list[int], points: torch.Tensor, size: int) -> torch.Tensor:
    """The values ``(points, functions)`` of harmonics that the elements in ``keeping`` keep."""
    matrices = group.matrices[keeping]
    mirrors = matrices[torch.linalg.det(matrices) < 0]
    turns = len(keeping) // (2 if len(mirrors) else 1)
    radius = points.square().sum(1).sqrt()
    theta = torch.atan2(points[:, 1], points[:, 0])
    if len(mirrors):  # its matrix is (cos 2a, sin 2a; sin 2a, -cos 2a)
        theta = theta - math.atan2(float(mirrors[0, 1, 0]), float(mirrors[0, 0, 0])) / 2
    columns = []
    for ring, highest in rings(size):
        profile = torch.exp(-((radius - ring) ** 2) / (2 * RING_WIDTH**2))
        for frequency in range(0, highest + 1, turns):
            # at the center an angle is none, and only the constant is continuous
            part = profile if frequency == 0 else profile * (radius > 0)
            columns.append(part * torch.cos(frequency * theta))
            if frequency and not len(mirrors):
                columns.append(part * torch.sin(frequency * theta))
    return torch.stack(columns, dim=1)


def rings(size: int) -> list[tuple[float, int]]:
    """Return radii and highest frequencies of the rings of harmonic filters of a size.

    The outermost ring is 3/2 pixels inside of the filter, so that the square cuts little of its
    Gaussian; with one more ring, errors at 45 degrees were about ten times as large. On a circle of
    radius r there are about 2 pi r pixels, which tell frequencies up to pi r apart; 2 r stays clear
    of that.
    """
    half = (size - 1) // 2
    return [(float(r), 2 * r) for r in range(max(half, 1))]
