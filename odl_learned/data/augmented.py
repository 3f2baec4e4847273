"""More training pairs by symmetry: every pair under every move of a list."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import odl
from numpy.typing import ArrayLike

from odl_learned.data.pairs import _position
from odl_learned.metrics import as_array
from odl_learned.validation import require_finite, shown

Move = odl.Operator | Callable[[np.ndarray], np.ndarray]


@final
class AugmentedPairs(Sequence[tuple[np.ndarray, np.ndarray]]):
    r"""Every pair under every move: ``(P_g y, g x)`` for the pairs (y, x) and the moves (P_g, g).

    Item ``k = i |G| + g`` is pair i under move g, so that nothing is random, and an epoch of
    `learning.train` sees all moves of all pairs in random order. A network that is trained so
    commutes with the moves approximately, near its training images.

    In image space, as for denoising, both moves are the same. In data space ``A g = P_g A``, with
    P_g such as `operators.SinogramTurn`, for which nothing has to be measured again; the noise is
    moved, too. Where A has no such symmetry, simulate new data of moved images by `SimulatedPairs`.

    Parameters
    ----------
    pairs : sequence of pairs
        Such as `FixedPairs` or `SimulatedPairs`.
    moves : sequence of pairs of moves
        What becomes of data and of truth; each is an ODL operator or a function of arrays. The
        identity belongs to them if it is meant.

    Raises
    ------
    TypeError
        If there are no pairs with numbers, or a move cannot be called.
    ValueError
        If there are no pairs or moves, a move is no pair, a pair is of another shape than the
        operator is for, or what was moved is not finite.
    IndexError
        For items outside of ``-size <= k < size``.

    Source: Celledoni et al., Equivariant neural networks for inverse problems (2021), section 1,
    which compares equivariance by design with this.
    """

    def __init__(
        self, pairs: Sequence[tuple[ArrayLike, ArrayLike]], moves: Sequence[tuple[Move, Move]]
    ) -> None:
        if isinstance(pairs, type) or not (
                hasattr(pairs, "__len__") and hasattr(pairs, "__getitem__")):  # fmt: skip
            raise TypeError(f"pairs is {shown(pairs)}, expected a sequence of pairs (data, truth), "
                            "such as data.FixedPairs.")
        if not isinstance(moves, Sequence) or not len(moves) or not len(pairs):
            raise ValueError(f"pairs are {len(pairs)} and moves are {shown(moves)}, expected at "
                             "least one pair and a list of at least one move.")
        for k, move in enumerate(moves):
            if not isinstance(move, tuple | list) or len(move) != 2:
                raise ValueError(f"moves[{k}] is {shown(move)}, expected two, of data and of "
                                 "truth, such as (SinogramTurn(A, 1), QuarterTurn(X, 1)).")
            if not all(map(callable, move)):
                raise TypeError(f"moves[{k}] is {shown(move)}, expected ODL operators or "
                                "functions of arrays.")
        self.pairs, self.moves = pairs, [tuple(move) for move in moves]

    def __len__(self):
        return len(self.pairs) * len(self.moves)

    def __getitem__(self, index):
        """Arrays ``(P_g y, g x)``."""
        i, g = divmod(_position(index, len(self)), len(self.moves))
        pair = self.pairs[i]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"pairs[{i}] is {shown(pair)}, expected a pair (data, truth).")
        return tuple(_moved(f"{name} of pairs[{i}]", move, value) for name, move, value in
                     zip(("data", "truth"), self.moves[g], pair))


def _moved(name, move, value):
    """The array of a value that was moved."""
    array = np.array(as_array(value, name))
    if isinstance(move, odl.Operator):
        if array.shape != move.domain.shape:
            raise ValueError(f"{name} has the shape {array.shape}, expected {move.domain.shape}, "
                             f"that of the domain of {shown(move)}.")
        array = move.domain.element(array)
    moved = np.array(as_array(move(array), f"what became of {name}"))
    require_finite(f"what became of {name}", moved)
    return moved
