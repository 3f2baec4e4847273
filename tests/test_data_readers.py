"""Readers of numpy and HDF5 files: values, orientation, keys, indices, and broken files."""

import builtins

import numpy as np
import pytest

from odl_learned.data import (
    downsample,
    from_rows,
    hounsfield_to_attenuation,
    read_image,
    read_kspace,
    read_npz_stack,
)

PICTURE = np.arange(12).reshape(3, 4)
STACK = np.arange(24).reshape(2, 3, 4)


@pytest.fixture(params=["npy", "npz", "h5", "hdf5"])
def store(request, tmp_path):
    """A function that stores named arrays (the first one for .npy) and returns the path."""
    path = tmp_path / f"file.{request.param}"

    def write(**arrays):
        if request.param == "npy":
            np.save(path, next(iter(arrays.values())))
        elif request.param == "npz":
            np.savez(path, **arrays)
        else:
            h5py = pytest.importorskip("h5py")
            with h5py.File(path, "w") as file:
                for name, array in arrays.items():
                    file[name] = array
        return path

    return write


def test_images_and_stacks(store):
    image = read_image(store(a=PICTURE))
    assert image.dtype == np.float32 and image.flags.c_contiguous
    assert np.array_equal(image, from_rows(PICTURE))
    path = store(a=STACK)
    assert np.array_equal(read_image(path, index=1), from_rows(STACK[1]))
    assert np.array_equal(read_image(str(path), index=-2), from_rows(STACK[0]))
    for index in (None, 2, -3):
        with pytest.raises(ValueError, match=f"stack of 2 images and index is {index}"):
            read_image(path, index=index)


def test_index_of_a_single_image_and_wrong_shapes(store):
    with pytest.raises(ValueError, match="leave index away"):
        read_image(store(a=PICTURE), index=0)
    with pytest.raises(ValueError, match="expected an image or a stack"):
        read_image(store(a=np.zeros((2, 2, 2, 2))), index=0)


def test_values_are_checked(store):
    with pytest.raises(ValueError, match="contains 12 NaN or infinite values"):
        read_image(store(a=PICTURE * np.nan))
    with pytest.raises(TypeError, match="is complex"):
        read_image(store(a=1j * PICTURE))


def test_keys(store):
    path = store(a=PICTURE, b=2 * PICTURE)
    if path.suffix == ".npy":
        with pytest.raises(ValueError, match="key is 'a', expected None"):
            read_image(path, key="a")
        return
    assert np.array_equal(read_image(path, key="b"), from_rows(2 * PICTURE))
    with pytest.raises(ValueError, match=r"key is None, .*a \(3, 4\), b \(3, 4\)"):
        read_image(path)
    with pytest.raises(ValueError, match="key is 'c', expected one of .*: a .*b"):
        read_image(path, key="c")


def test_groups_of_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/image"] = PICTURE
        file["text"] = "hello"
    assert np.array_equal(read_image(tmp_path / "a.h5", "group/image"), from_rows(PICTURE))


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5", "dcm"])
def test_broken_files(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_image(path)
    for content in (b"", b"something else entirely"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"readable"):
            read_image(path)


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5"])
def test_truncated_files(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    big = np.arange(10000.0).reshape(100, 100)
    if suffix == "npy":
        np.save(path, big)
    elif suffix == "npz":
        np.savez(path, a=big)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["a"] = big
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(ValueError, match="readable"):
        read_image(path)


def test_corrupt_bytes_in_an_archive(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros((100, 100)))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[5000] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read"):
        read_image(tmp_path / "a.npz")


def test_suffixes(tmp_path):
    (tmp_path / "a.bmp").write_bytes(b"")
    with pytest.raises(ValueError, match=r"suffix '.bmp', expected .npy, .npz, .dcm"):
        read_image(tmp_path / "a.bmp")
    np.savez(tmp_path / "a.npz", a=PICTURE)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="does not say what the file holds"):
        read_image(tmp_path / "a.npy")


def test_npz_stack(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, stack=STACK, single=PICTURE)
    stack = read_npz_stack(path, "stack")
    assert stack.dtype == np.float32 and np.array_equal(stack[1], from_rows(STACK[1]))
    with pytest.raises(ValueError, match=r"shape \(3, 4\), expected \(N, rows, columns\)"):
        read_npz_stack(path, "single")
    with pytest.raises(ValueError, match="expected one of the arrays .*stack, single|stack"):
        read_npz_stack(path, "other")


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 5)])
def test_kspace(shape, tmp_path, rng):
    h5py = pytest.importorskip("h5py")
    kspace = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = kspace
        file["pairs"] = np.stack([kspace.real, kspace.imag], axis=-1)
        file["double"] = np.stack([kspace.real, kspace.imag], axis=-1).astype(float)
        file["bad"] = kspace.real
        file["nan"] = kspace * np.nan
    for key in ("kspace", "pairs", "double"):
        read = read_kspace(tmp_path / "a.h5", key)
        assert np.array_equal(read, kspace)
        assert read.dtype == (np.complex128 if key == "double" else np.complex64)
        assert np.array_equal(read_kspace(tmp_path / "a.h5", key, index=-1), kspace[-1])
    with pytest.raises(ValueError, match="expected \\(slices, coils, rows, columns\\)"):
        read_kspace(tmp_path / "a.h5", "bad")
    with pytest.raises(ValueError, match="NaN"):
        read_kspace(tmp_path / "a.h5", "nan")
    with pytest.raises(ValueError, match=f"{shape[0]} items along its first axis"):
        read_kspace(tmp_path / "a.h5", index=shape[0])
    with pytest.raises(ValueError, match="key is 'none', expected one of"):
        read_kspace(tmp_path / "a.h5", "none")


def test_missing_h5py_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.h5").write_bytes(b"")
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "h5py":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "odl_learned\[hdf5\]"'):
        read_kspace(tmp_path / "a.h5")


def test_attenuation_of_air_water_and_bone():
    mu = hounsfield_to_attenuation(np.array([-3024, -1000, 0, 1000]))
    assert mu.dtype == np.float32
    assert np.allclose(mu, [0, 0, 0.2, 0.4], rtol=1e-6, atol=0)
    assert hounsfield_to_attenuation(np.zeros(1)).dtype == np.float64
    with pytest.raises(TypeError, match="complex"):
        hounsfield_to_attenuation([1j])
    with pytest.raises(ValueError, match="1 NaN"):
        hounsfield_to_attenuation([np.nan])


def test_downsample_by_loops(rng):
    array = rng.standard_normal((2, 6, 9)) + 1j * rng.standard_normal((2, 6, 9))
    coarse = downsample(array, 3)
    assert coarse.shape == (2, 2, 3)
    for i in range(2):
        for j in range(3):
            block = array[:, 3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
            assert np.allclose(coarse[:, i, j], block.sum(axis=(1, 2)) / 9, rtol=1e-14)
    assert np.array_equal(downsample(array, 1), array)
    with pytest.raises(ValueError, match="multiples of the factor 2"):
        downsample(array, 2)
    with pytest.raises(ValueError, match="factor is 0"):
        downsample(array, 0)
