r"""Images end to end in flat arrays, swept through in blocks that stay in the cache.

A sheet holds one number per pixel of several images, one after the other, with a row of zeros
before and behind. A difference along axis ``i`` then is one subtraction of two slices, ``x[k + s_i]
- x[k]`` with the stride ``s_i`` of the axis, whatever the number of dimensions; what it says at the
last index of the axis, where the slice runs into the next row, is to be set to zero (`edge`). Where
dual variables are zero at these places, so are those before the first index, and the transpose is
one subtraction, too.

All operations round entry by entry, so that results depend neither on how samples are grouped nor
on where blocks end.
"""

import math

import numpy as np
from array_api_compat import is_numpy_array, to_device

from odl_learned import compiled

#: Bytes of a block on a CPU: the handful of blocks that one works on fit into a mebibyte.
BLOCK = 2**17
#: Entries of the images that are computed together on a CPU.
GROUP = 2**18


class Sheets:
    """The common shape of sheets: images, axes, blocks.

    Parameters
    ----------
    size : int
        Number of images.
    shape : tuple of int
        Their shape.
    block : int
        Upper bound of the entries of a block, of at least one row or image.
    """

    def __init__(self, size, shape, block):
        self.size, self.shape, self.block = size, tuple(shape), block
        self.entries = math.prod(shape)
        self.strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        self.margin = self.strides[0]
        self.blocks = list(self._blocks())

    def _blocks(self):
        """Begin, end, and the numbers of the first image and the last one plus one."""
        if self.entries <= self.block:
            step = max(1, self.block // self.entries)
            for first in range(0, self.size, step):
                last = min(first + step, self.size)
                yield first * self.entries, last * self.entries, first, last
            return
        step = self.strides[0] * max(1, self.block // self.strides[0])
        for image in range(self.size):
            origin = image * self.entries
            for begin in range(0, self.entries, step):
                end = min(begin + step, self.entries)
                yield origin + begin, origin + end, image, image + 1

    def zeros(self, xp, like):
        """A sheet of zeros."""
        length = self.size * self.entries + 2 * self.margin
        return xp.zeros(length, dtype=like.dtype, device=like.device)

    def sheet(self, xp, images):
        """A sheet of images of shape ``(size, *shape)``."""
        sheet = self.zeros(xp, images)
        self.images(sheet)[...] = images
        return sheet

    def images(self, sheet):
        """The images of a sheet, a view of shape ``(size, *shape)``."""
        inner = sheet[self.margin : self.margin + self.size * self.entries]
        return inner.reshape(self.size, *self.shape)

    def at(self, sheet, begin, end, shift=0):
        """A slice of a sheet, shifted by some entries; a view."""
        return sheet[self.margin + begin + shift : self.margin + end + shift]

    def edge(self, values, block, axis, index=-1):
        """The entries of a block at the last or first index of an axis: a view, or None."""
        begin, end, first, last = block
        if axis == 0 and end - begin < (last - first) * self.entries:
            row = self.strides[0]
            if index == 0:
                return values[:row] if begin == first * self.entries else None
            return values[values.shape[0] - row :] if end == last * self.entries else None
        return values.reshape(-1, self.shape[axis], self.strides[axis])[:, index]


def on_host(values):
    """Whether an array lives in the memory of the CPU."""
    return is_numpy_array(values) or str(values.device) == "cpu"


def block_size(values):
    """Entries of a block: all of them on an accelerator, what fits into the cache on a CPU."""
    return BLOCK // values.dtype.itemsize if on_host(values) else max(1, math.prod(values.shape))


def can_sweep(y, dimensions=(2,)):
    """Whether there are compiled loops for images of shape ``(size, channels, *shape)``.

    ``dimensions`` are those for which loops were written.
    """
    return (is_numpy_array(y) and y.ndim - 2 in dimensions and y.dtype in (np.float32, np.float64)
            and y.size > 0 and y.shape[-1] > 1 and compiled.is_available())  # fmt: skip


def block_rows(values):
    """Rows of a block of images of shape ``(..., *shape)`` that are larger than it, else all."""
    row = math.prod(values.shape[3:])
    if values.shape[2] * row <= block_size(values):
        return values.shape[2]
    return max(1, block_size(values) // row)


def per_image(xp, values, count, row):
    """Sums over the images of a block in double precision, of shape ``(count,)``.

    Row after row of some entries, and then along the row.
    """
    images = xp.reshape(values, (count, -1, row))
    sums = xp.stack([xp.sum(image, axis=0, dtype=xp.float64) for image in images])
    return np.asarray(to_device(sums, "cpu")).sum(axis=1)
