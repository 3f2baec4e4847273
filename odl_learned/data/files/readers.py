"""Readers of images and raw data in files of numpy and HDF5."""

import numbers
from os import PathLike

import numpy as np

from odl_learned.data.dicom.files import is_dicom, require_file
from odl_learned.data.dicom.images import read_dicom
from odl_learned.data.files import hdf5_files
from odl_learned.data.files.limits import Limits
from odl_learned.data.files.nifti import is_nifti, read_slice
from odl_learned.data.files.numpy_files import Archive, open_npy
from odl_learned.data.files.pictures import is_picture, read_picture
from odl_learned.data.files.selection import item_of, require_pictures
from odl_learned.data.orientation import from_rows
from odl_learned.validation import require_finite, require_real


def _choose_key(path, key, shapes):
    """The key, or the only one; else an error that lists the shapes."""
    if key is None and len(shapes) == 1:
        return next(iter(shapes))
    if key not in shapes:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
        raise ValueError(f"key is {key!r}, expected one of the arrays of {path}: {found}.")
    return key


def _read_npz(path, key, limits):
    with Archive(path, limits) as archive:
        if key not in archive.names:
            shapes = {name: archive.shape(name) for name in archive.names}
            key = _choose_key(path, key, shapes)
        return archive.read(key)


def _stored_hdf5(path, file, key):
    """What to call an array of an HDF5 file, and the array."""
    if key is None:
        key = _choose_key(path, key, hdf5_files.names(path, file))
    where = f"{key} in {path}"
    stored = hdf5_files.array(where, file, key)
    if stored is None:
        _choose_key(path, key, hdf5_files.names(path, file))
        raise ValueError(f"{where} is listed and cannot be opened; copy the file again.")
    return where, stored


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


def read_image(
    path: str | PathLike,
    key: str | None = None,
    index: int | None = None,
    limits: Limits = Limits(),
) -> np.ndarray:
    """Read one image of a file of numpy, DICOM, HDF5 or NIfTI, or a gray picture.

    Parameters
    ----------
    path : str or Path
        File with the suffix .npy, .npz, .h5 or .hdf5, or a DICOM file of any name, with real
        pictures (rows, columns), or stacks of them along the first axis; .png, .jpg, .jpeg, .tif
        or .tiff, in gray (`read_luminance` reads colors), with pages; .nii or .nii.gz, of which an
        axial slice is read as by `read_nifti`.
    key : str, optional
        Name of the array in .npz and HDF5 files; may be left away if there is only one.
    index : int, optional
        Item of a stack.
    limits : Limits, optional
        How much the file may expand to.

    Returns
    -------
    image : numpy.ndarray of float32, shape (nx, ny) = (columns, rows)
        In the orientation of ODL; values as in the file, for DICOM as in `read_dicom`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the suffix is unknown, the file cannot be read, is larger than the limits or points to
        other files, ``key`` or ``index`` is missing or wrong, pictures are in color, or values
        are not finite.
    TypeError
        If the values are complex or no numbers, or Python objects.
    ImportError
        If pydicom, h5py, nibabel, Pillow or tifffile is needed and not installed.
    """
    path = require_file(path)
    suffix = path.suffix.lower()
    dicom = is_dicom(path)
    alone = suffix == ".npy" or dicom or is_nifti(path) or is_picture(path)
    if alone and key is not None:
        kind = "DICOM" if dicom else suffix
        raise ValueError(f"key is {key!r}, expected None: {kind} files hold one array.")
    if dicom:
        return read_dicom(path, index, limits).array
    if is_nifti(path):
        return read_slice(path, index, limits)
    if is_picture(path):
        picture = read_picture(path, index, limits)
    elif suffix == ".npy":
        picture = open_npy(path)
        picture = picture[item_of(str(path), picture.shape, index)]
        limits.require(str(path), picture.nbytes, picture.nbytes)
    elif suffix == ".npz":
        picture = _read_npz(path, key, limits)
        picture = picture[item_of(f"{key or 'array'} in {path}", picture.shape, index)]
    elif suffix in (".h5", ".hdf5"):
        with hdf5_files.open_hdf5(path) as file:
            where, stored = _stored_hdf5(path, file, key)
            picture = hdf5_files.read(where, stored, item_of(where, stored.shape, index), limits)
    else:
        raise ValueError(
            f"{path} has the suffix {suffix!r}, expected .npy, .npz, .dcm, .h5, .hdf5, .png, .jpg, "
            ".tif, .nii or .nii.gz, or a DICOM file of any name; convert the file, for example "
            "with numpy.save."
        )
    return _pictures(str(path), picture)


