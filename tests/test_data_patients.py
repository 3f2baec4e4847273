"""Scans by path, splits by patients, and pairs without inverse crime."""

import dicom_files
import numpy as np
import odl
import pytest

from odl_learned import data, operators

h5py = pytest.importorskip("h5py")


def kspace(path, patient, on_array=False, slices=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(slices).standard_normal((slices, 3, 6, 4)).astype("complex64")
    with h5py.File(path, "w") as file:  # without an ismrmrd_header
        file["kspace"] = values
        file["reconstruction_rss"] = np.ones((slices, 6, 4), "float32")
        file.attrs["acquisition"] = "CORPD_FBK"
        if patient is not None:
            (file["kspace"] if on_array else file).attrs["patient_id"] = patient
    return values


def series(folder, patient, slices=2):
    folder.mkdir(parents=True)
    for k in range(slices):
        dicom_files.write(folder / f"{k}.dcm", np.full((4, 4), 10 * k), (1, 0, 0), (0, 1, 0),
                          (0, 0, 2.5 * k), PatientID=patient, PixelSpacing=[0.7, 0.7])


def test_kspace_files_are_found_by_patient(tmp_path):
    values = kspace(tmp_path / "train" / "file1.h5", "ab")
    kspace(tmp_path / "val" / "file2.h5", b"ab", on_array=True)
    kspace(tmp_path / "file3.hdf5", 7)
    (tmp_path / "notes.txt").write_text("no scan")
    found = data.find_patients(tmp_path)
    assert list(found) == ["7", "ab"]
    assert [path.name for path in found["ab"]] == ["file1.h5", "file2.h5"]
    assert np.array_equal(data.read_kspace(found["ab"][0], index=1), values[1])


def test_series_of_dicom_are_found_by_patient(tmp_path):
    series(tmp_path / "LIDC-IDRI-0002" / "study" / "series", "LIDC-IDRI-0002")
    series(tmp_path / "LIDC-IDRI-0001" / "study" / "a", "LIDC-IDRI-0001", 3)
    series(tmp_path / "LIDC-IDRI-0001" / "study" / "b", "LIDC-IDRI-0001")
    found = data.find_patients(tmp_path)
    assert list(found) == ["LIDC-IDRI-0001", "LIDC-IDRI-0002"]
    assert [path.name for path in found["LIDC-IDRI-0001"]] == ["a", "b"]
    stack = data.read_dicom_folder(found["LIDC-IDRI-0001"][0])
    assert stack.array.shape == (3, 4, 4) and stack.slice_mm == 2.5


def test_scans_that_could_be_on_two_sides_are_refused(tmp_path):
    kspace(tmp_path / "a" / "x.h5", None)
    with pytest.raises(ValueError, match="x.h5 has no attribute patient_id"):
        data.find_patients(tmp_path / "a")
    series(tmp_path / "b" / "s", "one")
    dicom_files.write(tmp_path / "b" / "s" / "9.dcm", np.zeros((4, 4)), PatientID="two")
    with pytest.raises(ValueError, match="images of the patients 'one' and 'two'"):
        data.find_patients(tmp_path / "b")
    series(tmp_path / "c" / "s", "")
    with pytest.raises(ValueError, match="has no PatientID"):
        data.find_patients(tmp_path / "c")
    (tmp_path / "d").mkdir()
    with pytest.raises(ValueError, match="neither DICOM images nor HDF5"):
        data.find_patients(tmp_path / "d")
    with pytest.raises(NotADirectoryError):
        data.find_patients(tmp_path / "e")


SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def test_every_patient_is_in_one_split():
    patients = {f"p{k}": [f"{k}.h5"] for k in range(20)}
    splits = data.split_patients(patients, SHARES, seed=3)
    assert [len(splits[name]) for name in SHARES] == [14, 2, 4]
    joined = [name for split in splits.values() for name in split]
    assert sorted(joined) == sorted(patients)
    turned = dict(reversed(patients.items()))  # found in another order
    assert data.split_patients(turned, SHARES, seed=3) == splits
    assert data.split_patients(patients, SHARES, seed=4) != splits
    assert splits["val"] == {name: patients[name] for name in splits["val"]}


@pytest.mark.parametrize("patients, shares, seed, error, message", [
    ([], SHARES, 0, TypeError, "patients is"),
    ({"a": []}, {"train": 1.5}, 0, ValueError, "add up to 1.5"),
    ({"a": []}, {"train": -0.5, "test": 1.5}, 0, ValueError, r"shares\['train'\] is -0.5"),
    ({"a": []}, {"train": 0.5, "test": 0.5}, 0, ValueError, "has no patient"),
    ({"a": []}, {"train": 1.0}, -1, ValueError, "seed is -1"),
])  # fmt: skip
def test_splits_that_are_none(patients, shares, seed, error, message):
    with pytest.raises(error, match=message):
        data.split_patients(patients, shares, seed)


def test_data_come_from_the_finer_grid():
    fine, X = (odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32") for n in (32, 16))
    A = operators.parallel_ray_transform(X, 12)
    fine_op = odl.applications.tomo.RayTransform(fine, A.geometry, impl="astra_cpu")

    def bump(rng):
        x, y = (grid - rng.uniform(-0.2, 0.2) for grid in fine.meshgrid)
        return fine.element(np.exp(-8 * (x**2 + y**2)))

    pairs = data.SimulatedPairs(bump, lambda x, rng: A.range.element(fine_op(x).data), 3, seed=0)
    coarse = data.CoarsePairs(pairs, 2)
    y, truth = coarse[1]
    u = pairs[1][1]
    assert len(coarse) == 3 and truth.shape == (16, 16)
    assert np.allclose(truth, (u[::2, ::2] + u[1::2, ::2] + u[::2, 1::2] + u[1::2, 1::2]) / 4)
    crime = A(X.element(truth))
    share = float((A.range.element(y) - crime).norm() / crime.norm())
    assert 1e-3 < share < 0.1  # near, and not what the coarse operator gives
    assert np.array_equal(data.FixedPairs.drawn(coarse).truth[1], truth)
    with pytest.raises(ValueError, match="factor is 0"):
        data.CoarsePairs(pairs, 0)
    with pytest.raises(TypeError, match="expected a sequence of pairs"):
        data.CoarsePairs(3, 2)
