"""Images of DICOM files, right side up, in physical units.

Needs pydicom, and decoders for compressed files: ``pip install "odl_learned[dicom]"``.
"""

import warnings
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from odl_learned.data.dicom.attributes import attribute, numbers_of, plain
from odl_learned.data.dicom.files import open_dicom, require_file
from odl_learned.data.dicom.pixels import stored_values
from odl_learned.data.dicom.values import physical_values
from odl_learned.data.files.limits import Limits, require_limits
from odl_learned.data.orientation import from_rows
from odl_learned.validation import require_finite


class Image(NamedTuple):
    """An image with what is known about it.

    ``array`` has the shape (nx, ny); ``pixel_mm`` are the sides (x, y) of a pixel in millimeters or
    None; ``modality`` is "CT" or "MR", for example; ``unit`` is that of the values, such as "HU",
    "Gy" or "BQML", and empty where it is unknown or arbitrary.

    Examples
    --------
    >>> import pydicom.data
    >>> from odl_learned import data
    >>> path = pydicom.data.get_testdata_file("CT_small.dcm")
    >>> image = data.read_dicom(path)
    >>> isinstance(image, data.Image)
    True
    >>> print(image.array.shape, image.modality, image.unit)
    (128, 128) CT HU
    """

    array: np.ndarray
    pixel_mm: tuple[float, float] | Any
    modality: str
    unit: str = ""


def directions(path, orientation):
    """Unit vectors along a row and along a column, in the coordinates of the patient."""
    both = numbers_of(path, "ImageOrientationPatient", orientation, 6).reshape(2, 3)
    # Rounded to three decimals, or more, as scanners write them: |d| and <d, e> are off by 1e-3.
    if not np.allclose(both @ both.T, np.eye(2), rtol=0, atol=1e-2):
        raise ValueError(
            f"ImageOrientationPatient of {path} is {both.reshape(-1).tolist()}, expected two "
            "orthogonal unit vectors. Correct or delete it with pydicom."
        )
    return both


def slice_normal(along_row, along_column):
    """Normal of the slice, pointing to the head, to the back or to the left."""
    normal = np.cross(along_row, along_column)
    return normal * np.sign(normal[np.argmax(np.abs(normal))])


def pixel_sides(path, dataset, frame):
    """Sides (x, y) of a pixel as stored, in millimeters; None, with a warning, if nonsense."""
    spacing = attribute(path, dataset, "PixelSpacing", frame)  # between rows, between columns
    if spacing is None:
        aspect = plain(path, dataset, "PixelAspectRatio")
        if aspect is not None and np.ptp(numbers_of(path, "PixelAspectRatio", aspect, 2)):
            warnings.warn(
                f"{path} has pixels of the aspect ratio {aspect} (vertical, horizontal), and no "
                "sides in millimeters; square pixels would distort it.",
                stacklevel=3,
            )
        return None
    try:
        between_rows, between_columns = numbers_of(path, "PixelSpacing", spacing, 2)
    except ValueError:
        between_rows = between_columns = 0.0
    if not min(between_rows, between_columns) > 0:
        warnings.warn(
            f"PixelSpacing of {path} is {spacing}, expected two positive numbers; the sides of a "
            "pixel are unknown, pixel_mm is None.",
            stacklevel=3,
        )
        return None
    return float(between_columns), float(between_rows)


def _upright(image, pixel_mm, along_row, along_column):
    """Transpose and flip a picture (rows, columns) so that the patient stands or lies as usual.

    In the coordinates of the patient (x to the left, y to the back, z to the head) the picture
    should run, to the right and downwards: axial (+x, +y), coronal (+x, -z), sagittal (+y, -z).
    """
    plane = np.argmax(np.abs(slice_normal(along_row, along_column)))
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


def read_dicom(
    path: str | PathLike, index: int | None = None, limits: Limits = Limits()
) -> Image:
    """Read an image of a DICOM file.

    The values are those of the modality transformation: of the lookup table if there is one, else
    ``slope * stored + intercept``, per frame where the file says so; Hounsfield units for computed
    tomography, and ``scaling * stored`` for doses. The image is turned so that axial slices have
    the front of the patient at the top and the right side of the patient on the left of the
    picture, and that other planes have the head at the top. Files without an orientation are kept
    as stored.

    Parameters
    ----------
    path : str or Path
        File; its suffix does not matter, and it may lack the preamble.
    index : int, optional
        Frame of a multi-frame file; only this frame is decoded.
    limits : Limits, optional
        How much the file may expand to.

    Returns
    -------
    image : Image
        ``array`` of shape (nx, ny) and dtype float32, in the orientation of ODL. Padding outside
        the field of view has the value that the file says, often below -1000. Windows and real
        world value mappings are not applied. ``pixel_mm`` is the spacing in the patient
        (PixelSpacing); spacings at the detector or on film alone give None.

    Warns
    -----
    UserWarning
        If low values are meant to be bright (MONOCHROME1; the values are kept), PixelSpacing is
        not positive, or the file also maps its numbers to other real world values.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a DICOM file, has no gray image, is larger than the limits, cannot be decoded,
        contradicts itself, or has several frames and no index.
    ImportError
        If pydicom is not installed.

    Notes
    -----
    DICOM PS3.3, sections C.7.6.2 (image plane), C.7.6.16 (functional groups of frames), C.8.8.3
    (dose) and C.11.1 (modality lookup table).
    """
    path = require_file(path)
    require_limits(limits)
    dataset = open_dicom(path, limits)
    stored, frame = stored_values(path, dataset, index, limits)
    values, unit = physical_values(path, dataset, stored, frame)
    with np.errstate(over="ignore"):
        picture = values.astype(np.float32)
    require_finite(f"the image of {path}", picture)
    pixel_mm = pixel_sides(path, dataset, frame)
    orientation = attribute(path, dataset, "ImageOrientationPatient", frame)
    if orientation is not None:
        picture, pixel_mm = _upright(picture, pixel_mm, *directions(path, orientation))
    return Image(from_rows(picture), pixel_mm, str(plain(path, dataset, "Modality") or ""), unit)