def read_npz_stack(path: str | PathLike, key: str, limits: Limits = Limits()) -> np.ndarray:
    """Read a stack of images of an archive of numpy.

    Parameters
    ----------
    path : str or Path
        File written by numpy.savez.
    key : str
        Name of a real array of shape (N, rows, columns).
    limits : Limits, optional
        How much the file may expand to.

    Returns
    -------
    stack : numpy.ndarray of float32, shape (N, nx, ny) = (N, columns, rows)
        In the orientation of ODL.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, is larger than the limits or has no such array, pictures are
        in color, or values are not finite.
    TypeError
        If the values are complex or no numbers, or Python objects.

    Examples
    --------
    >>> import numpy as np
    >>> from odl_learned import data
    >>> np.savez("stack.npz", images=np.zeros((3, 6, 8)))  # rows, columns
    >>> print(data.read_npz_stack("stack.npz", "images").shape)
    (3, 8, 6)
    """
    path = require_file(path)
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{path} has the suffix {path.suffix!r}, expected .npz; pack the "
                         "array with numpy.savez.")
    stack = _read_npz(path, key, limits)
    require_pictures(f"{key} in {path}", stack.shape)
    if stack.ndim != 3:
        raise ValueError(
            f"{key} in {path} has shape {stack.shape}, expected (N, rows, columns); "
            "single images are read with data.read_image."
        )
    return _pictures(f"{key} in {path}", stack)


def read_kspace(
    path: str | PathLike, key: str = "kspace", index: int | None = None, limits: Limits = Limits()
) -> np.ndarray:
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
    limits : Limits, optional
        How much the file may expand to.

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
        If the file cannot be read, is larger than the limits or points to other files, has no
        such array or another layout, or values are not finite.
    TypeError
        If the values are no numbers, or the index no whole number.
    ImportError
        If h5py is not installed.

    Notes
    -----
    Zbontar et al. (2018), "fastMRI", arXiv:1811.08839.

    Examples
    --------
    >>> import h5py
    >>> import numpy as np
    >>> from odl_learned import data
    >>> with h5py.File("scan.h5", "w") as scan:
    ...     scan["kspace"] = np.ones((2, 4, 6, 8), complex)  # slices, coils, frequencies
    ...
    >>> print(data.read_kspace("scan.h5", "kspace", 1).shape)
    (4, 6, 8)
    """
    path = require_file(path)
    with hdf5_files.open_hdf5(path) as file:
        where, stored = _stored_hdf5(path, file, key)
        pair, compound = stored.dtype.kind == "f", hdf5_files.is_complex_pair(stored.dtype)
        ndim = len(stored.shape) - pair
        if (stored.dtype.kind not in "fc" and not compound) or ndim not in (3, 4) or (
            pair and stored.shape[-1] != 2):  # fmt: skip
            raise ValueError(
                f"{where} has shape {stored.shape} and dtype {stored.dtype}, expected "
                "(slices, coils, rows, columns) or (coils, rows, columns), complex, compound of "
                "two floats or real with a trailing axis of length 2."
            )
        if index is not None and not isinstance(index, numbers.Integral):
            raise TypeError(f"index is {index!r}, expected a whole number.")
        if index is not None and not -len(stored) <= index < len(stored):
            raise ValueError(
                f"index is {index}, expected between 0 and {len(stored) - 1}; {where} has "
                f"{len(stored)} items along its first axis."
            )
        kspace = hdf5_files.read(where, stored, () if index is None else index, limits)
    if compound:
        pair, kspace = True, np.stack([kspace[name] for name in kspace.dtype.names], axis=-1)
    require_finite(where, kspace)
    if pair:
        single = kspace.dtype.itemsize <= 4
        kspace = (kspace[..., 0] + 1j * kspace[..., 1]).astype("complex64" if single else complex)
    return kspace.astype(kspace.dtype.newbyteorder("="), copy=False)
