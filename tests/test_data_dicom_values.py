"""Values of DICOM files: tables, rescaling, doses, frames, bits, units, and no gray values."""

import warnings

import numpy as np
import pytest

from odl_learned.data import Limits, read_dicom, to_rows

pydicom = pytest.importorskip("pydicom")
from dicom_files import write  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402

STORED = np.array([[-30000, -2, -1, 0], [1, 2, 3, 30000]])


def item(**attributes):
    """A sequence of one item; a pair is (value representation, value)."""
    dataset = Dataset()
    for name, value in attributes.items():
        if isinstance(value, tuple):
            dataset.add_new(name, *value)
        else:
            setattr(dataset, name, value)
    return [dataset]


def picture(tmp_path, stored=STORED, index=None, **attributes):
    """What is read of a file with these stored numbers, as a picture, and its unit."""
    write(tmp_path / "a", stored, **attributes)
    image = read_dicom(tmp_path / "a", index)
    return to_rows(image.array), image.unit


def unsigned(bits=16):
    return {"PixelRepresentation": 0, "BitsStored": bits, "HighBit": bits - 1}


@pytest.mark.parametrize("first", [-30000, -1, 0, 2])
@pytest.mark.parametrize("data", [("US", [5, 7, 11, 13]),
                                  ("OW", np.array([5, 7, 11, 13], "<u2").tobytes())])  # fmt: skip
def test_modality_tables_are_looked_up_and_constant_beyond_their_ends(tmp_path, first, data):
    table = item(LUTDescriptor=("SS", [4, first, 16]), ModalityLUTType="OD", LUTData=data)
    # The table goes before the rescaling, as in pydicom and DCMTK; only one of them is allowed.
    both = {"RescaleSlope": 3, "RescaleIntercept": 1, "RescaleType": "HU"}
    for more in ({}, both):
        read, unit = picture(tmp_path, ModalityLUTSequence=table, **more)
        expected = [[[5, 7, 11, 13][min(max(v - first, 0), 3)] for v in row] for row in STORED]
        assert np.array_equal(read, expected) and unit == "OD"


def test_tables_of_65536_entries_eight_bits_and_unsigned_numbers(tmp_path):
    data = np.arange(2**16, dtype="<u2")
    table = item(LUTDescriptor=("SS", [0, -(2**15), 16]), LUTData=("OW", data.tobytes()))
    read, _ = picture(tmp_path, ModalityLUTSequence=table)
    assert np.array_equal(read, STORED + 2**15)
    table = item(LUTDescriptor=("US", [4, 40000, 8]), LUTData=("OW", bytes([1, 2, 3, 4])))
    stored = np.array([[0, 40000], [40002, 65535]], dtype=np.uint16).view(np.int16)
    read, _ = picture(tmp_path, stored, ModalityLUTSequence=table, **unsigned())
    assert np.array_equal(read, [[1, 1], [3, 4]])


def test_tables_that_are_too_short_are_refused(tmp_path):
    table = item(LUTDescriptor=("SS", [4, 0, 16]), LUTData=("US", [1, 2]))
    with pytest.raises(ValueError, match=r"LUTData of .* is .*, expected 4 finite numbers"):
        picture(tmp_path, ModalityLUTSequence=table)


def test_doses_are_scaled(tmp_path):
    write(tmp_path / "a", STORED[1:], Modality="RTDOSE", DoseGridScaling="0.001", DoseUnits="GY")
    image = read_dicom(tmp_path / "a")
    assert np.array_equal(to_rows(image.array), (0.001 * STORED[1:]).astype(np.float32))
    assert image.unit == "Gy" and image.modality == "RTDOSE"
    with pytest.raises(ValueError, match="DoseGridScaling of .* is None, expected 1 finite"):
        picture(tmp_path, Modality="RTDOSE")


