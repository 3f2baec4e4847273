"""DICOM: every stored orientation of a known volume comes out upright; real examples; refusals."""

import sys

import numpy as np
import pytest

from odl_learned.data import (
    example_ct,
    example_mr,
    from_rows,
    read_dicom,
    read_dicom_folder,
    read_image,
)

pydicom = pytest.importorskip("pydicom")
from dicom_files import write  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402

AXES = {"left": (1, 0, 0), "back": (0, 1, 0), "head": (0, 0, 1)}
PLANES = {"axial": ("left", "back"), "coronal": ("left", "head"), "sagittal": ("back", "head")}


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
    with pytest.raises(ValueError, match="holds no pixels, it is CT Image.*with its pixels"):
        read_dicom(file)
    write(file, np.zeros((3, 4)), SamplesPerPixel=3)
    with pytest.raises(ValueError, match="3 samples per pixel"):
        read_dicom(file)


def without_preamble(path, syntax):
    """The bytes of a file without its preamble and its group 2, in this transfer syntax."""
    dataset = pydicom.dcmread(path)
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    if not syntax.is_little_endian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    pydicom.filewriter.write_dataset(buffer, dataset)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.dcm", "a.DICOM", "a.ima", "a.IMA", "a", "a.1", "I0001.00"])
@pytest.mark.parametrize("syntax", [None, "ImplicitVRLittleEndian", "ExplicitVRLittleEndian",
                                    "ExplicitVRBigEndian"])  # fmt: skip
def test_files_are_recognized_by_suffix_or_contents(tmp_path, name, syntax):
    stored = np.arange(12).reshape(3, 4) - 300
    path = tmp_path / name
    write(path, stored, SliceLocation=0)
    if syntax is not None:
        path.write_bytes(without_preamble(path, getattr(pydicom.uid, syntax)))
    assert np.array_equal(read_image(path), from_rows(stored))
    assert np.array_equal(read_dicom(path).array, from_rows(stored))
    assert read_dicom_folder(tmp_path).array.shape == (1, 4, 3)
    with pytest.raises(ValueError, match="key is 'a', expected None: DICOM files hold one array"):
        read_image(path, "a")


def test_other_files_are_not_taken_for_dicom(tmp_path):
    for content in (b"", b"\x08\x00", b"\x08\x00\x05\x00CS", b"\x08\x00\x90\x00\x02\x00\x00\x00ab",
                    b"\x08\x00\x05\x00\x02\x00\x00\x10ab", b"DICM", bytes(200)):
        (tmp_path / "a.raw").write_bytes(content)
        with pytest.raises(ValueError, match="suffix '.raw', expected .npy.* or a DICOM file"):
            read_image(tmp_path / "a.raw")
        with pytest.raises(ValueError, match="is not a readable DICOM file"):
            read_dicom(tmp_path / "a.raw")
    (tmp_path / "a.raw").write_bytes(b"\x08\x00\x08\x00\x02\x00\x00\x00ab")
    with pytest.raises(ValueError, match="does not say what it is"):
        read_image(tmp_path / "a.raw")


@pytest.mark.parametrize(("syntax", "message"), [
    (pydicom.uid.JPEGLosslessSV1, r"compressed as JPEG Lossless.*odl_learned\[dicom\]"),
    (pydicom.uid.JPEGLSLossless, r"compressed as JPEG-LS Lossless.*odl_learned\[dicom\]"),
    (pydicom.uid.MPEG2MPML, "stored as MPEG2 Main Profile.*, which pydicom does not read"),
])  # fmt: skip
def test_missing_decoders_are_not_damaged_files(tmp_path, monkeypatch, syntax, message):
    frame = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    write(tmp_path / "a.dcm", np.zeros((3, 4)), PixelData=frame, transfer_syntax=syntax)
    if syntax.is_compressed and "MPEG2" not in syntax.name:
        decoder = type(pydicom.pixels.get_decoder(syntax))
        monkeypatch.setattr(decoder, "is_available", property(lambda self: False))
    with pytest.raises(ValueError, match=message):
        read_dicom(tmp_path / "a.dcm")


def test_directories_of_media_name_the_next_step(tmp_path):
    with pytest.raises(ValueError, match="is a DICOMDIR, a list of the files.*Choose one"):
        read_image(pydicom.data.get_testdata_file("DICOMDIR"))


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
