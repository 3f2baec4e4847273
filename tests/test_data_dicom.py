"""DICOM: every stored orientation of a known volume comes out upright; real examples; refusals."""

import sys

import numpy as np
import pytest

from odl_learned.data import example_ct, example_mr, from_rows, read_dicom, read_dicom_folder

pydicom = pytest.importorskip("pydicom")
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid  # noqa: E402

AXES = {"left": (1, 0, 0), "back": (0, 1, 0), "head": (0, 0, 1)}
PLANES = {"axial": ("left", "back"), "coronal": ("left", "head"), "sagittal": ("back", "head")}
SERIES = generate_uid()


def write(path, pixels, row=None, column=None, place=(0, 0, 0), **attributes):
    """Write a picture (rows, columns), optionally with directions along rows and columns."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID, dataset.Modality, dataset.SeriesInstanceUID = CTImageStorage, "CT", SERIES
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    pixels = np.asarray(pixels, dtype=np.int16)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelData = pixels.tobytes()
    if row is not None:
        dataset.ImageOrientationPatient = [float(v) for v in (*row, *column)]
        dataset.ImagePositionPatient = [float(v) for v in place]
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def orientations():
    for plane, (first, second) in PLANES.items():
        for a in (1, -1):
            for b in (1, -1):
                yield plane, a * np.array(AXES[first]), b * np.array(AXES[second])
                yield plane, b * np.array(AXES[second]), a * np.array(AXES[first])


@pytest.mark.parametrize(("plane", "row", "column"), list(orientations()))
def test_every_orientation_comes_out_upright(plane, row, column, tmp_path):
    # The pixel (r, c) is at c row + r column; store a function of the place in the patient.
    r, c = np.meshgrid(np.arange(4), np.arange(5), indexing="ij")
    tilt = np.cross(row, column)
    row, column = (v + 0.1 * tilt for v in (row, column))  # oblique by six degrees
    place = c[..., None] * row + r[..., None] * column
    stored = np.rint(place @ [10, 20, 40]).astype(int)
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    write(tmp_path / "a.dcm", stored, row, column, PixelSpacing=[2.0, 3.0])
    image = read_dicom(tmp_path / "a.dcm")
    # In the picture of an axial slice the left of the patient is on the right and the front at
    # the top; otherwise the head is at the top and the back of sagittal slices on the right.
    x_slope, y_slope = {"axial": (10, -20), "coronal": (10, 40), "sagittal": (20, 40)}[plane]
    oblique = 0.1 * (10 + 20 + 40) + 1
    assert np.all(np.abs(np.diff(image.array, axis=0) - x_slope) <= oblique)
    assert np.all(np.abs(np.diff(image.array, axis=1) - y_slope) <= oblique)
    transposed = image.array.shape == (4, 5)
    assert image.array.shape == ((4, 5) if transposed else (5, 4))
    assert image.pixel_mm == ((2.0, 3.0) if transposed else (3.0, 2.0))


def test_rescale_and_missing_orientation(tmp_path):
    stored = np.arange(12).reshape(3, 4)
    write(tmp_path / "a", stored, RescaleSlope=2, RescaleIntercept=-1024)
    image = read_dicom(str(tmp_path / "a"))
    assert np.array_equal(image.array, from_rows(2.0 * stored - 1024))
    assert image.array.dtype == np.float32
    assert image.pixel_mm is None and image.modality == "CT"


def test_frames_of_enhanced_files(tmp_path):
    def group(orientation, intercept):
        plane, rescale, item = Dataset(), Dataset(), Dataset()
        plane.ImageOrientationPatient = orientation
        rescale.RescaleSlope, rescale.RescaleIntercept = 1, intercept
        item.PlaneOrientationSequence = [plane]
        item.PixelValueTransformationSequence = [rescale]
        return item

    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = [2.0, 3.0]
    shared.PixelMeasuresSequence = [measures]
    frames = np.arange(24).reshape(2, 3, 4)
    groups = [group([1, 0, 0, 0, 1, 0], 0), group([1, 0, 0, 0, -1, 0], 100)]
    write(
        tmp_path / "a.dcm", frames, NumberOfFrames=2,
        SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=groups,
    )  # fmt: skip
    first, second = (read_dicom(tmp_path / "a.dcm", index=i) for i in (0, 1))
    assert np.array_equal(first.array, from_rows(frames[0])) and first.pixel_mm == (3.0, 2.0)
    assert np.array_equal(second.array, from_rows(frames[1][::-1] + 100))
    with pytest.raises(ValueError, match="stack of 2 images and index is None"):
        read_dicom(tmp_path / "a.dcm")


def test_folder_is_sorted_by_position(tmp_path):
    for name, z in (("a", 5.0), ("b.dcm", -5.0), ("c", 0.0)):
        write(tmp_path / name, np.full((3, 4), z), (1, 0, 0), (0, -1, 0), (7, 8, z),
              PixelSpacing=[1, 2])  # fmt: skip
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder").mkdir()
    stack = read_dicom_folder(tmp_path)
    assert stack.array.shape == (3, 4, 3)
    assert np.array_equal(stack.array[:, 0, 0], [-5, 0, 5])
    assert stack.slice_mm == 5.0 and stack.pixel_mm == (2.0, 1.0) and stack.modality == "CT"


def test_folder_falls_back_to_slice_location(tmp_path):
    for name, z in (("a.dcm", 2.0), ("b.dcm", 1.0)):
        write(tmp_path / name, np.full((3, 4), z), SliceLocation=z)
    assert np.array_equal(read_dicom_folder(tmp_path).array[:, 0, 0], [1, 2])


def test_folder_refusals(tmp_path):
    with pytest.raises(NotADirectoryError, match="is not a folder"):
        read_dicom_folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="contains no DICOM images"):
        read_dicom_folder(tmp_path)
    axial = ((1, 0, 0), (0, 1, 0))
    write(tmp_path / "a.dcm", np.zeros((3, 4)), *axial)
    write(tmp_path / "b.dcm", np.zeros((3, 4)), *axial)
    with pytest.raises(ValueError, match="a.dcm and b.dcm are at the same position 0 mm"):
        read_dicom_folder(tmp_path)
    write(tmp_path / "b.dcm", np.zeros((3, 4)), *axial, (0, 0, 1), SeriesInstanceUID="1.2.3",
          SeriesDescription="scout")  # fmt: skip
    with pytest.raises(ValueError, match=r"2 series, expected one: .*1\.2\.3 \(scout\): 1 files"):
        read_dicom_folder(tmp_path)
    write(tmp_path / "b.dcm", np.zeros((5, 4)), *axial, (0, 0, 1))
    with pytest.raises(ValueError, match="images of the shapes"):
        read_dicom_folder(tmp_path)
    write(tmp_path / "b.dcm", np.zeros((3, 4)))
    with pytest.raises(ValueError, match="neither ImagePositionPatient nor SliceLocation"):
        read_dicom_folder(tmp_path)
    (tmp_path / "b.dcm").write_bytes(b"broken")
    with pytest.raises(ValueError, match="not a readable DICOM file"):
        read_dicom_folder(tmp_path)


def test_file_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_dicom(tmp_path / "a.dcm")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read_dicom(tmp_path)
    file = tmp_path / "a.dcm"
    file.write_bytes(b"")
    with pytest.raises(ValueError, match="not a readable DICOM file"):
        read_dicom(file)
    write(file, np.zeros((30, 40)))
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ValueError, match="cannot be decoded"):
        read_dicom(file)
    write(file, np.zeros((3, 4)), PixelData=None)
    with pytest.raises(ValueError, match="cannot be decoded"):
        read_dicom(file)
    write(file, np.zeros((3, 4)), SamplesPerPixel=3)
    with pytest.raises(ValueError, match="3 samples per pixel"):
        read_dicom(file)


def test_missing_packages_are_named(tmp_path, monkeypatch):
    write(tmp_path / "a.dcm", np.zeros((3, 4)))
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "pydicom", None)
        with pytest.raises(ImportError, match=r'pip install "odl_learned\[dicom\]"'):
            read_dicom(tmp_path / "a.dcm")
    monkeypatch.setitem(sys.modules, "data_store", None)
    with pytest.raises(ImportError, match=r'pydicom-data.*odl_learned\[demo\]'):
        example_ct()


def test_example_ct_is_upright():
    pytest.importorskip("data_store")
    from scipy.ndimage import gaussian_filter, label

    image = example_ct()
    hu = image.array
    assert hu.shape == (512, 512) and image.modality == "CT"
    assert image.pixel_mm == (0.859375, 0.859375)
    body = np.argwhere((hu > -50) & (hu < 200)).mean(axis=0)
    bone = np.argwhere(hu > 500).mean(axis=0)
    assert bone[1] < body[1] - 40 and abs(bone[0] - body[0]) < 10  # the spine: below, in the middle
    regions, _ = label((smooth := gaussian_filter(hu, 4)) > 80)
    largest = 1 + np.argmax(np.bincount(regions.ravel())[1:])
    liver = np.argwhere((regions == largest) & (smooth < 150)).mean(axis=0)
    assert liver[0] < body[0] - 40  # on the left of the picture


def test_example_mr_is_upright():
    pytest.importorskip("data_store")
    image = example_mr()
    assert image.array.shape == (1024, 1024) and image.modality == "MR"
    # Padding below and above, in the value that the rescale intercept gives to zero.
    assert image.array[:, 15:95].max() < 1e-3 and image.array[:, -95:-15].max() < 1e-3
    assert (image.array[:, 103:-103] > 1e-3).mean() > 0.95
    # The head of the humerus, round, is above its shaft: bright columns get narrower downwards.
    left = image.array[250:600]
    assert (left[:, 560:640] > 1000).mean() > 1.2 * (left[:, 160:240] > 1000).mean()
