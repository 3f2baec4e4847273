"""Training pairs (data, truth): simulated on demand and reproducible, or fixed arrays."""

import numbers
import operator
from collections.abc import Callable, Sequence
from typing import Self, TypeVar, final

import numpy as np
from numpy.typing import ArrayLike
from odl.core.set.space import LinearSpaceElement

from odl_learned.data.preparation import downsample
from odl_learned.metrics import as_array
from odl_learned.validation import require_count, require_finite, require_shape

Truth = TypeVar("Truth", bound=LinearSpaceElement)


def _array(name, x):
    if not hasattr(x, "asarray"):
        raise TypeError(
            f"{name} is of type {type(x).__name__}, expected an element of an ODL space; "
            "return space.element(array) from the function that was passed."
        )
    try:
        array = np.array(as_array(x, name))
    except ValueError as error:
        raise ValueError(
            f"{name} is an element of {x.space}, expected one of a space of arrays or of a power "
            f"of one, which has one shape ({error})."
        ) from error
    require_finite(name, array)
    return array


def _require_sequence(pairs):
    if not hasattr(pairs, "__len__") or not hasattr(pairs, "__getitem__"):
        raise TypeError(f"pairs is of type {type(pairs).__name__}, expected a sequence of pairs; "
                        "make one of it by list(...).")


def _stacked(name, items):
    """Arrays, tensors or elements, in a list or stacked, as one array ``(N, ...)``."""
    if not isinstance(items, (list, tuple)):
        return as_array(items, name)
    arrays = [as_array(item, f"{name}[{i}]") for i, item in enumerate(items)]
    for i, array in enumerate(arrays):
        require_shape(f"{name}[{i}]", array, arrays[0].shape,
                      f"This is the shape of {name}[0]; crop or resample one of them, or train on "
                      "a list of pairs with batch_size=1.")  # fmt: skip
    return np.stack(arrays) if arrays else np.empty(0)


def _position(index, size):
    """The position 0 <= i < size of an index that may be negative."""
    try:
        i = operator.index(index)
    except TypeError as error:
        raise TypeError(
            f"index is {index!r}, expected a whole number; take several pairs by "
            "[pairs[i] for i in range(start, stop)]."
        ) from error
    if not -size <= i < size:
        raise IndexError(f"index is {i}, expected -{size} <= index < {size}, the number of pairs.")
    return i % size


@final
class SimulatedPairs(Sequence[tuple[np.ndarray, np.ndarray]]):
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

    def __init__(
        self,
        truth: Callable[[np.random.Generator], Truth],
        measure: Callable[[Truth, np.random.Generator], LinearSpaceElement],
        size: int,
        seed: int,
    ) -> None:
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
class CoarsePairs(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Pairs whose truths are means over blocks of pixels: data come from a finer grid than images.

    Measurements that are simulated by the operator that inverts them are explained too well. Here
    ``pairs`` are simulated on the fine grid, and the truth of the coarse one is `downsample`.

    Parameters
    ----------
    pairs : sequence of pairs
        ``(data, fine truth)``, such as `SimulatedPairs` on the fine space.
    factor : int
        Pixels of a block along each axis, at least 1; it divides the sides of the images.
    dimension : int, optional
        How many of the last axes of a truth are those of an image, for volumes and for images with
        several components. Default: 2, of truths with two axes.

    Raises
    ------
    TypeError
        If pairs are no sequence.
    ValueError
        If a number is out of bounds, the factor does not divide the sides of an image, or a truth
        has other than two axes and the dimension is not said.

    Source: Kaipio, Somersalo, Statistical inverse problems: discretization, model reduction and
    inverse crimes (2007).

    Examples
    --------
    >>> import numpy as np
    >>> from odl_learned import data
    >>> fine = data.FixedPairs([np.ones(3)], [np.arange(16.0).reshape(4, 4)])
    >>> y, u = data.CoarsePairs(fine, factor=2)[0]
    >>> print(u)
    [[ 2.5  4.5]
     [10.5 12.5]]
    """

    def __init__(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]], factor: int,
                 dimension: int | None = None) -> None:  # fmt: skip
        _require_sequence(pairs)
        require_count("factor", factor)
        if dimension is not None:
            require_count("dimension", dimension)
        self._pairs, self._factor, self._dimension = pairs, factor, dimension

    def __len__(self):
        return len(self._pairs)

    def __getitem__(self, index):
        """Arrays ``(data, truth)``, the truth on the coarse grid."""
        data, truth = self._pairs[index]
        if self._dimension is None and np.ndim(truth) != 2:
            raise ValueError(f"the truth has shape {np.shape(truth)}, expected two axes; say how "
                             "many are those of an image, dimension=3 for volumes.")
        return data, downsample(truth, self._factor, self._dimension or 2)


@final
class FixedPairs(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Pairs that are kept in memory.

    Parameters
    ----------
    data : array_like, shape (N, *Y.shape), or list of N elements, arrays or tensors
        Measurements.
    truth : array_like, shape (N, *X.shape), or list of N elements, arrays or tensors
        Ground truths.

    Raises
    ------
    ValueError
        If there are no pairs, the numbers of data and truths or shapes in a list differ, or values
        are masked or not finite.
    """

    def __init__(
        self, data: ArrayLike | Sequence[ArrayLike], truth: ArrayLike | Sequence[ArrayLike]
    ) -> None:
        self.data = _stacked("data", data)
        self.truth = _stacked("truth", truth)
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
    def drawn(cls, pairs: Sequence[tuple[ArrayLike, ArrayLike]]) -> Self:
        """Draw all pairs of a sequence, for example `SimulatedPairs`, once and keep them."""
        _require_sequence(pairs)
        if len(pairs) == 0:
            raise ValueError("pairs is empty, expected a sequence of at least one pair.")
        drawn = [pairs[i] for i in range(len(pairs))]
        for i, pair in enumerate(drawn):
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise ValueError(
                    f"pairs[{i}] is not a pair but of type {type(pair).__name__}; expected (data, "
                    "truth)."
                )
        return cls(*zip(*drawn))

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        """Arrays ``(data, truth)`` of shapes ``Y.shape`` and ``X.shape``."""
        i = _position(index, len(self.data))
        return self.data[i], self.truth[i]
