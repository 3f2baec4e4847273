"""Folders of DICOM files: the slices of one series, sorted by position."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from odl_learned.data.dicom import attribute, open_dicom, read_dicom, slice_normal


class Stack(NamedTuple):
    """Images of shape (slices, nx, ny), pixel sides (x, y), distance of slices, and modality."""

    array: np.ndarray
    pixel_mm: tuple[float, float] | None
    slice_mm: float | None
    modality: str


def read_dicom_folder(path):
    """Read the slices of one series, sorted by position.

    From the feet to the head for axial slices, from front to back for coronal ones, and from
    right to left for sagittal ones. Files without the suffix .dcm that are no images are skipped.

    Parameters
    ----------
    path : str or Path
        Folder; subfolders are not searched.

    Returns
    -------
    stack : Stack
        ``array`` of shape (slices, nx, ny), float32; ``slice_mm`` is the median distance of
        slices, None for a single one.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    ValueError
        If there are no DICOM images, several series, different shapes, or slices without a
        position or with the same one.
    ImportError
        If pydicom is not installed.
    """
    path = Path(path)
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder; for one file use data.read_dicom.")
    slices = {file: header for file in sorted(path.iterdir()) if (header := _header(file))}
    if not slices:
        raise ValueError(f"{path} contains no DICOM images; expected the files of one series.")
    series = {}
    for header in slices.values():
        name = f"{header.get('SeriesInstanceUID', '')} ({header.get('SeriesDescription', '')})"
        series[name] = series.get(name, 0) + 1
    if len(series) > 1:
        found = "; ".join(f"{name}: {count} files" for name, count in series.items())
        raise ValueError(
            f"{path} contains {len(series)} series, expected one: {found}. "
            "Move each series into its own folder."
        )
    position = {file: _position(file, header) for file, header in slices.items()}
    files = sorted(slices, key=position.get)
    distances = np.diff([position[file] for file in files])
    if np.any(distances < 1e-3):
        at = int(np.argmin(distances))
        raise ValueError(
            f"{files[at].name} and {files[at + 1].name} are at the same position "
            f"{position[files[at]]:g} mm; expected one image per position. Move repetitions or "
            "echoes into folders of their own."
        )
    images = [read_dicom(file) for file in files]
    shapes = {image.array.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(f"{path} contains images of the shapes {shapes}, expected a single one.")
    slice_mm = float(np.median(distances)) if len(files) > 1 else None
    stack = np.stack([image.array for image in images])
    return Stack(stack, images[0].pixel_mm, slice_mm, images[0].modality)


def _header(file):
    """The header of a DICOM image; None for other files that do not claim to be one."""
    if not file.is_file():
        return None
    try:
        header = open_dicom(file, stop_before_pixels=True)
    except ValueError:
        if file.suffix.lower() == ".dcm":
            raise
        return None
    return header if "Rows" in header else None


def _position(file, header):
    """Position of a slice along its normal, in millimeters."""
    place = attribute(header, "ImagePositionPatient", 0)
    orientation = attribute(header, "ImageOrientationPatient", 0)
    if place is not None and orientation is not None:
        return float(slice_normal(orientation) @ np.asarray(place, dtype=float))
    if header.get("SliceLocation") is not None:
        return float(header.SliceLocation)
    raise ValueError(
        f"{file} has neither ImagePositionPatient nor SliceLocation, expected one of them to sort "
        "slices by; read such files one at a time with data.read_dicom."
    )
