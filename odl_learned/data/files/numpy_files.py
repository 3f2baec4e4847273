"""Arrays in files of numpy, whose headers are checked against the file before memory is taken.

Files hold numbers only: pickled objects, which could run code, are refused.
"""

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from typing import NamedTuple, final

import numpy as np

from odl_learned.data.files.limits import require_limits

MAGIC = b"\x93NUMPY"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0,
           (2, 0): np.lib.format.read_array_header_2_0}  # fmt: skip
#: What numpy and zipfile raise for damaged, encrypted and unusual files.
BROKEN = (ValueError, EOFError, OSError, RuntimeError, SyntaxError, TypeError, struct.error,
          tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)  # fmt: skip


class Header(NamedTuple):
    """What a header claims: shape and dtype; ``start`` is where the numbers begin."""

    shape: tuple[int, ...]
    dtype: np.dtype
    start: int

    @property
    def nbytes(self):
        return math.prod(self.shape) * self.dtype.itemsize


def unreadable(path, reason):
    """The error for a file that is no file of numpy."""
    return ValueError(
        f"{path} is not a readable file of numpy ({reason}); expected numbers stored by "
        "numpy.save or numpy.savez. Copy or write it again."
    )


def _damaged(where, error):
    return ValueError(f"{where} cannot be read ({error}); copy or write it again.")


def read_header(name, stream):
    """Read the header of an array; the stream is left where the numbers begin.

    Raises
    ------
    ValueError
        If it is no header.
    TypeError
        If the array holds Python objects.
    """
    try:
        begin = stream.read(len(MAGIC) + 2)
    except BROKEN as error:
        raise _damaged(name, error) from error
    magic, version = begin[: len(MAGIC)], tuple(begin[len(MAGIC) :])
    if magic != MAGIC or version not in HEADERS:
        raise unreadable(name, f"it begins with {begin!r}")
    try:
        shape, _, dtype = HEADERS[version](stream)
    except (*BROKEN, MemoryError) as error:  # the latter for brackets within brackets
        raise unreadable(name, f"its header is damaged, {type(error).__name__}") from error
    if any(length < 0 for length in shape):
        raise unreadable(name, f"its header says shape {shape}")
    if dtype.hasobject:
        raise TypeError(
            f"{name} holds Python objects, dtype {dtype}, expected numbers; such files can run "
            "code when they are read. Store the numbers alone with numpy.save."
        )
    return Header(shape, dtype, stream.tell())


def open_npy(path):
    """The array of a .npy file, mapped from the disk: what is not used is not read."""
    with path.open("rb") as stream:
        if stream.peek(4)[:4] == b"PK\x03\x04":
            raise ValueError(
                f"the suffix of {path} does not say what the file holds, an archive, expected .npy "
                "for one array and .npz for an archive; rename it."
            )
        header = read_header(str(path), stream)
    held = path.stat().st_size - header.start
    if header.nbytes > held:
        raise unreadable(path, f"its header claims {header.nbytes} bytes, and {held} follow")
    if header.nbytes == 0:
        return np.zeros(header.shape, header.dtype)
    return np.load(path, mmap_mode="r", allow_pickle=False)


@final
class Archive:
    """Arrays of a .npz archive; headers are read at once, numbers when they are asked for.

    Parameters
    ----------
    path : Path
        File.
    limits : Limits
        What may be read of it.

    Raises
    ------
    ValueError
        If the file is no archive of arrays.
    """

    def __init__(self, path, limits):
        require_limits(limits)
        self.path, self.limits = path, limits
        with path.open("rb") as stream:
            if stream.read(len(MAGIC)) == MAGIC:
                raise ValueError(
                    f"the suffix of {path} does not say what the file holds, a single array, "
                    "expected .npy for one array and .npz for an archive; rename it."
                )
        try:
            self._zip = zipfile.ZipFile(path)
        except BROKEN as error:
            raise unreadable(path, error) from error
        self._members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist()}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._zip.close()

    @property
    def names(self):
        """Names of the arrays."""
        return list(self._members)

    def shape(self, name):
        """The shape that the header claims."""
        with self._open(name) as stream:
            return read_header(self._where(name), stream).shape

    def read(self, name):
        """The numbers of one array."""
        info, where = self._members[name], self._where(name)
        with self._open(name) as stream:
            header = read_header(where, stream)
            held = info.file_size - header.start
            if header.nbytes > held:
                raise unreadable(where, f"its header claims {header.nbytes} bytes, and {held} "
                                 "follow")  # fmt: skip
            self.limits.require(where, header.nbytes, info.compress_size)
            try:
                stream.seek(0)
                return np.lib.format.read_array(stream, allow_pickle=False)
            except BROKEN as error:
                raise _damaged(where, error) from error

    def _where(self, name):
        return f"{name} in {self.path}"

    def _open(self, name):
        try:
            return self._zip.open(self._members[name])
        except BROKEN as error:
            raise _damaged(self._where(name), error) from error
