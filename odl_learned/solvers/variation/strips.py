"""Images cut into pieces for threads: by samples, and few large images into strips of rows.

A strip has a halo of rows of its neighbors, on which it computes what they do. An iteration makes
some more rows of the halo wrong; before the rows of the strip itself would be, halos are renewed.
Every number is computed from the same numbers in the same way, however images are cut.
"""

from typing import NamedTuple

import numpy as np


class Piece(NamedTuple):
    """Some samples, from one row to another, inside of rows that are kept."""

    samples: slice
    top: int
    bottom: int
    begin: int
    end: int


class Strips:
    """How to cut arrays of shape ``(size, ..., rows, columns)``.

    Parameters
    ----------
    size : int
        Number of images, at least one.
    shape : tuple of int
        Rows and columns.
    height : int
        Rows of a block: strips begin where blocks do.
    halo : int
        Rows of neighbors.
    threads : int
        How many pieces are useful.
    """

    def __init__(self, size, shape, height, halo, threads):
        self.size, self.shape, self.height, self.halo = size, tuple(shape), height, halo
        marks = self._marks(-(-threads // size))
        if len(marks) > 2:
            self.pieces = [
                Piece(slice(n, n + 1), top, bottom, max(0, top - halo),
                      min(shape[0], bottom + halo))
                for n in range(size) for top, bottom in zip(marks[:-1], marks[1:], strict=True)
            ]  # fmt: skip
        else:
            ends = np.linspace(0, size, min(threads, size) + 1).round().astype(int).tolist()
            self.pieces = [Piece(slice(a, b), 0, shape[0], 0, shape[0])
                           for a, b in zip(ends[:-1], ends[1:], strict=True)]  # fmt: skip

    def _marks(self, count):
        """Rows where strips begin, and the last one plus one; halos fit into each."""
        rows = self.shape[0]
        for strips in range(min(count, self.blocks), 1, -1):
            marks = [min(rows, round(i * self.blocks / strips) * self.height)
                     for i in range(strips + 1)]  # fmt: skip
            if np.diff(marks).min() >= self.halo:
                return marks
        return [0, rows]

    @property
    def blocks(self):
        """How many there are in an image."""
        return -(-self.shape[0] // self.height)

    def of_blocks(self, piece, numbers):
        """The part of an array ``(size, blocks, ...)`` that belongs to a piece, a view."""
        begin, end = piece.top // self.height, -(-piece.bottom // self.height)
        return numbers[piece.samples, begin:end]

    def cut(self, array):
        """The parts of an array: copies, or itself, if there is one."""
        if len(self.pieces) == 1:
            return [array]
        return [array[p.samples, ..., p.begin : p.end, :].copy() for p in self.pieces]

    def join(self, parts):
        """The array of parts: a copy, or the only one."""
        if len(parts) == 1:
            return parts[0]
        whole = np.empty((self.size, *parts[0].shape[1:-2], *self.shape), dtype=parts[0].dtype)
        self.put(parts, whole)
        return whole

    def put(self, parts, whole):
        """Copy the parts into an array."""
        for p, part in zip(self.pieces, parts, strict=True):
            own = part[..., p.top - p.begin : p.bottom - p.begin, :]
            whole[p.samples, ..., p.top : p.bottom, :] = own

    def renew(self, parts):
        """Copy rows of neighbors into the halos."""
        for i, (p, q) in enumerate(zip(self.pieces[:-1], self.pieces[1:], strict=True)):
            if p.samples == q.samples:
                upper, lower = parts[i], parts[i + 1]
                end, begin = p.bottom - p.begin, q.top - q.begin
                upper[..., end:, :] = lower[..., begin : begin + p.end - p.bottom, :]
                lower[..., :begin, :] = upper[..., end - begin : end, :]
