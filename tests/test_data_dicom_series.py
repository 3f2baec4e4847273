"""Folders of DICOM files: slices in order, and folders that are no regular stack of one series."""

import numpy as np
import pytest

from odl_learned.data import Limits, read_dicom_folder

pytest.importorskip("pydicom")
from dicom_files import write  # noqa: E402

AXIAL = ((1, 0, 0), (0, 1, 0))


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
    with pytest.raises(ValueError, match="Rows is 3 in a.dcm and 5 in b.dcm"):
        read_dicom_folder(tmp_path)
    write(tmp_path / "b.dcm", np.zeros((3, 4)))
    with pytest.raises(ValueError, match="ImageOrientationPatient is .* and None in b.dcm"):
        read_dicom_folder(tmp_path)
    for name in ("a.dcm", "b.dcm"):
        write(tmp_path / name, np.zeros((3, 4)))
    with pytest.raises(ValueError, match="a.dcm has neither ImagePositionPatient nor SliceLoc"):
        read_dicom_folder(tmp_path)
    (tmp_path / "b.dcm").write_bytes(b"broken")
    with pytest.raises(ValueError, match="not a readable DICOM file"):
        read_dicom_folder(tmp_path)




def slices(folder, heights, change=None, **attributes):
    """Write slices at these heights; the keywords change the slice of the number ``change``."""
    for i, z in enumerate(heights):
        extra = attributes if i == change else {}
        row, column, place = extra.pop("geometry", (*AXIAL, (0, 0, z)))
        write(folder / f"{i}.dcm", np.full((3, 4), i), row, column, place,
              **{"PixelSpacing": [1, 1], **extra})  # fmt: skip


@pytest.mark.parametrize(("attributes", "message"), [
    ({"PixelSpacing": [1, 1.01]}, r"PixelSpacing is \[1.0, 1.0\] in 0.dcm and \[1.0, 1.01\] in"),
    ({"PixelSpacing": [2, 2]}, "PixelSpacing"),
    ({"geometry": ((0, 1, 0), (0, 0, -1), (0, 0, 2))}, "ImageOrientationPatient is .* in 2.dcm"),
    ({"geometry": ((0.9848, 0.1736, 0), (-0.1736, 0.9848, 0), (0, 0, 2))}, "ImageOrientation"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "LOCALIZER in ImageType is False in 0"),
    ({"Modality": "MR"}, "Modality is CT in 0.dcm and MR in 2.dcm"),
    ({"FrameOfReferenceUID": "1.2.3"}, "FrameOfReferenceUID is None in 0.dcm and 1.2.3 in 2.dcm"),
    ({"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "Z_EFF"}, "unit is  in 0.* Z_EFF"),
    ({"NumberOfFrames": 3}, "2.dcm has 3 frames, expected files of one slice each"),
    ({"geometry": (*AXIAL, (5, 0, 2))}, "corners of the slices move by 5 mm"),
    ({"geometry": (*AXIAL, (0, 0, 5))}, "1.dcm and 3.dcm are 2 mm apart, other slices 1 mm"),
    ({"geometry": (*AXIAL, (0, 0, 1))}, "1.dcm and 2.dcm are at the same position 1 mm"),
    ({"ImagePositionPatient": None}, "2.dcm has no ImagePositionPatient, and other slices do"),
])  # fmt: skip
def test_one_slice_that_does_not_belong_to_the_stack(tmp_path, attributes, message):
    slices(tmp_path, range(5))
    assert read_dicom_folder(tmp_path).slice_mm == 1
    slices(tmp_path, range(5), 2, **attributes)
    with pytest.raises(ValueError, match=message):
        read_dicom_folder(tmp_path)


@pytest.mark.parametrize("count", [4, 5, 6, 9])
def test_any_missing_slice_is_noticed(tmp_path, count):
    for missing in range(1, count - 1):
        slices(tmp_path, [2.5 * i for i in range(count) if i != missing])
        with pytest.raises(ValueError, match="5 mm apart, other slices 2.5 mm"):
            read_dicom_folder(tmp_path)


def test_rounded_positions_and_orientations_are_no_gap(tmp_path):
    rng = np.random.default_rng(0)
    exact = 0.6 * np.arange(20)
    slices(tmp_path, np.round(exact + rng.uniform(-0.03, 0.03, 20), 1), 7, PixelSpacing=[1, 1.0002])
    stack = read_dicom_folder(tmp_path)
    # The ends are off by less than 0.08 mm each, and there are 19 steps between them.
    assert abs(stack.slice_mm - 0.6) < 2 * 0.08 / 19
    assert np.array_equal(stack.array[:, 0, 0], np.arange(20))


def test_a_tilted_gantry_is_no_regular_stack(tmp_path):
    # Slices tilted by 15 degrees, along the table: their corners move by sin 15 of the distance.
    cos, sin = np.cos(np.pi / 12), np.sin(np.pi / 12)
    for i in range(5):
        write(tmp_path / f"{i}", np.full((3, 4), i), (1, 0, 0), (0, cos, -sin), (0, 0, 5.0 * i))
    with pytest.raises(ValueError, match="move by 5.17638 mm .* gantry was tilted"):
        read_dicom_folder(tmp_path)


def test_a_stack_above_the_limit_is_not_read(tmp_path):
    slices(tmp_path, range(5))
    assert read_dicom_folder(tmp_path, Limits(max_bytes=240)).array.nbytes == 240
    with pytest.raises(ValueError, match="would take 240 bytes or more.*at most 239 bytes"):
        read_dicom_folder(tmp_path, Limits(max_bytes=239))


def test_what_is_no_image_is_skipped_whatever_it_is(tmp_path):
    slices(tmp_path, range(3))
    write(tmp_path / "report", np.zeros((3, 4)), PixelData=None, Rows=None, Columns=None)
    (tmp_path / "short").write_bytes(b"\x08\x00")
    (tmp_path / "other").write_bytes(b"\x08\x00\x08\x00\x02\x00\x00\x00ab and text")
    assert len(read_dicom_folder(tmp_path).array) == 3
    (tmp_path / "short").rename(tmp_path / "short.IMA")
    with pytest.raises(ValueError, match="short.IMA is not a readable DICOM file"):
        read_dicom_folder(tmp_path)
