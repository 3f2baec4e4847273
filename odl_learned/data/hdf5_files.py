"""Arrays of HDF5 files that lie in the file itself; what points out of it is refused.

Soft links are followed within the file. External links, external storage and virtual arrays name
other files, which could be any on the machine; none of them is opened.
"""

import math

import numpy as np

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


def names(file):
    """Names and shapes of the arrays of a file, groups included."""
    import h5py

    found = {}

    def note(name, item):  # hard links only; HDF5 visits no others
        if isinstance(item, h5py.Dataset):
            # The shape of a virtual array is that of its sources, which would be opened for it.
            found[name] = "in another file" if _elsewhere(item) else item.shape

    file.visititems(note)
    return found


def array(where, file, key):
    """The array of this name, with its numbers still in the file.

    Raises
    ------
    KeyError
        If there is none.
    ValueError
        If its numbers, or a link on the way to it, are in another file, or nothing was written.
    TypeError
        If it holds no numbers.
    """
    import h5py

    stored = _follow(where, file, key)
    if not isinstance(stored, h5py.Dataset):
        raise KeyError(key)
    if reason := _elsewhere(stored):
        raise _leads_away(where, reason)
    if stored.dtype.kind not in "biufc":
        raise TypeError(f"{where} has dtype {stored.dtype}, expected numbers.")
    if stored.shape is None:
        raise ValueError(f"{where} is empty, without a shape; expected at least one number.")
    if stored.size and not stored.id.get_storage_size():
        raise ValueError(
            f"{where} has shape {stored.shape}, but nothing was ever written into it; expected "
            "numbers. Write the file again."
        )
    return stored


def read(where, stored, index, limits):
    """The numbers of an array, or of one item of it; the claimed size is checked before.

    HDF5 decompresses whole chunks, so that a chunk counts even if little of it is asked for.
    """
    item = math.prod(stored.shape if index == () else stored.shape[1:])
    total = stored.size * stored.dtype.itemsize
    asked = max(item, math.prod(stored.chunks or (0,))) * stored.dtype.itemsize
    held = min(stored.id.get_storage_size(), stored.file.id.get_filesize())
    limits.require(where, asked, held * min(1.0, asked / max(total, 1)))
    try:
        return np.asarray(stored[index])
    except OSError as error:
        raise _unreadable(where, stored, error) from error


def _unreadable(where, stored, error):
    properties = stored.id.get_create_plist()
    filters = [properties.get_filter(i) for i in range(properties.get_nfilters())]
    foreign = [(number, name.decode(errors="replace")) for number, _, _, name in filters
               if number not in COMMON_FILTERS]  # fmt: skip
    if foreign:
        return ValueError(
            f"{where} is compressed by filter {foreign[0][0]} ({foreign[0][1]}), which may not be "
            f"installed ({error}); import hdf5plugin first, or write the file with gzip."
        )
    return ValueError(f"{where} cannot be read ({error}); copy or download the file again.")


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
    """The object of this name; raise if a link on the way leaves the file."""
    import h5py

    place, parts, links = file, _parts(key), 0
    while parts:
        part, *parts = parts
        try:
            link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        except TypeError:  # a link of a kind that a program defined
            link = "unknown"
        if link is None:
            raise KeyError(key)
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
