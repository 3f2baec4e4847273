"""Readers of images and raw data in files of numpy and HDF5."""

import numbers
import zipfile
import zlib

import numpy as np

from odl_learned.data.dicom import read_dicom, require_file, select
from odl_learned.data.orientation import from_rows
from odl_learned.validation import require_finite, require_real

#: What numpy raises for damaged files.
BROKEN = (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error)


def _numpy_load(path, stream, kind):
    try:
        loaded = np.load(stream, allow_pickle=False)
    except BROKEN as error:
        raise ValueError(
            f"{path} is not a readable file of numpy ({error}); expected numbers stored by "
            "numpy.save or numpy.savez. Copy or write it again."
        ) from error
    if not isinstance(loaded, kind):
        raise ValueError(
            f"the suffix of {path} does not say what the file holds, expected .npy for one array "
            "and .npz for an archive; rename it."
        )
    return loaded


def _hdf5(path):
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


def _stored(path, key, stored, index):
    """Numbers of an array of an HDF5 file."""
    try:
        return np.asarray(stored[index])
    except OSError as error:
        raise ValueError(
            f"{key} in {path} cannot be read ({error}); copy or download the file again."
        ) from error


def _datasets(file):
    """Names and shapes of the arrays of an HDF5 file, groups included."""
    found = {}
    file.visititems(lambda name, x: found.update({name: x.shape}) if hasattr(x, "shape") else None)
    return found


def _choose_key(path, key, shapes):
    found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
    if key is None and len(shapes) == 1:
        return next(iter(shapes))
    if key not in shapes:
        raise ValueError(f"key is {key!r}, expected one of the arrays of {path}: {found}.")
    return key


def _read_npz(path, key):
    with path.open("rb") as stream, _numpy_load(path, stream, np.lib.npyio.NpzFile) as archive:
        try:
            wanted = [key] if key in archive.files else archive.files
            arrays = {name: archive[name] for name in wanted}
        except BROKEN as error:
            raise ValueError(f"{path} cannot be read ({error}); copy or write it again.") from error
    return arrays[_choose_key(path, key, {name: arrays[name].shape for name in arrays})]


def _pictures(name, array):
    """Pictures as float32 arrays in our orientation, checked."""
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {array.dtype}, expected numbers.")
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}, expected at least one pixel.")
    require_real(name, array)
    require_finite(name, array)
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    require_finite(f"{name} in single precision", single)
    return from_rows(single)


def read_image(path, key=None, index=None):
    """Read one image of a file of numpy, DICOM or HDF5.

    Parameters
    ----------
    path : str or Path
        File with the suffix .npy, .npz, .dcm, .h5 or .hdf5, with real pictures (rows, columns), or
        stacks of them along the first axis.
    key : str, optional
        Name of the array in .npz and HDF5 files; may be left away if there is only one.
    index : int, optional
        Item of a stack.

    Returns
    -------
    image : numpy.ndarray of float32, shape (nx, ny) = (columns, rows)
        In the orientation of ODL; values as in the file, for DICOM as in `read_dicom`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the suffix is unknown, the file cannot be read, ``key`` or ``index`` is missing or
        wrong, or values are not finite.
    TypeError
        If the values are complex or no numbers.
    ImportError
        If pydicom or h5py is needed and not installed.
    """
    path = require_file(path)
    suffix = path.suffix.lower()
    if suffix in (".npy", ".dcm") and key is not None:
        raise ValueError(f"key is {key!r}, expected None: {suffix} files hold one array.")
    if suffix == ".dcm":
        return read_dicom(path, index).array
    if suffix == ".npy":
        with path.open("rb") as stream:
            picture, _ = select(_numpy_load(path, stream, np.ndarray), index, str(path))
    elif suffix == ".npz":
        picture, _ = select(_read_npz(path, key), index, f"{key or 'array'} in {path}")
    elif suffix in (".h5", ".hdf5"):
        with _hdf5(path) as file:
            key = _choose_key(path, key, _datasets(file))
            picture, _ = select(file[key], index, f"{key} in {path}")
            picture = _stored(path, key, picture, ())
    else:
        raise ValueError(
            f"{path} has the suffix {suffix!r}, expected .npy, .npz, .dcm, .h5 or .hdf5; convert "
            "the file, for example with numpy.save."
        )
    return _pictures(str(path), picture)


def read_npz_stack(path, key):
    """Read a stack of images of an archive of numpy.

    Parameters
    ----------
    path : str or Path
        File written by numpy.savez.
    key : str
        Name of a real array of shape (N, rows, columns).

    Returns
    -------
    stack : numpy.ndarray of float32, shape (N, nx, ny) = (N, columns, rows)
        In the orientation of ODL.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, has no such array, or values are not finite.
    TypeError
        If the values are complex or no numbers.
    """
    path = require_file(path)
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path} has the suffix {path.suffix!r}, expected .npz; pack the "
                         "array with numpy.savez.")
    stack = _read_npz(path, key)
    if stack.ndim != 3:
        raise ValueError(
            f"{key} in {path} has shape {stack.shape}, expected (N, rows, columns); "
            "single images are read with data.read_image."
        )
    return _pictures(f"{key} in {path}", stack)


def read_kspace(path, key="kspace", index=None):
    """Read Fourier samples of magnetic resonance imaging of an HDF5 file, as stored.

    The layout is that of fastMRI, (slices, coils, rows, columns), or (coils, rows, columns),
    complex or real with a trailing axis (real part, imaginary part).

    Parameters
    ----------
    path : str or Path
        HDF5 file.
    key : str
        Name of the array.
    index : int, optional
        Item along the first axis, a slice in the layout of fastMRI; only this item is read.

    Returns
    -------
    kspace : numpy.ndarray, complex64 or complex128
        As stored, with rows from top to bottom and frequency zero at ``n // 2``. Do not turn it
        with `from_rows`: transform it to an image and turn the image.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, has no such array or another layout, or values are not finite.
    ImportError
        If h5py is not installed.

    Notes
    -----
    Zbontar et al. (2018), "fastMRI", arXiv:1811.08839.
    """
    path = require_file(path)
    with _hdf5(path) as file:
        stored = file[_choose_key(path, key, _datasets(file))]
        pair = stored.dtype.kind == "f"
        ndim = len(stored.shape) - pair
        if stored.dtype.kind not in "fc" or ndim not in (3, 4) or (pair and stored.shape[-1] != 2):
            raise ValueError(
                f"{key} in {path} has shape {stored.shape} and dtype {stored.dtype}, expected "
                "(slices, coils, rows, columns) or (coils, rows, columns), complex or real with a "
                "trailing axis of length 2."
            )
        if index is not None and not isinstance(index, numbers.Integral):
            raise TypeError(f"index is {index!r}, expected a whole number.")
        if index is not None and not -len(stored) <= index < len(stored):
            raise ValueError(
                f"index is {index}, expected between 0 and {len(stored) - 1}; {key} in {path} has "
                f"{len(stored)} items along its first axis."
            )
        kspace = _stored(path, key, stored, () if index is None else index)
    require_finite(f"{key} in {path}", kspace)
    if pair:
        single = kspace.dtype.itemsize <= 4
        kspace = (kspace[..., 0] + 1j * kspace[..., 1]).astype("complex64" if single else complex)
    return kspace
