"""All files of pydicom and pydicom-data: read as pydicom reads them, or refused for a reason."""

import fnmatch
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from odl_learned.data import read_dicom, to_rows

pydicom = pytest.importorskip("pydicom")
data_store = pytest.importorskip("data_store")
from dicom_outcomes import READ, REFUSED  # noqa: E402

FOLDERS = [Path(pydicom.__file__).parent / "data/test_files",
           Path(data_store.__path__[0]) / "data"]  # fmt: skip
FILES = {path.relative_to(folder).as_posix(): path
         for folder in FOLDERS for path in sorted(folder.rglob("*"))
         if path.is_file() and path.suffix not in (".py", ".pyc")}  # fmt: skip


def outcomes(table):
    """Names of files and what the table says of them; exact names before patterns."""
    return [(name, what) for what, patterns in table.items() for name in FILES
            if any(fnmatch.fnmatch(name, pattern) for pattern in patterns.split())]  # fmt: skip


def expected(dataset, frame):
    """The picture by pydicom: decoded, and then by the modality transformation of the file."""
    pixels = dataset.pixel_array
    pixels = pixels if pixels.ndim == 2 else pixels[frame]
    if "DoseGridScaling" in dataset:
        return pixels * float(dataset.DoseGridScaling)
    groups = [dataset.get(f"{name}FunctionalGroupsSequence") for name in ("PerFrame", "Shared")]
    for group in [*(groups[0] or [])[frame : frame + 1], *(groups[1] or [])]:
        if "PixelValueTransformationSequence" in group:
            dataset = group.PixelValueTransformationSequence[0]
    return pydicom.pixels.apply_modality_lut(pixels, dataset)


def turned(picture, orientation):
    """The turn or reflection whose rows and columns run as usual, the best of all eight.

    Axial to the left and the back of the patient, coronal to the left and down, sagittal to the
    back and down.
    """
    row, column = np.reshape(orientation, (2, 3))
    plane = int(np.argmax(np.abs(np.cross(row, column))))
    right, down = [((0, 1, 0), (0, 0, -1)), ((1, 0, 0), (0, 0, -1)), ((1, 0, 0), (0, 1, 0))][plane]
    choices = []
    for transposed in (False, True):
        for a in (1, -1):
            for b in (1, -1):
                to, along = (column, row) if transposed else (row, column)
                turned = (picture.T if transposed else picture)[::b, ::a]
                choices.append((np.dot(a * to, right) + np.dot(b * along, down), turned))
    return max(choices, key=lambda choice: choice[0])[1]


def orientation_of(dataset, frame):
    for name in ("PerFrame", "Shared"):
        groups = dataset.get(f"{name}FunctionalGroupsSequence") or []
        for group in groups[frame : frame + 1] if name == "PerFrame" else groups:
            if "PlaneOrientationSequence" in group:
                return group.PlaneOrientationSequence[0].ImageOrientationPatient
    return dataset.get("ImageOrientationPatient")


def test_every_file_has_one_outcome():
    names = [name for name, _ in outcomes(READ) + outcomes(REFUSED)]
    assert sorted(names) == sorted(FILES) and len(FILES) == 244


@pytest.mark.parametrize(("name", "what"), outcomes(READ), ids=lambda value: str(value)[-40:])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_that_are_read(name, what):
    shape, modality, unit = what
    dataset = pydicom.dcmread(FILES[name], force=True)
    for frame in (0, -1) if len(shape) == 3 else (None,):
        image = read_dicom(FILES[name], frame)
        assert (image.array.shape, image.modality, image.unit) == (shape[-2:], modality, unit)
        number = 0 if frame is None else frame % shape[0]
        picture, orientation = expected(dataset, number), orientation_of(dataset, number)
        picture = picture if orientation is None else turned(picture, orientation)
        # Both round the same operations in double precision to single precision.
        assert np.array_equal(to_rows(image.array), picture.astype(np.float32))


@pytest.mark.parametrize(("name", "message"), outcomes(REFUSED), ids=lambda value: value[-40:])
def test_files_that_are_refused(name, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError) as caught:
            read_dicom(FILES[name])
    assert re.search(message, str(caught.value)) and "\n" not in str(caught.value)
