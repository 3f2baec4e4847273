"""Which pairs a training step sees, and their arrays as one batch."""

from contextlib import nullcontext
from typing import Protocol

import numpy as np
import torch

from odl_learned.bridge.layouts.arrays import tensor_of
from odl_learned.bridge.layouts.random_states import kept_random_states, seed_random_states
from odl_learned.validation import require_finite, require_shape


class Pairs(Protocol):
    """A sequence of pairs, such as a list, a `data.SimulatedPairs`, or a dataset of torch."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


class Order:
    """The endless row of permutations, of which each batch takes the next piece."""

    def __init__(self, seed, size):
        self.seed, self.size = seed, size
        self.epoch, self.permutation = None, None

    def batch(self, start, count):
        return [self._index(position) for position in range(start, start + count)]

    def _index(self, position):
        epoch, place = divmod(position, self.size)
        if epoch != self.epoch:
            self.permutation = np.random.default_rng([self.seed, epoch]).permutation(self.size)
            self.epoch = epoch
        return int(self.permutation[place])


def draw_batch(pairs, indices, name="pairs", device="cpu", seeds=None):
    """Return ``(data, truth)``, each a tensor ``(len(indices), ...)``; no truth is None.

    Parameters
    ----------
    pairs : sequence
        ``pairs[i]`` is a pair of arrays, tensors or elements of ODL spaces, or one of them, which
        is data alone.
    indices : list of int
    name : str, optional
        What the pairs are called, for messages.
    device : torch.device or str, optional
        Where the tensors are.
    seeds : list of tuple of int, optional
        Nonnegative numbers for each index, with which the global random states are seeded before
        its item is drawn; at the end they are what they were.

    Raises
    ------
    ValueError
        If an item is no pair, or if values are empty, not finite, or of different shapes or dtypes.
    TypeError
        If they are no numbers.
    """
    items = []
    drawn = nullcontext() if seeds is None else kept_random_states()
    with drawn:
        for k, i in enumerate(indices):
            if seeds is not None:
                numbers = np.random.SeedSequence(seeds[k]).generate_state(1)
                seed_random_states(int(numbers[0]))
            items.append([_tensor(f"{part} of {name}[{i}]", value) for part, value in
                          zip(("data", "truth"), _parts(f"{name}[{i}]", pairs[i]))])
            _require_alike(name, i, indices[0], items[-1], items[0])
    data, *truth = (torch.stack(parts).to(device) for parts in zip(*items))
    return data, truth[0] if truth else None


def _require_alike(name, i, other, item, first_item):
    """Raise unless two items of a batch have the same parts, shapes and dtypes."""
    if len(item) != len(first_item):
        raise ValueError(
            f"one of {name}[{other}] and {name}[{i}] has a truth and the other one has "
            "none, expected the same of all in a batch; use batch_size=1."
        )
    for part, x, first in zip(("data", "truth"), item, first_item):
        as_first = f"that of {name}[{other}] in the same batch"
        require_shape(f"{part} of {name}[{i}]", x, first.shape,
                      f"the shape of {as_first}; use batch_size=1.")  # fmt: skip
        if x.dtype != first.dtype:
            raise ValueError(
                f"{part} of {name}[{i}] has dtype {x.dtype}, expected {first.dtype}, "
                f"{as_first}; convert them to one dtype."
            )


def _parts(name, item):
    """Data and truth, or the data alone, of an item."""
    if not isinstance(item, (tuple, list)):
        return (item,)
    if len(item) != 2:
        raise ValueError(
            f"{name} is not a pair but of type {type(item).__name__} and length {len(item)}; "
            "expected (data, truth), two arrays, tensors or elements, or one alone as data."
        )
    return item


def _tensor(name, value):
    """An array, a tensor anywhere, or an element of a space as a tensor on the CPU, checked."""
    if hasattr(value, "asarray"):
        value = _entries(name, value)
    if isinstance(value, torch.Tensor):
        x = value.detach().cpu()
        bad = int((~torch.isfinite(x)).sum())
        if bad:
            require_finite(name, np.where(np.arange(x.numel()) < bad, np.nan, 0.0))
    else:
        value = _array(name, value)
        require_finite(name, value)
        x = tensor_of(value)
    if not x.numel():
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected at least one entry.")
    return x


def _entries(name, element):
    try:
        return element.asarray()
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(
            f"{name} is an element of {getattr(element, 'space', type(element).__name__)}, "
            "expected one of a space of arrays or of a power of one, which has one shape. Train on "
            "one of its parts, or on an array of all of them."
        ) from error


def _array(name, value):
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} is no array ({error}); expected numbers on a rectangular grid."
        ) from error
