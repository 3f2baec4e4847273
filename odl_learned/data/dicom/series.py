"""Folders of DICOM files: the slices of one series, sorted by position."""

import math
from os import PathLike
from typing import NamedTuple

import numpy as np

from odl_learned.data.dicom.attributes import (
    attribute,
    frame_count,
    is_localizer,
    numbers_of,
    plain,
)
from odl_learned.data.dicom.files import SUFFIXES, as_path, is_dicom, open_dicom
from odl_learned.data.dicom.images import directions, read_dicom, slice_normal
from odl_learned.data.files.limits import Limits, require_limits

#: What all slices of a stack have in common.
COMMON = ("Modality", "FrameOfReferenceUID", "Rows", "Columns", "PixelSpacing",
          "ImageOrientationPatient")  # fmt: skip


class Stack(NamedTuple):
    """Images of shape (slices, nx, ny), pixel sides (x, y), distance of slices, modality, unit."""

    array: np.ndarray
    pixel_mm: tuple[float, float] | None
    slice_mm: float | None
    modality: str
    unit: str = ""


def read_dicom_folder(path: str | PathLike, limits: Limits = Limits()) -> Stack:
    """Read the slices of one series, sorted by position.

    From the feet to the head for axial slices, from front to back for coronal ones, and from
    right to left for sagittal ones; slices that only have a SliceLocation are sorted by it. Files
    without a suffix of DICOM that are no images are skipped.

    Parameters
    ----------
    path : str or Path
        Folder; subfolders are not searched.
    limits : Limits, optional
        How much each file may expand to; ``max_bytes`` also bounds the stack.

    Returns
    -------
    stack : Stack
        ``array`` of shape (slices, nx, ny), float32; ``slice_mm`` is the distance of slices,
        None for a single one.

    Warns
    -----
    UserWarning
        As `read_dicom`.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    ValueError
        If there are no DICOM images, several series, localizers among the slices, files of several
        frames, slices of different shapes, spacings, orientations or units, slices that are not
        above each other or at equal distances, or without a position or with the same one.
    ImportError
        If pydicom is not installed.

    Examples
    --------
    >>> import pathlib
    >>> import shutil
    >>> import pydicom.data
    >>> from odl_learned import data
    >>> folder = pathlib.Path("patient")
    >>> folder.mkdir()
    >>> path = pydicom.data.get_testdata_file("CT_small.dcm")
    >>> copied = shutil.copy(path, folder / "slice.dcm")
    >>> print(data.find_patients("patient"))
    {'1CT1': [PosixPath('patient')]}
    >>> stack = data.read_dicom_folder("patient")
    >>> isinstance(stack, data.Stack)
    True
    """
    path = as_path(path)
    require_limits(limits)
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder; for one file use data.read_dicom.")
    headers = {file: header for file in sorted(path.iterdir())
               if (header := _header(file, limits))}  # fmt: skip
    if not headers:
        raise ValueError(f"{path} contains no DICOM images; expected the files of one series.")
    _require_one_series(path, headers)
    _require_slices_alike(headers)
    place = _places(headers)
    files = sorted(headers, key=lambda file: place[file][2])
    slice_mm = _distance(files, np.array([place[file] for file in files]))
    first = headers[files[0]]
    sides = [numbers_of(files[0], name, plain(files[0], first, name), 1)[0]
             for name in ("Rows", "Columns")]  # fmt: skip
    stored = sum(file.stat().st_size for file in files)
    limits.require(str(path), int(4 * len(files) * math.prod(sides)), stored)
    images = [read_dicom(file, limits=limits) for file in files]
    _require_equal("unit", {file: image.unit for file, image in zip(files, images)})
    stack = np.stack([image.array for image in images])
    return Stack(stack, images[0].pixel_mm, slice_mm, images[0].modality, images[0].unit)


def _header(file, limits):
    """The header of a DICOM image; None for other files that do not claim to be one."""
    if not (file.is_file() and is_dicom(file)):
        return None
    try:
        header = open_dicom(file, limits, stop_before_pixels=True)
    except ValueError:
        if file.suffix.lower() in SUFFIXES:
            raise
        return None
    return header if "Rows" in header else None


