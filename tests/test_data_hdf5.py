"""HDF5: links and arrays that lead to other files, sizes beyond the limits, and no numbers.

All files are small and harmless: limits are set low, and links lead to files of the test itself.
"""

import numpy as np
import pytest

from odl_learned.data import Limits, read_image, read_kspace

h5py = pytest.importorskip("h5py")
PICTURE = np.arange(12.0).reshape(3, 4)
LOW = Limits(small_bytes=1000)


@pytest.fixture
def linked(tmp_path):
    """A file with arrays of its own and arrays that lie in another file."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = file["kspace"] = PICTURE
    (tmp_path / "raw.bin").write_bytes(PICTURE.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["own"] = PICTURE
        file["group/deep"] = 2 * PICTURE
        file["near"] = h5py.SoftLink("/group/deep")
        file["group/up"] = h5py.SoftLink("/own")
        file["folder"] = h5py.SoftLink("group")
        file["lost"] = h5py.SoftLink("/nothing")
        file["circle"] = h5py.SoftLink("/circle")
        file["outside"] = h5py.ExternalLink("other.h5", "/x")
        file["far"] = h5py.ExternalLink("other.h5", "/")
        file["behind"] = h5py.SoftLink("/far/x")
        file.create_dataset("raw", (3, 4), "f8", external=[("raw.bin", 0, 96)])
        layout = h5py.VirtualLayout((3, 4), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3, 4))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("never", (3, 4), "f8")
        file["nothing at all"] = h5py.Empty("f8")
        file.create_dataset("words", (3, 4), h5py.string_dtype())
    return tmp_path / "a.h5"


def test_links_within_a_file_are_followed(linked):
    for key, factor in (("own", 1), ("/own", 1), ("near", 2), ("folder/deep", 2), ("group/up", 1),
                        ("folder/up", 1), ("/group//deep", 2)):  # fmt: skip
        expected = factor * PICTURE.T[:, ::-1]
        assert np.array_equal(read_image(linked, key), expected)


@pytest.mark.parametrize(("key", "message"), [
    ("outside", "outside is a link to another file"),
    ("far/x", "far is a link to another file"),
    ("behind", "far is a link to another file"),
    ("circle", "circle is a link to another file, or one of many links"),
    ("raw", "its numbers are in another file, external storage"),
    ("virtual", "it is a virtual array"),
])  # fmt: skip
@pytest.mark.parametrize("read", [read_image, read_kspace])
def test_nothing_leads_out_of_a_file(linked, key, message, read):
    for removed in (False, True):  # the same whether the other files are there or not
        if removed:
            (linked.parent / "other.h5").unlink()
            (linked.parent / "raw.bin").unlink()
        pattern = f"{key} in .* cannot be read: {message}.*no other file is opened"
        with pytest.raises(ValueError, match=pattern):
            read(linked, key)


def test_arrays_of_other_files_are_listed_as_such(linked):
    with pytest.raises(ValueError, match=r"own \(3, 4\), raw in another file, virtual in another"):
        read_image(linked)


@pytest.mark.parametrize(("key", "error", "message"), [
    ("lost", ValueError, r"key is 'lost', expected one of.*own \(3, 4\)"),
    ("group", ValueError, "key is 'group', expected one of"),
    ("own/x", ValueError, "key is 'own/x', expected one of"),
    ("never", ValueError, "nothing was ever written into it"),
    ("nothing at all", ValueError, "is empty, without a shape"),
    ("words", TypeError, "words in .* has dtype object, expected numbers"),
])  # fmt: skip
def test_keys_of_hdf5_without_numbers(linked, key, error, message):
    with pytest.raises(error, match=message):
        read_image(linked, key)


@pytest.mark.parametrize("storage", [{"chunks": (1, 100, 100), "compression": "gzip"}, {}])
def test_hdf5_files_that_claim_too_much(tmp_path, storage):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        huge = file.create_dataset("huge", (2**30, 2**30), "f8", chunks=(10, 10))
        huge[:10, :10] = 1.0
        file.create_dataset("zeros", data=np.zeros((2, 400, 200)), **storage)
        file.create_dataset("chunk", data=np.zeros((400, 10, 10)), chunks=(400, 10, 10),
                            compression="gzip")  # fmt: skip
    with pytest.raises(ValueError, match=r"huge in .* would take \d+ bytes or more"):
        read_image(path, "huge")
    size = 400 * 200 * 8
    if storage:
        with pytest.raises(ValueError, match=f"would take {size} bytes .* a ratio of at most 200"):
            read_image(path, "zeros", 1, LOW)
    assert not np.any(read_image(path, "zeros", 1, Limits(size)))
    with pytest.raises(ValueError, match=f"would take {size} bytes .*at most {size - 1} bytes"):
        read_image(path, "zeros", 1, Limits(size - 1))
    # One item of a chunk costs the whole chunk.
    with pytest.raises(ValueError, match="would take 320000 bytes .*at most 319999 bytes"):
        read_image(path, "chunk", 1, Limits(319999))


def test_kspace_has_the_same_limits(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kspace", data=np.ones((2, 3, 20, 20), complex), compression="gzip")
    assert read_kspace(tmp_path / "a.h5", index=1).shape == (3, 20, 20)
    with pytest.raises(ValueError, match="kspace in .* would take 19200 bytes or more"):
        read_kspace(tmp_path / "a.h5", index=1, limits=Limits(max_bytes=19199))


def test_filters_that_are_not_installed_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((3, 4))
        # An optional filter that nobody has is skipped on writing; here the mask says it was not.
        properties.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((3, 4))
        stored = h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_DOUBLE, space, properties)
        stored.write_direct_chunk((0, 0), PICTURE.tobytes(), 0)
    with pytest.raises(ValueError, match="a in .* compressed by filter 32999 .*import hdf5plugin"):
        read_image(tmp_path / "a.h5")
