"""Which pairs a training step sees, and their arrays as one batch."""

import numpy as np
import torch

from odl_learned.validation import require_finite, require_shape


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


def draw_batch(pairs, indices):
    items = []
    for i in indices:
        pair = pairs[i]
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"pairs[{i}] is not a pair; expected (data, truth), two arrays.")
        items.append([np.asarray(array) for array in pair])
        for name, array, first in zip(("data", "truth"), items[-1], items[0]):
            require_finite(f"{name} of pairs[{i}]", array)
            require_shape(
                f"{name} of pairs[{i}]", array, first.shape,
                f"the shape of that of pairs[{indices[0]}] in the same batch; use batch_size=1.",
            )  # fmt: skip
    data, truth = zip(*items)
    return torch.from_numpy(np.stack(data)), torch.from_numpy(np.stack(truth))