def _require_one_series(path, headers):
    series = {}
    for file, header in headers.items():
        uid, text = (plain(file, header, f"Series{word}") or ""
                     for word in ("InstanceUID", "Description"))  # fmt: skip
        name = f"{uid} ({text})"
        series[name] = series.get(name, 0) + 1
    if len(series) > 1:
        found = "; ".join(f"{name}: {count} files" for name, count in series.items())
        raise ValueError(
            f"{path} contains {len(series)} series, expected one: {found}. "
            "Move each series into its own folder."
        )


def _require_slices_alike(headers):
    for file, header in headers.items():
        if frame_count(file, header) > 1:
            raise ValueError(
                f"{file} has {frame_count(file, header)} frames, expected files of one slice each; "
                "read its frames with data.read_dicom(path, index)."
            )
    _require_equal("LOCALIZER in ImageType", {file: is_localizer(file, header)
                                              for file, header in headers.items()})  # fmt: skip
    for name in COMMON:
        _require_equal(name, {file: attribute(file, header, name, 0)
                              for file, header in headers.items()})  # fmt: skip


def _require_equal(name, values):
    """Raise ValueError that names the first file whose value differs from that of the first."""
    first, *others = values
    for file in others:
        if not _equal(values[first], values[file]):
            raise ValueError(
                f"{name} is {values[first]} in {first.name} and {values[file]} in {file.name}, "
                "expected one value in all slices; move other images into folders of their own."
            )


def _equal(one, other):
    """Whether two attributes are equal, up to how scanners round numbers."""
    if any(value is None or isinstance(value, (str, int)) for value in (one, other)):
        return one == other
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return one.shape == other.shape and np.ptp([one, other], 0).max() <= 1e-3 * np.abs(one).max()


def _places(headers):
    """Place of every slice: along its rows, along its columns, along its normal, in millimeters."""
    places = {}
    for file, header in headers.items():
        place = attribute(file, header, "ImagePositionPatient", 0)
        orientation = attribute(file, header, "ImageOrientationPatient", 0)
        if place is not None and orientation is not None:
            axes = directions(file, orientation)
            corner = numbers_of(file, "ImagePositionPatient", place, 3)
            places[file] = np.array([*(axes @ corner), slice_normal(*axes) @ corner])
    if places and len(places) < len(headers):
        file = next(file for file in headers if file not in places)
        raise ValueError(
            f"{file} has no ImagePositionPatient, and other slices do; expected it in all. Move "
            "the file away, or read files one at a time with data.read_dicom."
        )
    for file, header in {} if places else headers.items():
        location = plain(file, header, "SliceLocation")
        if location is None:
            raise ValueError(
                f"{file} has neither ImagePositionPatient nor SliceLocation, expected one of them "
                "to sort slices by; read such files one at a time with data.read_dicom."
            )
        places[file] = np.array([0, 0, *numbers_of(file, "SliceLocation", location, 1)])
    return places


def _distance(files, places):
    """Distance of slices, None for a single one; raise if they are no regular stack."""
    if len(files) == 1:
        return None
    heights = places[:, 2]
    gaps = np.diff(heights)
    at = int(np.argmin(gaps))
    if gaps[at] < 1e-3:
        raise ValueError(
            f"{files[at].name} and {files[at + 1].name} are at the same position "
            f"{heights[at]:g} mm; expected one image per position. Move repetitions or "
            "echoes into folders of their own."
        )
    step = (heights[-1] - heights[0]) / (len(files) - 1)
    grid = heights[0] + step * np.arange(len(files))
    # Positions are rounded, so that they may be off the grid a little. If the slice after number j
    # of n is missing, numbers j and j + 1 are j / n and (n - 2 - j) / n of a step off: for n > 2
    # one of them by a quarter at least, the least being that of n = 4, j = 1.
    if np.any(np.abs(heights - grid) > 0.2 * step):
        at = int(np.argmax(gaps))
        raise ValueError(
            f"{files[at].name} and {files[at + 1].name} are {gaps[at]:g} mm apart, other slices "
            f"{np.median(np.delete(gaps, at)):g} mm; expected equal distances. Add the slices that "
            "are missing, or read files one at a time with data.read_dicom."
        )
    drift = np.abs(places[:, :2] - places[0, :2]).max()
    if drift > 0.1 + 0.01 * (heights[-1] - heights[0]):
        raise ValueError(
            f"the corners of the slices move by {drift:g} mm within their planes, expected slices "
            "above each other; the gantry was tilted, or the field of view moved. Read files one "
            "at a time with data.read_dicom."
        )
    return float(step)
