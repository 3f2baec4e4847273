"""Volumes of NIfTI files: orientation, scaling, sides of voxels, sizes, and broken files."""

import gzip
import itertools

import numpy as np
import pytest

from odl_learned.data import Limits, read_image, read_nifti

nibabel = pytest.importorskip("nibabel")

# A value for each place of the patient: 100 to the right, 10 to the front, 1 to the head.
RIGHT, FRONT, HEAD = np.meshgrid(np.arange(3), np.arange(4), np.arange(5), indexing="ij")
PATIENT = (100 * RIGHT + 10 * FRONT + HEAD).astype(np.int16)
#: What x to the left, y to the front and slices to the head make of it.
EXPECTED = np.moveaxis(PATIENT[::-1], 2, 0)


def write(path, array=PATIENT, affine=None, unit="mm", scale=None):
    image = nibabel.Nifti1Image(array, np.diag([2, 3, 4, 1]) if affine is None else affine)
    image.header.set_xyzt_units(unit)
    if scale:
        image.header.set_slope_inter(*scale)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_patients_lie_alike(suffix, order, flips, tmp_path):
    """Whatever the order of the axes in the file, and which way they run."""
    array = PATIENT.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]
    affine = np.zeros((4, 4))
    for axis, (direction, flip) in enumerate(zip(order, flips)):
        affine[direction, axis] = flip * (2, 3, 4)[direction]
        affine[direction, 3] += 0 if flip > 0 else (2, 3, 4)[direction] * (array.shape[axis] - 1)
    affine[3, 3] = 1
    path = write(tmp_path / f"a.{suffix}", array, affine)
    stack = read_nifti(path)
    assert np.array_equal(stack.array, EXPECTED) and stack.array.dtype == np.float32
    assert stack.array.flags.c_contiguous
    assert stack.pixel_mm == (2, 3) and stack.slice_mm == 4 and stack.modality == ""
    for index in (0, 3, -1):
        assert np.array_equal(read_image(path, index=index), EXPECTED[index])


def test_as_in_dicom(tmp_path):
    """The same patient, by `read_dicom`: x to the left, y to the front."""
    dicom_files = pytest.importorskip("dicom_files", exc_type=ImportError)
    from odl_learned.data import read_dicom

    rows = PATIENT[::-1, ::-1, 2].T  # columns to the left, rows to the back
    dicom_files.write(tmp_path / "a.dcm", np.ascontiguousarray(rows), (1, 0, 0), (0, 1, 0))
    assert np.array_equal(read_dicom(tmp_path / "a.dcm").array,
                          read_image(write(tmp_path / "a.nii"), index=2))  # fmt: skip


def test_scales_and_units(tmp_path):
    stack = read_nifti(write(tmp_path / "a.nii", unit="micron", scale=(0.5, -3)))
    assert np.allclose(stack.array, 0.5 * EXPECTED - 3)
    assert np.allclose(stack.pixel_mm, (2e-3, 3e-3)) and stack.slice_mm == pytest.approx(4e-3)
    assert read_nifti(write(tmp_path / "a.nii", unit=0)).pixel_mm is None
    one = write(tmp_path / "a.nii", PATIENT[:, :, :1])
    assert read_nifti(one).slice_mm is None and read_image(one).shape == (3, 4)
    assert read_nifti(write(tmp_path / "a.nii", PATIENT[..., None])).array.shape == (5, 3, 4)


def test_what_is_no_volume(tmp_path):
    path = tmp_path / "a.nii"
    for array, error, pattern in (
        (np.stack([PATIENT, PATIENT], axis=-1), ValueError, r"\(3, 4, 5, 2\).*four_to_three"),
        (np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]), ValueError, "colors"),
        (PATIENT.astype("c8"), TypeError, "complex"),
        (np.full((3, 4, 5), np.nan, "f4"), ValueError, "NaN"),
    ):
        write(path, array)
        with pytest.raises(error, match=pattern):
            read_nifti(path)
    write(path)
    for index in (None, 5):
        with pytest.raises(ValueError, match=f"stack of 5 images and index is {index}"):
            read_image(path, index=index)
    with pytest.raises(ValueError, match="key is 'a'"):
        read_image(path, key="a", index=0)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_files_are_believed_as_far_as_they_are_long(suffix, tmp_path):
    path, compressed = tmp_path / f"a.{suffix}", suffix.endswith("gz")
    write(path)
    whole = gzip.decompress(path.read_bytes()) if compressed else path.read_bytes()

    def store(content):
        path.write_bytes(gzip.compress(content) if compressed else content)

    huge, far = bytearray(whole), bytearray(whole)
    huge[42:48] = np.array([30_000] * 3, "<i2").tobytes()
    far[108:112] = np.array([1e12], "<f4").tobytes()
    for content, pattern in ((huge, "would take 54000000000000 bytes"), (far, "after 1e[+]12"),
                             (whole[:-1], "not a readable"), (whole[:360], "not a readable"),
                             (whole[:100], "not a readable"), (b"", "not a readable")):
        store(bytes(content))
        with pytest.raises(ValueError, match=pattern):
            read_nifti(path)
        with pytest.raises(ValueError, match=pattern):
            read_image(path, index=-1)
    write(path)
    with pytest.raises(ValueError, match="would take"):
        read_nifti(path, limits=Limits(max_bytes=100))
