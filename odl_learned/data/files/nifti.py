"""Volumes of NIfTI files, the patient lying as in DICOM series."""

import gzip
import math
import zlib
from os import PathLike

import numpy as np

from odl_learned.data.dicom.files import require_file
from odl_learned.data.dicom.series import Stack
from odl_learned.data.files.limits import Limits, require_limits
from odl_learned.data.files.selection import item_of
from odl_learned.validation import require_finite, require_real

SUFFIXES = ".nii", ".nii.gz"
#: Most bytes before the numbers: the header and its extensions.
LARGEST_OFFSET = 2**24


def is_nifti(path):
    """Whether the name of a file is that of a NIfTI volume."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: str | PathLike, limits: Limits = Limits()) -> Stack:
    """Read a volume as axial slices, in the orientation of `read_dicom_folder`.

    Slices run from the feet to the head; in each, x runs to the left of the patient and y, upward,
    to the front. The axes of the file are permuted and reversed as its affine map says, to the
    nearest such axes.

    Parameters
    ----------
    path : str or Path
        File with the suffix .nii or .nii.gz, of one volume.
    limits : Limits, optional
        How much the file may expand to.

    Returns
    -------
    stack : Stack
        ``array`` of shape (slices, nx, ny), float32, with slope and intercept of the file applied;
        sides of pixels and distance of slices in millimeters, None where the file says no unit of
        length; the modality is not known, and empty.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, is larger than the limits, holds several volumes or colors, has
        no affine map, or values are not finite.
    TypeError
        If the values are complex.
    ImportError
        If nibabel is not installed.

    References
    ----------
    Cox, R. W. et al. A (sort of) new image data format standard: NIfTI-1. NeuroImage 22 (2004).
    """
    path = require_file(path)
    volume, axes, flips = _open(path, limits)
    shape = [volume.shape[axis] for axis in axes]
    limits.require(str(path), 8 * math.prod(shape), 8 * path.stat().st_size)
    array = _upright(_read(path, volume, ()), axes, flips)
    to_mm = _millimeters(volume)
    zooms = [0.0 if to_mm is None else float(volume.header.get_zooms()[axis]) * to_mm
             for axis in axes]  # fmt: skip
    known = min(zooms) > 0
    return Stack(_single(str(path), array), (zooms[0], zooms[1]) if known else None,
                 zooms[2] if known and shape[2] > 1 else None, "")


def read_slice(path, index, limits):
    """One axial slice of a file, float32, in the orientation of ODL."""
    volume, axes, flips = _open(path, limits)
    count = volume.shape[axes[2]]
    shape = tuple(volume.shape[axis] for axis in (axes[2], *axes[:2]))
    item = 0 if count == 1 and index is None else item_of(str(path), shape, index)
    item = count - 1 - item if flips[2] else item
    places = tuple(slice(item, item + 1) if axis == axes[2] else slice(None) for axis in range(3))
    return _single(str(path), _upright(_read(path, volume, places), axes, flips)[0])


def _open(path, limits):
    """The volume, not yet read, and for x, y and z its axis and whether it is reversed."""
    require_limits(limits)
    try:
        import nibabel
    except ImportError as error:
        raise ImportError(
            'NIfTI files need nibabel; install it with pip install "odl_learned[nifti]".'
        ) from error
    _require_offset(path)
    try:
        volume = nibabel.load(path, mmap=False)
        ornt = nibabel.orientations.io_orientation(volume.affine)
    except Exception as error:  # headers with nonsense raise what the fields run into
        raise _broken(path, error) from error
    dtype, shape = volume.get_data_dtype(), volume.shape
    if dtype.names:
        raise ValueError(f"{path} holds colors, expected one number for each voxel; store one "
                         "channel.")
    if len(shape) != 3 and not (len(shape) > 3 and math.prod(shape[3:]) == 1):
        raise ValueError(f"{path} has shape {shape}, expected three axes, one volume; split it, "
                         "for example with nibabel.four_to_three.")
    if min(shape) < 1 or not np.isfinite(ornt).all():
        raise ValueError(f"{path} has shape {shape} and the affine map {volume.affine.tolist()}, "
                         "expected voxels and three directions; correct its header.")
    limits.require(str(path), math.prod(shape) * dtype.itemsize, path.stat().st_size)
    axes = [int(np.flatnonzero(ornt[:, 0] == direction)[0]) for direction in range(3)]
    # nibabel's directions are right, front and head; ours are left, front and head.
    flips = [ornt[axis, 1] * sign < 0 for axis, sign in zip(axes, (-1, 1, 1), strict=True)]
    return volume, axes, flips


def _require_offset(path):
    """Raise ValueError if the numbers begin so far into the file that headers would take memory."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as stream:
            head = stream.read(352)
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, error) from error
    for order in "<>":
        size = int(np.frombuffer(head[:4].ljust(4, b"\0"), f"{order}i4")[0])
        place, kind = {348: (108, "f4"), 540: (168, "i8")}.get(size, (0, ""))
        if kind and len(head) == 352:
            offset = float(np.frombuffer(head, f"{order}{kind}", 1, place)[0])
            if not 0 <= offset <= LARGEST_OFFSET:
                raise ValueError(f"{path} has its numbers after {offset:g} bytes, expected at most "
                                 f"{LARGEST_OFFSET}; write the file again.")
            return
    raise _broken(path, "it does not begin with a header of NIfTI")


def _read(path, volume, places):
    """The numbers, scaled as the file says, with three axes."""
    try:
        more = (0,) * (len(volume.shape) - 3)
        return np.asarray(volume.dataobj[(*(places or (slice(None),) * 3), *more)])
    except Exception as error:  # files that end too early, by whichever library reads them
        raise _broken(path, error) from error


def _upright(array, axes, flips):
    """Axes (slices, x, y), reversed where they run the other way."""
    array = np.transpose(array, (axes[2], axes[0], axes[1]))
    reverse = [slice(None, None, -1 if flip else 1) for flip in (flips[2], flips[0], flips[1])]
    if array.shape[0] == 1:  # a single slice, which was chosen
        reverse[0] = slice(None)
    return array[tuple(reverse)]


def _single(name, array):
    require_real(name, array)
    require_finite(name, array)
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array, dtype=np.float32)
    require_finite(f"{name} in single precision", single)
    return single


def _millimeters(volume):
    """Millimeters in the unit of length of a volume, or None."""
    unit = volume.header.get_xyzt_units()[0]
    return {"meter": 1e3, "mm": 1.0, "micron": 1e-3}.get(unit)


def _broken(path, error):
    reason = " ".join(str(error).split())[:300]
    return ValueError(f"{path} is not a readable NIfTI file ({reason}); copy it again, or write it "
                      "with nibabel.")
