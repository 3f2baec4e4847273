"""Slices by subject: shares, order, scale, orientation, and what is missing."""

import numpy as np
import pytest

from odl_learned import data


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    subject = np.array(["b"] * 5 + ["a"] * 7 + ["c"] * 4)
    np.savez(
        tmp_path / "slices.npz", images=rng.integers(0, 900, (16, 4, 6)).astype(np.uint16),
        split=np.where(subject == "c", "test", "train"), subject=subject,
        p999=np.linspace(100, 900, 16),
    )  # fmt: skip
    return tmp_path / "slices.npz"


def pictures(path, numbers):
    with np.load(path) as file:
        return data.from_rows(file["images"][numbers] / file["p999"][numbers][:, None, None])


@pytest.mark.parametrize("split, count, numbers", [
    ("train", 2, [8, 2]),
    ("train", 3, [6, 10, 2]),
    ("train", 1, [8]),
    ("train", 10, [5, 7, 8, 9, 11, 0, 1, 2, 3, 4]),
    ("test", 4, [12, 13, 14, 15]),
])  # fmt: skip
def test_subjects_give_equal_shares(path, split, count, numbers):
    found = data.read_slices(path, split, count)
    assert found.shape == (count, 6, 4) and found.dtype == np.float64
    np.testing.assert_array_equal(found, pictures(path, numbers))


def test_subjects_can_be_chosen(path):
    found = data.read_slices(path, "train", 3, subjects=["b", "a"])
    np.testing.assert_array_equal(found, pictures(path, [1, 3, 8]))
    found = data.read_slices(path, "train", 2, subjects=["b"])
    np.testing.assert_array_equal(found, pictures(path, [1, 3]))


def test_blocks_are_averaged(path):
    whole, halves = (data.read_slices(path, "train", 3, factor) for factor in (1, 2))
    np.testing.assert_array_equal(halves, data.downsample(whole, 2))


@pytest.mark.parametrize("arguments, match", [
    (("val", 2), r"split is 'val', expected one of \['test', 'train'\]"),
    (("train", 12), "count is 12, 6 slices of subject b, which has 5; ask for 10 at most"),
    (("train", 0), "count"),
    (("train", 1, 1, ["c"]), r"subjects is \['c'\], expected some of \['a', 'b'\]"),
    (("train", 1, 1, []), r"subjects is \[\], expected some of"),
    (("train", 2, 1, ["a", "a"]), r"subjects is \['a', 'a'\], expected .*each once"),
])  # fmt: skip
def test_what_is_not_there_is_named(path, arguments, match):
    with pytest.raises(ValueError, match=match):
        data.read_slices(path, *arguments)


@pytest.mark.parametrize("changed, match", [
    ({"p999": np.array([1.0, 0.0])}, "p999 in .* has the minimum 0, expected the positive"),
    ({"p999": np.array([1.0, -2.0])}, "minimum -2"),
    ({"p999": np.array([1.0, np.nan])}, "p999 in .* contains 1 NaN"),
    ({"p999": np.ones(3)}, r"shapes \(2, 3, 4\), \(2,\), \(2,\), \(3,\), expected \(N, rows, colu"),
    ({"images": np.ones((2, 3, 4, 3))}, r"shapes \(2, 3, 4, 3\)"),
    ({"images": np.full((2, 3, 4), np.inf)}, "images in .* contains 24 NaN or infinite"),
])  # fmt: skip
def test_archives_that_do_not_fit_together(tmp_path, changed, match):
    arrays = {"images": np.ones((2, 3, 4)), "split": np.array(["train"] * 2),
              "subject": np.array(["a", "a"]), "p999": np.ones(2)}  # fmt: skip
    np.savez(tmp_path / "a.npz", **arrays)
    assert data.read_slices(tmp_path / "a.npz", "train", 2).shape == (2, 4, 3)
    np.savez(tmp_path / "a.npz", **{**arrays, **changed})
    with pytest.raises(ValueError, match=match):
        data.read_slices(tmp_path / "a.npz", "train", 2)


def test_limits_of_slices(path):
    data.read_slices(path, "train", 1, limits=data.Limits(max_bytes=16 * 24 * 2))
    with pytest.raises(ValueError, match="images in .* would take 768 bytes or more.*767"):
        data.read_slices(path, "train", 1, limits=data.Limits(max_bytes=767))
