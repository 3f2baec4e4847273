"""Files that are missing, damaged, or hold something else."""

import numpy as np
import pytest
import torch
from mistakes import NAN, ONE, Map, check_message, rng, rows

from odl_learned import data
from odl_learned.learning.files.checkpoint import read_checkpoint, write_checkpoint


def damaged(path, start, stop):
    """A copy of a file with every seventh byte between two places turned over."""
    content = bytearray(path.read_bytes())
    for i in range(start, stop, 7):
        content[i] ^= 0xFF
    copy = path.with_name(f"damaged{path.suffix}")
    copy.write_bytes(content)
    return copy


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with good and bad files."""
    h5py = pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("files")
    noise = rng().standard_normal((64, 64))
    stored = {"one": ONE, "nan": NAN, "complex": 1j * ONE, "stack": np.ones((2, 4, 4)),
              "text": np.array([["a"]]), "none": np.ones((0, 4)), "huge": np.full((4, 4), 1e300)}
    for name, array in stored.items():
        np.save(folder / f"{name}.npy", array)
    np.savez_compressed(folder / "noise.npz", a=noise)
    np.savez(folder / "two.npz", a=ONE, b=ONE)
    with h5py.File(folder / "two.h5", "w") as file:
        file["a"], file["b"], file["kspace"] = ONE, ONE, np.ones((2, 3, 4, 4), dtype=complex)
    with h5py.File(folder / "noise.h5", "w") as file:
        file.create_dataset("a", data=noise, compression="gzip")
    for suffix in ("txt", "npy", "npz", "dcm", "h5", "png", "pt"):
        (folder / f"junk.{suffix}").write_bytes(b"junk")
    (folder / "cut.npy").write_bytes((folder / "one.npy").read_bytes()[:-20])
    (folder / "cut.npz").write_bytes((folder / "two.npz").read_bytes()[:-20])
    torch.save({"x": 1}, folder / "foreign.pt")
    torch.save({"format": 99}, folder / "future.pt")
    torch.save({"format": 2, "x": Map}, folder / "code.pt")
    return folder


def reads(name, *args, **kwargs):
    return lambda folder: data.read_image(folder / name, *args, **kwargs)


FILES = [
    ("missing file", reads("no.npy"), FileNotFoundError, "no.npy does not exist, expected a file"),
    ("folder for a file", reads("."), FileNotFoundError, "is a folder, expected a file; check"),
    ("wrong suffix", reads("junk.txt"), ValueError, r"'\.txt', expected \.npy.*convert"),
    ("junk png", reads("junk.png"), ValueError, "junk.png cannot be read as a picture.*copy it"),
    ("junk npy", reads("junk.npy"), ValueError, "junk.npy is not a readable.*expected.*Copy"),
    ("junk npz", reads("junk.npz"), ValueError, "junk.npz is not a readable.*expected.*Copy"),
    ("junk dcm", reads("junk.dcm"), ValueError, "junk.dcm is not a readable DICOM.*expected.*Copy"),
    ("junk h5", reads("junk.h5"), ValueError, "junk.h5 is not a readable HDF5.*copy"),
    ("cut npy", reads("cut.npy"), ValueError, "cut.npy is not a readable.*Copy"),
    ("cut npz", reads("cut.npz", "a"), ValueError, "cut.npz is not a readable.*Copy"),
    ("damaged npz", lambda d: data.read_image(damaged(d / "noise.npz", 1000, 3000)), ValueError,
     "damaged.npz cannot be read.*copy"),
    ("damaged h5", lambda d: data.read_image(damaged(d / "noise.h5", 20000, 30000)), ValueError,
     "a in .*damaged.h5 cannot be read.*copy"),
    ("key left out", reads("two.npz"), ValueError, r"key is None, expected one of.*a \(4, 4\), b"),
    ("unknown key npz", reads("two.npz", "q"), ValueError, r"key is 'q', expected.*a \(4, 4\), b"),
    ("unknown key h5", reads("two.h5", "q"), ValueError, r"key is 'q', expected.*a \(4, 4\), b"),
    ("key of npy", reads("one.npy", "q"), ValueError, "key is 'q', expected None"),
    ("index out of range", reads("stack.npy", index=2), ValueError,
     "stack of 2 images and index is 2; choose an index between 0 and 1"),
    ("index left out", reads("stack.npy"), ValueError, "index is None; choose an index"),
    ("index of a picture", reads("one.npy", index=0), ValueError, "index is 0; leave index away"),
    ("half an index", reads("stack.npy", index=0.5), TypeError,
     "index is 0.5, expected a whole number"),
    ("word for an index", reads("stack.npy", index="0"), TypeError, "index is '0', expected"),
    ("NaN in a file", reads("nan.npy"), ValueError, "nan.npy contains 16 NaN.*expected.*isfinite"),
    ("too large for float32", reads("huge.npy"), ValueError, "single precision contains 16"),
    ("complex picture", reads("complex.npy"), TypeError, "complex.npy is complex.*expected real"),
    ("text in a file", reads("text.npy"), TypeError, "dtype <U1, expected numbers"),
    ("no pixels", reads("none.npy"), ValueError, r"shape \(0, 4\), expected at least one pixel"),
    ("picture for a stack", lambda d: data.read_npz_stack(d / "two.npz", "a"), ValueError,
     r"shape \(4, 4\), expected \(N, rows, columns\).*read_image"),
    ("suffix of a stack", lambda d: data.read_npz_stack(d / "one.npy", "a"), ValueError,
     r"'\.npy', expected \.npz; pack"),
    ("kspace elsewhere", lambda d: data.read_kspace(d / "no.h5"), FileNotFoundError, "no.h5"),
    ("layout of kspace", lambda d: data.read_kspace(d / "two.h5", "a"), ValueError,
     r"shape \(4, 4\) and dtype float64, expected \(slices, coils"),
    ("index of kspace", lambda d: data.read_kspace(d / "two.h5", index=2), ValueError,
     "index is 2, expected between 0 and 1"),
    ("word for an index of kspace", lambda d: data.read_kspace(d / "two.h5", index="a"), TypeError,
     "index is 'a', expected a whole number"),
    ("folder of junk", lambda d: data.read_dicom_folder(d), ValueError,
     "junk.dcm is not a readable"),
    ("file for a folder", lambda d: data.read_dicom_folder(d / "junk.dcm"), NotADirectoryError,
     "is not a folder; for one file use data.read_dicom"),
    ("missing checkpoint", lambda d: read_checkpoint(d / "no.pt"), FileNotFoundError,
     "checkpoint .*no.pt does not exist"),
    ("folder for a checkpoint", lambda d: read_checkpoint(d), IsADirectoryError, "is a folder"),
    ("junk checkpoint", lambda d: read_checkpoint(d / "junk.pt"), ValueError,
     "junk.pt cannot be read.*Restore"),
    ("foreign checkpoint", lambda d: read_checkpoint(d / "foreign.pt"), ValueError,
     "not a training state.*Restore"),
    ("future checkpoint", lambda d: read_checkpoint(d / "future.pt"), ValueError,
     "format 99, expected 3"),
    ("code in a checkpoint", lambda d: read_checkpoint(d / "code.pt"), ValueError,
     r"code.pt cannot be read: it holds more than tensors.*Restore[^\n]*$"),
    ("unreadable state", lambda d: write_checkpoint(d / "new.pt", {"x": Map}), ValueError,
     r"cannot be read back.*expected states.*tensors and numbers"),
]


@rows(FILES)
def test_mistake(mistake, error, pattern, files):
    check_message(lambda: mistake(files), error, pattern)
