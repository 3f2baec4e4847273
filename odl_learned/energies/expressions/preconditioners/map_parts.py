"""What preconditioners know of a map: its sparse matrix, its symbol, or a mean; computed once."""

import functools
import weakref

import torch

from odl_learned.energies.expressions.preconditioners.matrices import sparse_matrix
from odl_learned.energies.expressions.preconditioners.symbols import normal_symbol

_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def parts_of_map(map):
    """Return the `MapParts` of an `AffineMap`, the same for every call."""
    if map not in _known:
        _known[map] = MapParts(map)
    return _known[map]


class MapParts:
    """The matrix of an operator where that is sparse, or its symbol where that has a rule.

    Parameters
    ----------
    map : AffineMap

    Attributes
    ----------
    matrix : scipy.sparse.csr_array or None
    symbol : tensor ``(N,)`` or None
        Where there is no matrix: that of ``M^H M`` on images of ``N`` pixels, made even.
    mean_square : float
        Where there is neither: about ``|M|_F^2 / N``.
    """

    def __init__(self, map):
        self._shape, self._members = map.image_shape, map.members
        self.matrix, symbol = sparse_matrix(map.operator), None
        if self.matrix is None:
            symbol = normal_symbol(map.operator)
        self.symbol = None if symbol is None else even(symbol).flatten()
        self._averages, self._symbols = {}, {}
        self.mean_square = map.mean_square() if self.matrix is None and symbol is None else 0.0

    @functools.cached_property
    def squares(self):
        """The transpose of ``|M_ij|^2``: applied to curvatures it gives the diagonal."""
        return abs(self.matrix).power(2).T.tocsr()

    def averages(self, basis):
        """Return symbols of ``M_i^H M_i`` in a `Basis` for the members ``i``, ``(d, N)``."""
        if basis not in self._averages:
            self._averages[basis] = torch.stack([
                basis.diagonal((part.conj().T @ part).real, self._shape).flatten()
                for part in self.rows(self._members)
            ])  # fmt: skip
        return self._averages[basis]

    def share(self, basis):
        """Return how much of ``M_i^H M_i`` is on the diagonal in a `Basis`, of its squared norm."""
        return float(self.averages(basis).square().sum()) / max(self._squared_norm, 1e-300)

    @functools.cached_property
    def _squared_norm(self):
        """The sum of ``|M_i^H M_i|_F^2``."""
        normal = [(part.conj().T @ part).real for part in self.rows(self._members)]
        return sum(float(abs(part).power(2).sum()) for part in normal)

    def symbol_in(self, basis):
        """Return the symbol in a `Basis`, ``(N,)``."""
        if basis not in self._symbols:
            whole = self.symbol.reshape(self._shape)
            self._symbols[basis] = basis.converted(whole).flatten()
        return self._symbols[basis]

    def rows(self, members):
        """Return the rows of the matrix for every member of groups."""
        size = self.matrix.shape[0] // members
        return [self.matrix[i * size : (i + 1) * size] for i in range(members)]


def even(symbol):
    """Return ``(s(k) + s(-k)) / 2``: all that real images see."""
    axes = tuple(range(symbol.ndim))
    return (symbol + torch.roll(symbol.flip(axes), (1,) * symbol.ndim, axes)) / 2
