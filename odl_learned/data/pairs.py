"""Training pairs (data, truth): simulated on demand and reproducible, or fixed arrays."""

import numbers
import operator
from collections.abc import Sequence
from typing import final

import numpy as np

from odl_learned.validation import require_finite


def _array(name, x):
    if not hasattr(x, "asarray"):
        raise TypeError(
            f"{name} is of type {type(x).__name__}, expected an element of an ODL space; "
            "return space.element(array) from the function that was passed."
        )
    array = np.array(x.asarray())
    require_finite(name, array)
    return array


def _position(index, size):
    """The position 0 <= i < size of an index that may be negative."""
    i = operator.index(index)
    if not -size <= i < size:
        raise IndexError(f"index is {i}, expected -{size} <= index < {size}, the number of pairs.")
    return i % size


@final
class SimulatedPairs(Sequence):
    """Pairs that are drawn when they are asked for; item i depends on the seed and on i only.

    ``truth_i ~ truth(rng_i)``, ``data_i ~ measure(truth_i, rng_i)``, where ``rng_i`` is
    ``numpy.random.default_rng([seed, i])``. Training that resumes, shuffles or uses several workers
    sees the same data; disjoint seeds are independent sets for training, validation and test.

    Parameters
    ----------
    truth : callable, rng -> element of X
        Draws a ground truth.
    measure : callable, (element of X, rng) -> element of Y
        Draws a measurement of it; Y is a space or a power space.
    size : int
        Number of pairs, positive.
    seed : int
        Nonnegative.

    Raises
    ------
    TypeError
        If ``truth`` or ``measure`` cannot be called, or do not return elements.
    ValueError
        If the size is not positive or the seed is negative, or what is drawn is not finite.
    IndexError
        For items outside ``-size <= i < size``.
    """

    def __init__(self, truth, measure, size, seed):
        for name, function in (("truth", truth), ("measure", measure)):
            if not callable(function):
                raise TypeError(f"{name} is {function!r}, expected a function of a generator.")
        if not (isinstance(size, numbers.Integral) and size > 0):
            raise ValueError(f"size is {size!r}, expected a positive whole number of pairs.")
        if not (isinstance(seed, numbers.Integral) and seed >= 0):
            raise ValueError(f"seed is {seed!r}, expected a nonnegative whole number.")
        self._truth = truth
        self._measure = measure
        self._size = int(size)
        self._seed = int(seed)

    def __len__(self):
        return self._size

    def __getitem__(self, index):
        """Arrays ``(data, truth)`` of shapes ``Y.shape`` and ``X.shape``."""
        rng = np.random.default_rng([self._seed, _position(index, self._size)])
        truth = self._truth(rng)
        truth_array = _array("truth(rng)", truth)
        return _array("measure(truth, rng)", self._measure(truth, rng)), truth_array


@final
class FixedPairs(Sequence):
    """Pairs that are kept in memory.

    Parameters
    ----------
    data : array_like, shape (N, *Y.shape)
        Measurements.
    truth : array_like, shape (N, *X.shape)
        Ground truths.

    Raises
    ------
    ValueError
        If there are no pairs, the numbers of data and truths differ, or values are not finite.
    """

    def __init__(self, data, truth):
        self.data = np.asarray(data)
        self.truth = np.asarray(truth)
        for name, array in (("data", self.data), ("truth", self.truth)):
            if array.ndim == 0 or len(array) == 0:
                raise ValueError(
                    f"{name} has shape {array.shape}, expected (N, ...) with at least one item; "
                    "stack the items along a first axis."
                )
            require_finite(name, array)
        if len(self.data) != len(self.truth):
            raise ValueError(
                f"data has {len(self.data)} items and truth has {len(self.truth)}, expected equal "
                "numbers; item i of one belongs to item i of the other."
            )

    @classmethod
    def drawn(cls, pairs):
        """Draw all pairs of a sequence, for example `SimulatedPairs`, once and keep them."""
        if len(pairs) == 0:
            raise ValueError("pairs is empty, expected a sequence of at least one pair.")
        data, truth = zip(*(pairs[i] for i in range(len(pairs))))
        return cls(np.stack(data), np.stack(truth))

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        """Arrays ``(data, truth)`` of shapes ``Y.shape`` and ``X.shape``."""
        i = _position(index, len(self.data))
        return self.data[i], self.truth[i]
