"""Ordinary pictures: values, orientation, frames and pages, colors, sizes, and broken files."""

import builtins
import struct
import zlib

import numpy as np
import pytest

from odl_learned.data import Limits, from_rows, read_image, read_luminance

PIL = pytest.importorskip("PIL.Image")
tifffile = pytest.importorskip("tifffile")

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLORS = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=-1)
BRIGHTNESS = COLORS @ np.array([0.299, 0.587, 0.114])


@pytest.fixture(params=["png", "tif", "tiff"])
def store(request, tmp_path):
    path = tmp_path / f"a.{request.param}"

    def write(array, **more):
        if request.param == "png":
            PIL.fromarray(array).save(path, **more)
        else:
            tifffile.imwrite(path, array)
        return path

    return write


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_gray_pictures(store, dtype):
    picture = GRAY.astype(dtype) * (200 if dtype == "uint16" else 1)
    image = read_image(store(picture))
    assert image.dtype == np.float32 and np.array_equal(image, from_rows(picture))
    assert np.array_equal(read_luminance(store(picture)), image)


def test_colors_are_refused_or_asked_for(store):
    path = store(COLORS)
    with pytest.raises(ValueError, match="in color.*data.read_luminance"):
        read_image(path)
    expected = from_rows(BRIGHTNESS)
    assert np.allclose(read_luminance(path), expected, rtol=1e-6)


def test_palettes_and_transparency(tmp_path):
    for mode in ("P", "RGBA", "LA"):
        PIL.fromarray(COLORS).convert(mode).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match="in color, or with transparency"):
            read_image(tmp_path / "a.png")
        rgb = np.asarray(PIL.open(tmp_path / "a.png").convert("RGB"))
        assert np.allclose(read_luminance(tmp_path / "a.png"),
                           from_rows(rgb @ np.array([0.299, 0.587, 0.114])), rtol=1e-6)  # fmt: skip
    PIL.fromarray(GRAY > 100).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), from_rows(GRAY > 100))


def test_photographs_stand_as_they_were_taken(tmp_path):
    """A camera that is held upright turns nothing and notes it, 6: turn right by a quarter."""
    exif = PIL.Exif()
    exif[274] = 6
    wide = np.tile(np.repeat(np.arange(4, dtype=np.uint8) * 60, 8), (16, 1))  # (16, 32)
    PIL.fromarray(wide).save(tmp_path / "a.jpg", exif=exif, quality=100)
    assert np.abs(read_image(tmp_path / "a.jpg") - from_rows(np.rot90(wide, -1))).max() <= 3


def test_pages_and_frames(tmp_path):
    stack = np.arange(60, dtype=np.float32).reshape(5, 3, 4)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    assert np.array_equal(read_image(tmp_path / "a.tif", index=3), from_rows(stack[3]))
    for index in (None, 5):
        with pytest.raises(ValueError, match=f"stack of 5 images and index is {index}"):
            read_image(tmp_path / "a.tif", index=index)
    with pytest.raises(ValueError, match="stack of 5"):
        read_luminance(tmp_path / "a.tif")
    frames = [PIL.fromarray(GRAY + k) for k in range(2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert np.array_equal(read_image(tmp_path / "a.png", index=1), from_rows(GRAY + 1))
    with pytest.raises(ValueError, match="stack of 2"):
        read_luminance(tmp_path / "a.png")
    with pytest.raises(ValueError, match="key is 'x'"):
        read_image(tmp_path / "a.png", key="x")


def test_inverted_and_turned_pages(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GRAY, photometric="miniswhite")
    with pytest.raises(ValueError, match="from white to black"):
        read_image(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", GRAY, extratags=[(274, "H", 1, 3, True)])
    with pytest.raises(ValueError, match="Orientation 3"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="NaN"):
        tifffile.imwrite(tmp_path / "a.tif", np.full((3, 4), np.nan))
        read_image(tmp_path / "a.tif")


def claiming(width, height):
    """A PNG file whose header claims a size, without the pixels."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content))  # fmt: skip

    head = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_claimed_sizes_are_checked_before_memory_is_taken(tmp_path):
    (tmp_path / "a.png").write_bytes(claiming(60_000, 60_000))
    with pytest.raises(ValueError, match="cannot be read as a picture|would take"):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(claiming(9000, 9000))
    with pytest.raises(ValueError, match="would take 162000000 bytes"):
        read_image(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((200, 200), np.uint8), compression="zlib")
    with pytest.raises(ValueError, match="would take 40000 bytes"):
        read_image(tmp_path / "a.tif", limits=Limits(small_bytes=1000, max_ratio=10))
    with pytest.raises(TypeError, match="limits is 3"):
        read_image(tmp_path / "a.tif", limits=3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_broken_files(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, np.tile(GRAY, (20, 20)), compression="zlib")
    else:
        PIL.fromarray(np.tile(GRAY, (20, 20))).save(path)
    whole = path.read_bytes()
    for content in (b"", b"nothing", whole[:9], whole[: len(whole) // 2]):
        path.write_bytes(content)
        for read in (read_image, read_luminance):
            with pytest.raises(ValueError, match="cannot be read as a picture|would take"):
                read(path)


def test_packages_that_are_missing(tmp_path, monkeypatch):
    whole = builtins.__import__

    def without(name, *args, **kwargs):
        if name in ("PIL.Image", "tifffile", "nibabel"):
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for name, extra in (("a.png", "pictures"), ("a.tif", "pictures"), ("a.nii", "nifti")):
        (tmp_path / name).touch()
        with pytest.raises(ImportError, match=rf"odl_learned\[{extra}\]"):
            read_image(tmp_path / name)
    (tmp_path / "a.bmp").touch()
    with pytest.raises(ValueError, match="suffix '.bmp', expected one of .png"):
        read_luminance(tmp_path / "a.bmp")
