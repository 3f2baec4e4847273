"""Images of DICOM files, right side up, in physical units.

Needs pydicom, and Pillow for compressed files: ``pip install "odl_learned[dicom]"``.
"""

import numbers
from pathlib import Path
from typing import NamedTuple

import numpy as np

from odl_learned.data.orientation import from_rows
from odl_learned.validation import require_finite


class Image(NamedTuple):
    """An image of shape (nx, ny) with its pixel sides (x, y) in millimeters and its modality."""

    array: np.ndarray
    pixel_mm: tuple[float, float] | None
    modality: str


def _pydicom():
    try:
        import pydicom
    except ImportError as error:
        raise ImportError(
            'DICOM files need pydicom; install it with pip install "odl_learned[dicom]".'
        ) from error
    return pydicom


def require_file(path):
    """The path as a Path; raise FileNotFoundError if it is not a file."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {what}, expected a file; check the path.")
    return path


def _line(error):
    """The message of an error on one line."""
    return " ".join(str(error).split())


def open_dicom(path, stop_before_pixels=False):
    """The dataset of a DICOM file; raise ValueError if it is none."""
    pydicom = _pydicom()
    try:
        return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
    except (pydicom.errors.InvalidDicomError, EOFError, ValueError) as error:
        raise ValueError(
            f"{path} is not a readable DICOM file ({_line(error)}); expected a complete file with "
            "a preamble. Copy or export it again."
        ) from error


def attribute(dataset, name, frame):
    """An attribute of the image, or of one frame of an enhanced multi-frame file; else None."""
    if name in dataset:
        return dataset[name].value
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*frames[frame : frame + 1], *shared]:
        for sequence in group:
            if sequence.VR == "SQ" and len(sequence.value) and name in sequence.value[0]:
                return sequence.value[0][name].value
    return None


def _pixels(path, dataset, index):
    """The stored values of one frame, and the number of the frame."""
    if dataset.get("SamplesPerPixel", 1) != 1:
        raise ValueError(
            f"{path} has {dataset.SamplesPerPixel} samples per pixel, expected one, a gray "
            "image; convert it, or pass one channel as .npy."
        )
    try:
        pixels = dataset.pixel_array
    except Exception as error:  # pydicom and its decoders raise many types
        raise ValueError(
            f"the pixels of {path} cannot be decoded ({_line(error)}); copy the file again, or "
            'install the decoders with pip install "odl_learned[dicom]".'
        ) from error
    return select(pixels, index, str(path))


def select(array, index, name):
    """One image of an array: the array itself, or item ``index`` of a stack."""
    if index is not None and not isinstance(index, numbers.Integral):
        raise TypeError(f"index is {index!r}, expected a whole number, that of an image in {name}.")
    if array.ndim == 2 and index is None:
        return array, 0
    if array.ndim != 3:
        hint = "leave index away" if array.ndim == 2 else "expected an image or a stack of images"
        raise ValueError(f"{name} has shape {array.shape} and index is {index}; {hint}.")
    if index is None or not -len(array) <= index < len(array):
        raise ValueError(
            f"{name} is a stack of {len(array)} images and index is {index}; "
            f"choose an index between 0 and {len(array) - 1}."
        )
    return array[index], index % len(array)


def _directions(orientation):
    """Unit vectors along a row and along a column, in the coordinates of the patient."""
    along_row, along_column = np.asarray(orientation, dtype=float).reshape(2, 3)
    return along_row, along_column


def slice_normal(orientation):
    """Normal of the slice, pointing to the head, to the back or to the left."""
    normal = np.cross(*_directions(orientation))
    return normal * np.sign(normal[np.argmax(np.abs(normal))])


def _upright(image, pixel_mm, orientation):
    """Transpose and flip a picture (rows, columns) so that the patient stands or lies as usual.

    In the coordinates of the patient (x to the left, y to the back, z to the head) the picture
    should run, to the right and downwards: axial (+x, +y), coronal (+x, -z), sagittal (+y, -z).
    """
    along_row, along_column = _directions(orientation)
    plane = np.argmax(slice_normal(orientation))
    right, down = np.array(
        {2: [(1, 0, 0), (0, 1, 0)], 1: [(1, 0, 0), (0, 0, -1)], 0: [(0, 1, 0), (0, 0, -1)]}[plane]
    )
    if abs(along_row @ right) < abs(along_column @ right):
        image, along_row, along_column = image.T, along_column, along_row
        pixel_mm = pixel_mm and pixel_mm[::-1]
    if along_row @ right < 0:
        image = image[:, ::-1]
    if along_column @ down < 0:
        image = image[::-1]
    return image, pixel_mm


def read_dicom(path, index=None):
    """Read an image of a DICOM file.

    ``array = slope * stored + intercept``, in Hounsfield units for computed tomography, turned so
    that axial slices have the front of the patient at the top and the right side of the patient
    on the left of the picture, and that other planes have the head at the top. Files without an
    orientation are kept as stored.

    Parameters
    ----------
    path : str or Path
        File; its suffix does not matter.
    index : int, optional
        Frame of a multi-frame file.

    Returns
    -------
    image : Image
        ``array`` of shape (nx, ny) and dtype float32, in the orientation of ODL; ``pixel_mm`` (x,
        y) in millimeters or None; ``modality`` such as "CT" or "MR". Padding outside the field of
        view has the value that the file says, often below -1000.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a DICOM file, has no gray image, or several frames and no index.
    ImportError
        If pydicom is not installed.

    Notes
    -----
    DICOM PS3.3, sections C.7.6.2 (image plane) and C.11.1 (modality lookup table).
    """
    path = require_file(path)
    return _image(path, open_dicom(path), index)


def _image(path, dataset, index):
    picture, frame = _pixels(path, dataset, index)
    slope = attribute(dataset, "RescaleSlope", frame)
    intercept = attribute(dataset, "RescaleIntercept", frame)
    slope = 1.0 if slope is None else float(slope)
    intercept = 0.0 if intercept is None else float(intercept)
    picture = (picture.astype(np.float64) * slope + intercept).astype(np.float32)
    require_finite(f"the image of {path}", picture)
    spacing = attribute(dataset, "PixelSpacing", frame)  # between rows, between columns
    pixel_mm = None if spacing is None else (float(spacing[1]), float(spacing[0]))
    orientation = attribute(dataset, "ImageOrientationPatient", frame)
    if orientation is not None:
        picture, pixel_mm = _upright(picture, pixel_mm, orientation)
    return Image(from_rows(picture), pixel_mm, str(dataset.get("Modality", "")))
