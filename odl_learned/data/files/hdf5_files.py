"""Arrays of HDF5 files that lie in the file itself; what points out of it is refused.

Soft links are followed within the file. External links, external storage and virtual arrays name
other files, which could be any on the machine; none of them is opened.
"""

import contextlib
import math

import numpy as np

from odl_learned.data.files.limits import require_limits
from odl_learned.validation import shown

#: Filters that every build of HDF5 or h5py has: deflate, shuffle, fletcher32, szip, nbit,
#: scale-offset, LZF.
COMMON_FILTERS = (1, 2, 3, 4, 5, 6, 32000)
MAX_LINKS = 16


def open_hdf5(path):
    """The file, opened for reading."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            'HDF5 files need h5py; install it with pip install "odl_learned[hdf5]".'
        ) from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(
            f"{path} is not a readable HDF5 file ({error}); copy or download it again."
        ) from error


@contextlib.contextmanager
def _readable(where):
    """Turn what h5py raises for damaged files into a ValueError."""
    try:
        yield
    except (RuntimeError, OSError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{where} cannot be read ({error}); copy or download the file again."
        ) from error


def names(path, file):
    """Names and shapes of the arrays of a file, groups included."""
    import h5py

    found = {}

    def note(name, item):  # hard links only; HDF5 visits no others
        if isinstance(item, h5py.Dataset):
            # The shape of a virtual array is that of its sources, which would be opened for it.
            found[name] = "in another file" if _elsewhere(item) else item.shape

    with _readable(path):
        file.visititems(note)
    return found


def is_complex_pair(dtype):
    """Whether a compound type is a complex number: two floats of one type, real part first."""
    parts = [dtype[name] for name in dtype.names or ()]
    return len(parts) == 2 and parts[0] == parts[1] and parts[0].kind == "f" and not parts[0].shape


def array(where, file, key):
    """The array of this name, with its numbers still in the file; None if there is none.

    Compound numbers of two floats are taken for complex ones.

    Raises
    ------
    ValueError
        If its numbers, or a link on the way to it, are in another file, or nothing was written.
    TypeError
        If it holds no numbers.
    """
    import h5py

    with _readable(where):
        stored = _follow(where, file, key)
        if not isinstance(stored, h5py.Dataset):
            return None
        if reason := _elsewhere(stored):
            raise _leads_away(where, reason)
        dtype, shape, held = stored.dtype, stored.shape, stored.id.get_storage_size()
    if dtype.kind not in "biufc" and not is_complex_pair(dtype):
        raise TypeError(f"{where} has dtype {dtype}, expected numbers.")
    if shape is None:
        raise ValueError(f"{where} is empty, without a shape; expected at least one number.")
    if math.prod(shape) and not held:
        raise ValueError(
            f"{where} has shape {shape}, but nothing was ever written into it; expected numbers. "
            "Write the file again."
        )
    return stored


def string(where, file, key, limits):
    """A text that is stored as an array of its own; None if there is none.

    Texts are not compressed, so that the length of the file bounds them.

    Raises
    ------
    ValueError
        If it is in another file, or larger than the limits.
    TypeError
        If it is no single text.
    """
    import h5py

    with _readable(where):
        stored = _follow(where, file, key)
        if not isinstance(stored, h5py.Dataset):
            return None
        if reason := _elsewhere(stored):
            raise _leads_away(where, reason)
        if h5py.check_string_dtype(stored.dtype) is None or stored.size != 1:
            raise TypeError(f"{where} has dtype {stored.dtype} and shape {stored.shape}, expected "
                            "one text.")
        size = stored.file.id.get_filesize()
        require_limits(limits)
        limits.require(where, stored.dtype.itemsize, size)
        value = np.asarray(stored[()]).reshape(-1)[0]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def text(where, item, name):
    """An attribute that is a word or a whole number, as a string; None if it is missing or none."""
    with _readable(where):
        value = item.attrs.get(name)
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    value = str(value).strip() if isinstance(value, str | int | np.integer) else ""
    return value or None


def read(where, stored, index, limits):
    """The numbers of an array, or of one item of it; the claimed size is checked before.

    HDF5 decompresses whole chunks, so that a chunk counts even if little of it is asked for.
    """
    with _readable(where):
        properties = stored.id.get_create_plist()
        filters = [properties.get_filter(i) for i in range(properties.get_nfilters())]
        held = min(stored.id.get_storage_size(), stored.file.id.get_filesize())
        chunk = math.prod(stored.chunks or (0,))
    item, size = math.prod(stored.shape if index == () else stored.shape[1:]), stored.dtype.itemsize
    asked = max(item, chunk) * size
    require_limits(limits)
    limits.require(where, asked, held * min(1.0, asked / max(stored.size * size, 1)))
    foreign = [f"{number} ({name.decode(errors='replace')})" for number, _, _, name in filters
               if number not in COMMON_FILTERS]  # fmt: skip
    try:
        with _readable(where):
            return np.asarray(stored[index])
    except ValueError as error:
        if not foreign:
            raise
        raise ValueError(
            f"{where} is compressed by filter {foreign[0]}, which may not be installed ({error}); "
            "import hdf5plugin first, or write the file with gzip."
        ) from error


def _elsewhere(stored):
    """Why the numbers of an array are not in its file; empty if they are."""
    properties = stored.id.get_create_plist()
    if properties.get_external_count():
        return "its numbers are in another file, external storage"
    if stored.is_virtual:
        return "it is a virtual array, put together from other arrays and files"
    return ""


def _leads_away(where, reason):
    return ValueError(
        f"{where} cannot be read: {reason}; expected numbers in the file itself, and no other file "
        "is opened. If you trust it, copy the numbers into one file with h5py."
    )


def _follow(where, file, key):
    """The object of this name, None if missing; raise if a link on the way leaves the file."""
    import h5py

    if not isinstance(key, str):
        raise TypeError(f"key is {shown(key)}, expected the name of an array in {where}.")
    place, parts, links = file, _parts(key), 0
    while parts:
        part, *parts = parts
        try:
            link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        except TypeError:  # a link of a kind that a program defined
            link = "unknown"
        if link is None:
            return None
        if isinstance(link, h5py.HardLink):
            place = place[part]
        elif isinstance(link, h5py.SoftLink) and links < MAX_LINKS:
            links += 1
            place = file if link.path.startswith("/") else place
            parts = _parts(link.path) + parts
        else:
            raise _leads_away(where, f"{part} is a link to another file, or one of many links")
    return place


def _parts(path):
    return [part for part in path.split("/") if part not in ("", ".")]
