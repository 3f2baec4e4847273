"""Measured data in archives: arrays in order, and errors that say where the data come from."""

import numpy as np
import pytest

from odl_learned import data

ORIGIN = "Get it at doi 10.0/1."


def test_arrays_come_in_the_order_of_the_names(tmp_path):
    counts, angles = np.arange(6).reshape(2, 3), np.array([0.0, 1.5])
    np.savez(tmp_path / "scan.npz", counts=counts, angles=angles, rest=0)
    first, second = data.read_measurement(tmp_path / "scan.npz", ORIGIN, "angles", "counts")
    assert np.array_equal(first, angles) and np.array_equal(second, counts)


def test_a_missing_file_names_its_origin(tmp_path):
    with pytest.raises(FileNotFoundError, match="scan.npz does not exist.*doi 10.0/1"):
        data.read_measurement(tmp_path / "scan.npz", ORIGIN, "counts")


def test_a_missing_array_is_named(tmp_path):
    np.savez(tmp_path / "scan.npz", counts=0)
    with pytest.raises(KeyError, match=r"no arrays \['angles'\], only \['counts'\].*doi 10.0/1"):
        data.read_measurement(tmp_path / "scan.npz", ORIGIN, "counts", "angles")


def test_a_single_array_is_no_archive(tmp_path):
    np.save(tmp_path / "scan.npy", np.zeros(3))
    with pytest.raises(ValueError, match="single array.*doi 10.0/1"):
        data.read_measurement(tmp_path / "scan.npy", ORIGIN, "counts")


@pytest.mark.parametrize("content", [b"", b"counts: 1, 2, 3"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "scan.npz").write_bytes(content)
    with pytest.raises(ValueError, match="not an npz archive.*doi 10.0/1"):
        data.read_measurement(tmp_path / "scan.npz", ORIGIN, "counts")
