"""What files of numpy and DICOM claim: sizes beyond the limits, objects, and damaged headers.

All files are small and harmless; limits are set low.
"""

import io
import pickle
import zipfile

import numpy as np
import pytest

from odl_learned.data import (
    Limits,
    read_dicom,
    read_image,
    read_measurement,
    read_npz_stack,
)
from odl_learned.data.dicom.pixels import coded_size

h5py, pydicom = pytest.importorskip("h5py"), pytest.importorskip("pydicom")
from dicom_files import write  # noqa: E402

ZEROS = np.zeros((200, 200))  # 320 000 bytes
LOW = Limits(small_bytes=1000)


def header(shape, descr="<f8", more=b""):
    """A file of numpy whose header claims an array."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"shape": shape, "fortran_order": False, "descr": descr}
    )
    return buffer.getvalue() + more


def archive(path, content, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a.npy", content)
    return path


def test_limits_are_the_ones_that_are_stated():
    limits = Limits(max_bytes=1000, max_ratio=10, small_bytes=100)
    for claimed, stored in ((100, 0), (100, 1), (500, 50), (1000, 100), (1000, 10**6)):
        limits.require("a", claimed, stored)
    for claimed, stored in ((101, 10), (501, 50), (1001, 10**6)):
        message = (rf"a would take {claimed} bytes or more, .* times the {stored} that the file .*"
                   r"at most 1000 bytes and, above 100 bytes, a ratio of at most 10\..*limits=data")
        with pytest.raises(ValueError, match=message):
            limits.require("a", claimed, stored)
    Limits(np.inf, np.inf).require("a", 10**30, 1)
    for wrong in (0, -1, np.nan, "1"):
        with pytest.raises(ValueError, match="max_ratio is .* expected a positive number"):
            Limits(max_ratio=wrong)


@pytest.mark.parametrize(("array", "read"), [
    (ZEROS, lambda path, limits: read_image(path, "a", limits=limits)),
    (ZEROS[None], lambda path, limits: read_npz_stack(path, "a", limits)),
    (ZEROS, lambda path, limits: read_measurement(path, "", "a", limits=limits)[0]),
])  # fmt: skip
def test_archives_that_expand_too_much(tmp_path, array, read):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=array)
    assert not np.any(read(path, Limits()))  # small enough to be harmless
    assert not np.any(read(path, Limits(small_bytes=1000, max_ratio=np.inf)))
    with pytest.raises(ValueError, match="a in .* would take 320000 bytes .* ratio of at most 200"):
        read(path, LOW)
    with pytest.raises(ValueError, match="would take 320000 bytes .* at most 319999 bytes"):
        read(path, Limits(max_bytes=319999))


@pytest.mark.parametrize("shape", [(2**20, 2**20), (2**40, 2**40)])
def test_headers_that_claim_more_than_the_file_holds(tmp_path, shape):
    content = header(shape, more=bytes(64))
    (tmp_path / "a.npy").write_bytes(content)
    archive(tmp_path / "a.npz", content)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match=r"its header claims \d+ bytes, and 64 follow"):
            read_image(tmp_path / name, limits=Limits(np.inf, np.inf))
    with pytest.raises(ValueError, match="its header claims"):
        read_measurement(tmp_path / "a.npz", "", "a")


@pytest.mark.parametrize("content", [
    header((-3, 4)), header((3, 4), "<f9"), header((3, 4))[:40],
    header((3, 4)).replace(b"shape", b"shake"), b"\x93NUMPY\x07\x00",
    b"\x93NUMPY\x01\x00\xff\xff", b"x = 1, 2, 3", b"\x80\x04N.",
])  # fmt: skip
def test_headers_that_are_damaged_or_text(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    archive(tmp_path / "a.npz", content)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match="is not a readable file of numpy.*Copy or write it"):
            read_image(tmp_path / name)


class Trap:
    """An object that says when it is read."""

    def __reduce__(self):
        return (pytest.fail, ("an object of a file was made",))


def test_objects_are_refused_and_not_made(tmp_path):
    objects = np.array([[Trap()]], dtype=object)
    np.save(tmp_path / "a.npy", objects)
    np.savez(tmp_path / "a.npz", a=objects)
    structured = np.array([(1, Trap())], dtype=[("x", int), ("y", object)])
    np.save(tmp_path / "b.npy", structured)
    for name in ("a.npy", "a.npz", "b.npy"):
        with pytest.raises(TypeError, match="holds Python objects.*expected numbers"):
            read_image(tmp_path / name)
    with pytest.raises(TypeError, match="holds Python objects"):
        read_measurement(tmp_path / "a.npz", "", "a")
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="is not a readable file of numpy"):
        read_image(tmp_path / "c.npy")


def test_archives_that_are_encrypted_or_of_an_unknown_compression(tmp_path):
    content = bytearray(archive(tmp_path / "a.npz", header((1, 1), more=bytes(8))).read_bytes())
    for at, value in ((6, 1), (8, 97)):  # flags and compression, also in the directory at the end
        changed = bytearray(content)
        changed[at] = value
        changed[content.index(b"PK\x01\x02") + at + 2] = value
        (tmp_path / "b.npz").write_bytes(changed)
        with pytest.raises(ValueError, match="a in .*b.npz cannot be read .*copy or write it"):
            read_image(tmp_path / "b.npz")


def test_only_what_is_asked_for_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("big.npy", header((200, 200), more=bytes(320000)))
        file.writestr("broken.npy", b"text")
        file.writestr("small.npy", header((1, 1), more=bytes(8)))
    assert read_image(tmp_path / "a.npz", "small", limits=LOW).shape == (1, 1)
    np.save(tmp_path / "a.npy", np.zeros((100, 10, 10)))
    assert read_image(tmp_path / "a.npy", index=3, limits=Limits(max_bytes=800)).shape == (10, 10)
    with pytest.raises(ValueError, match="would take 800 bytes or more.*at most 799 bytes"):
        read_image(tmp_path / "a.npy", index=3, limits=Limits(max_bytes=799))


@pytest.mark.parametrize("shape", [(10, 20, 3), (10, 20, 4), (10, 20, 1), (10, 20, 2)])
def test_color_pictures_are_no_stacks(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    np.savez(tmp_path / "a.npz", a=np.zeros(shape))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.zeros(shape)
    for name in ("a.npy", "a.npz", "a.h5"):
        for index in (None, 0, 5):
            with pytest.raises(ValueError, match=f"{shape[-1]} channels of a picture along the"):
                read_image(tmp_path / name, index=index)
    with pytest.raises(ValueError, match="channels of a picture"):
        read_npz_stack(tmp_path / "a.npz", "a")
    np.save(tmp_path / "a.npy", np.arange(24).reshape(3, 4, 2))
    if shape[-1] == 3:  # three narrow pictures are a stack
        np.save(tmp_path / "a.npy", np.arange(36).reshape(3, 4, 3))
        assert read_image(tmp_path / "a.npy", index=2)[0, 0] == 33


def test_deflated_dicom_files_that_expand_too_much(tmp_path, monkeypatch):
    path = tmp_path / "a.dcm"
    write(path, np.zeros((200, 200)), transfer_syntax=pydicom.uid.DeflatedExplicitVRLittleEndian)
    assert not np.any(read_dicom(path).array)
    assert not np.any(read_dicom(path, limits=Limits(small_bytes=1000, max_ratio=np.inf)).array)
    # No more than the limit, and the piece that passes it, is ever inflated.
    monkeypatch.setattr(pydicom, "dcmread", lambda *args, **kwargs: pytest.fail("was read"))
    for limits in (LOW, Limits(max_bytes=79999)):
        with pytest.raises(ValueError, match="a.dcm would take 8.* bytes or more"):
            read_dicom(path, limits=limits)


def test_compressed_frames_that_claim_too_much(tmp_path):
    """RLE, in two segments of 200 x 200 zeros, runs of 128 equal bytes (PS3.5, annex G)."""
    runs = b"\x81\x00" * 312 + b"\xc1\x00"
    code = np.array([2, 64, 64 + len(runs), *[0] * 13], "<u4").tobytes() + 2 * runs
    rle = {"PixelData": pydicom.encaps.encapsulate([code]), "HighBit": 15}
    path = tmp_path / "a.dcm"
    write(path, np.zeros((200, 200)), transfer_syntax=pydicom.uid.RLELossless, **rle)
    assert not np.any(read_dicom(path).array)
    with pytest.raises(ValueError, match="would take 320000 bytes or more, .* ratio of at most 20"):
        read_dicom(path, limits=Limits(small_bytes=1000, max_ratio=20))
    write(path, np.zeros((1, 1)), transfer_syntax=pydicom.uid.RLELossless,
          **rle, Rows=65535, Columns=65535)  # fmt: skip
    with pytest.raises(ValueError, match=f"would take {8 * 65535**2} bytes or more"):
        read_dicom(path)


@pytest.mark.parametrize(("code", "size"), [
    (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc3\x00\x0b\x08\x01\x02\x03\x04", (0x102, 0x304)),
    (b"\xff\xd8\xff\xf7\x00\x0b\x08\x01\x02\x03\x04", (0x102, 0x304)),
    (b"\xff\xd8\xff\xc4\x00\x0b\x08\x01\x02\x03\x04" + bytes(4) + b"\xff\xc0", None),
    (b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x00\x03\x04", None),
    (b"\xff\x4f\xff\x51\x00\x29\x00\x00" + np.array([9, 8, 2, 1], ">u4").tobytes(), (7, 7)),
    (b"\xff\x4f\xff\x51\x00", None), (b"", None), (b"\xff\xd8", None), (b"\xff\xd8\x00", None),
])  # fmt: skip
def test_sizes_of_codes(code, size):
    assert coded_size(code) == size


def test_a_frame_of_another_size_than_the_file_is_not_decoded(tmp_path, monkeypatch):
    code = b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xd9\x00"
    frame = pydicom.encaps.encapsulate([code])
    write(tmp_path / "a.dcm", np.zeros((3, 4)), PixelData=frame, BitsAllocated=8, BitsStored=8,
          HighBit=7, PixelRepresentation=0,
          transfer_syntax=pydicom.uid.JPEGBaseline8Bit)  # fmt: skip
    monkeypatch.setattr(pydicom.pixels, "pixel_array", lambda *a, **k: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="says 65535 rows and 65535 columns, the file 3 and 4"):
        read_dicom(tmp_path / "a.dcm")