@pytest.mark.parametrize(("attributes", "unit"), [
    ({"RescaleSlope": 1, "RescaleIntercept": 0}, "HU"),
    ({"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "HU"}, "HU"),
    ({"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "US"}, ""),
    ({"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "Z_EFF"}, "Z_EFF"),
    ({"RescaleSlope": 1, "RescaleIntercept": 0, "ImageType": ["A", "B", "LOCALIZER"]}, ""),
    ({"RescaleSlope": 1, "RescaleIntercept": 0, "Modality": "MR"}, ""),
    ({"RescaleSlope": 1, "RescaleIntercept": 0, "Modality": "PT", "Units": "BQML"}, "BQML"),
    ({}, ""),
])  # fmt: skip
def test_units(tmp_path, attributes, unit):
    read, found = picture(tmp_path, **attributes)
    assert np.array_equal(read, STORED) and found == unit


@pytest.mark.parametrize(("attributes", "message"), [
    ({"RescaleSlope": 0, "RescaleIntercept": 5}, "RescaleSlope of .* is 0, which makes every"),
    ({"RescaleSlope": [1, 2]}, r"RescaleSlope of .* is \[1.0, 2.0\], expected 1 finite number\."),
    ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "3 samples per pixel .RGB."),
    ({"PhotometricInterpretation": "PALETTE COLOR"}, "numbers of colors in a table .PALETTE COLOR"),
    ({"PhotometricInterpretation": "ODD"}, "is 'ODD', expected MONOCHROME1 or MONOCHROME2"),
    ({"BitsStored": 12, "HighBit": 15}, "12 bits with the highest at 15 .HighBit., expected 11"),
    ({"PixelData": None}, "holds no pixels, it is CT Image Storage"),
    ({"PixelData": None, "PixelDataProviderURL": "https://localhost/a"}, "are on a server"),
    ({"Rows": None}, "Rows of .* is None, expected 1 finite number"),
    ({"Rows": 3}, "cannot be decoded .*less than expected"),
])  # fmt: skip
def test_refusals(tmp_path, attributes, message):
    with pytest.raises(ValueError, match=message):
        picture(tmp_path, **attributes)


def test_low_values_that_are_bright_are_kept_with_a_warning(tmp_path):
    write(tmp_path / "a", STORED, PhotometricInterpretation="MONOCHROME1")
    with pytest.warns(UserWarning, match="MONOCHROME1: low values are meant to be shown") as caught:
        read = read_dicom(tmp_path / "a")
    assert np.array_equal(to_rows(read.array), STORED)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("spacing", [[0, 0], [1, 0], [-1, 1]])
def test_sides_of_pixels_that_are_nonsense_are_unknown(tmp_path, spacing):
    write(tmp_path / "a", STORED, PixelSpacing=spacing)
    with pytest.warns(UserWarning, match="PixelSpacing of .* expected two positive") as caught:
        assert read_dicom(tmp_path / "a").pixel_mm is None
    assert caught[0].filename == __file__


def test_spacing_at_the_detector_is_not_that_in_the_patient(tmp_path):
    write(tmp_path / "a", STORED, ImagerPixelSpacing=[0.1, 0.1], Modality="DX")
    assert read_dicom(tmp_path / "a").pixel_mm is None
    write(tmp_path / "a", STORED, PixelAspectRatio=[2, 1])
    with pytest.warns(UserWarning, match="aspect ratio .*2.*1.* .vertical, horizontal."):
        assert read_dicom(tmp_path / "a").pixel_mm is None


@pytest.mark.parametrize("orientation", [[0] * 6, [1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 2, 0], [1, 0]])
def test_orientations_that_are_none_are_refused(tmp_path, orientation):
    with pytest.raises(ValueError, match="ImageOrientationPatient of .* expected (two|6)"):
        picture(tmp_path, ImageOrientationPatient=orientation)


def test_unused_bits_do_not_count(tmp_path):
    # Twelve bits are stored; old files keep overlays in the others, or leave the sign away.
    stored = np.array([[0xF005, 0x0FFF], [0x8800, 0x07FF]], dtype=np.uint16)
    read, _ = picture(tmp_path, stored.view(np.int16), **unsigned(12))
    assert np.array_equal(read, [[0x005, 0xFFF], [0x800, 0x7FF]])
    signed = {**unsigned(12), "PixelRepresentation": 1}
    read, _ = picture(tmp_path, stored.view(np.int16), **signed)
    assert np.array_equal(read, [[5, -1], [-2048, 2047]])


@pytest.mark.parametrize(("name", "dtype"), [("FloatPixelData", "<f4"),
                                             ("DoubleFloatPixelData", "<f8")])  # fmt: skip
def test_floating_point_pixels(tmp_path, name, dtype):
    values = np.array([[-1.5, 0.25], [1e-3, 7e6]])
    bits = 8 * np.dtype(dtype).itemsize
    stored = {name: values.astype(dtype).tobytes(), "BitsAllocated": bits, "PixelData": None,
              "BitsStored": None, "HighBit": None, "PixelRepresentation": None}  # fmt: skip
    read, _ = picture(tmp_path, values, **stored)
    assert np.array_equal(read, values.astype(np.float32))
    stored[name] = np.where(values < 0, np.nan, values).astype(dtype).tobytes()
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        picture(tmp_path, values, **stored)


def frames(count=2, **top):
    """Two frames of an enhanced file, whose macros differ from what the file says on top."""
    def group(i):
        groups = Dataset()
        groups.PixelValueTransformationSequence = item(RescaleSlope=1, RescaleIntercept=100 * i)
        return groups

    shared = Dataset()
    shared.PixelMeasuresSequence = item(PixelSpacing=[2.0, 3.0])
    shared.PixelValueTransformationSequence = item(RescaleSlope=7, RescaleType="HU")
    return {"NumberOfFrames": 2, "SharedFunctionalGroupsSequence": [shared],
            "PerFrameFunctionalGroupsSequence": [group(i) for i in range(count)],
            "RescaleSlope": 9, "RescaleIntercept": 9, "PixelSpacing": [9, 9], **top}  # fmt: skip


def test_a_frame_has_its_own_values_before_those_of_all_frames_and_of_the_file(tmp_path):
    stack = np.stack([STORED, STORED + 1])
    for i in (0, 1):
        read, unit = picture(tmp_path, stack, i, **frames())
        assert np.array_equal(read, stack[i] + 100 * i) and unit == "HU"
        assert read_dicom(tmp_path / "a", i).pixel_mm == (3.0, 2.0)


def test_attributes_in_private_sequences_of_frames_are_not_those_of_the_image(tmp_path):
    attributes = frames()
    for group in attributes["PerFrameFunctionalGroupsSequence"]:
        group.private_block(0x2005, "VENDOR", create=True).add_new(
            0x0F, "SQ", item(PixelSpacing=[5.0, 5.0], ImageOrientationPatient=[0, 1, 0, 1, 0, 0])
        )
    picture(tmp_path, np.stack([STORED, STORED]), 0, **attributes)
    assert read_dicom(tmp_path / "a", 0).pixel_mm == (3.0, 2.0)


def test_frames_that_are_not_described_are_refused(tmp_path):
    with pytest.raises(ValueError, match="describes 1 frames .* and has 2"):
        picture(tmp_path, np.stack([STORED, STORED]), 1, **frames(count=1))


def test_only_the_frame_that_is_asked_for_counts(tmp_path):
    write(tmp_path / "a", np.stack([STORED, STORED]), NumberOfFrames=2)
    for index in (0, -1):
        read_dicom(tmp_path / "a", index, Limits(max_bytes=64))  # eight pixels of eight bytes
    with pytest.raises(ValueError, match="would take 64 bytes or more.*at most 63 bytes"):
        read_dicom(tmp_path / "a", 0, Limits(max_bytes=63))
    with pytest.raises(ValueError, match="stack of 2 images and index is 2; choose"):
        read_dicom(tmp_path / "a", 2)


def mapping(slope, intercept, code):
    return item(RealWorldValueSlope=float(slope), RealWorldValueIntercept=float(intercept),
                MeasurementUnitsCodeSequence=item(CodeValue=code))  # fmt: skip


def test_real_world_values_give_a_unit_or_a_warning(tmp_path):
    rescaling = {"RescaleSlope": 2, "RescaleIntercept": -1, "RescaleType": "US"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for code, unit in (("mm2/s", "mm2/s"), ("[hnsf'U]", "HU"), ("1", "")):
            sequence = mapping(3, 0, "x") + mapping(2, -1, code)
            read, found = picture(tmp_path, RealWorldValueMappingSequence=sequence, **rescaling)
            assert np.array_equal(read, 2 * STORED - 1) and found == unit
    with pytest.warns(UserWarning, match=r"real world values, by \(slope, intercept\) in \[\(3.0"):
        read, found = picture(tmp_path, RealWorldValueMappingSequence=mapping(3, 0, "x"))
    assert np.array_equal(read, STORED) and found == ""


def test_windows_change_nothing(tmp_path):
    read, _ = picture(tmp_path, WindowCenter=0, WindowWidth=1, VOILUTFunction="LINEAR")
    assert np.array_equal(read, STORED)
