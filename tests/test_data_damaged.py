"""Files with some bytes changed: read, or refused with an error for the user; nothing else."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest

from odl_learned.data import read_image

h5py, pydicom = pytest.importorskip("h5py"), pytest.importorskip("pydicom")
DICOM = ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_implicit.dcm", "MR_small_expb.dcm",
         "image_dfl.dcm", "rtdose_1frame.dcm", "dicomdirtests/77654033/CR1/6154"]  # fmt: skip


def content(name, folder):
    """The bytes of a good file."""
    array, path = np.arange(400.0).reshape(20, 20), folder / f"good{Path(name).suffix}"
    if name in DICOM:
        return (Path(pydicom.__file__).parent / "data/test_files" / name).read_bytes()
    if name == "a.npy":
        np.save(path, array)
    elif name == "a.npz":
        np.savez_compressed(path, a=array)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("g/a", data=array, compression="gzip", chunks=(10, 10))
            file["a"] = h5py.SoftLink("/g/a")
    return path.read_bytes()


@pytest.mark.parametrize("name", [*DICOM, "a.npy", "a.npz", "a.h5"])
def test_damaged_files(name, tmp_path, rng, monkeypatch):
    monkeypatch.setattr(logging.getLogger("pydicom"), "disabled", True)
    good = np.frombuffer(content(name, tmp_path), dtype=np.uint8)
    path, refused = tmp_path / f"a{Path(name).suffix}", 0
    for i in range(60):
        bad = good[: rng.integers(len(good))].copy() if i % 6 == 0 else good.copy()
        count = rng.integers(1, 9)
        where = rng.integers(min(len(bad), 1500) if i % 2 else len(bad), size=count)
        bad[where] = rng.integers(256, size=count)
        path.write_bytes(bad.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                image = read_image(path, "a" if name == "a.h5" else None)
            except (ValueError, TypeError) as error:
                refused += 1
                assert str(path) in str(error) and "\n" not in str(error).strip()
            else:
                assert image.ndim == 2 and np.all(np.isfinite(image))
    assert refused >= 5
