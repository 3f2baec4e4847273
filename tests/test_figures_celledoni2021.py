"""The claims of the figures on equivariance can fail."""

import runpy
from pathlib import Path

import numpy as np
import odl
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "figures" / "celledoni2021"


@pytest.fixture(autouse=True)
def modules_beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)  # as python does with the folder of a script


def script(name):
    return runpy.run_path(str(FOLDER / f"{name}.py"))


MATCHED = script("matched_training")


def results(ordinary=(28.0, 27.2), equivariant=(28.5, 28.5)):
    """Two sizes and two seeds with these means on upright and turned images."""
    offsets = np.array([[-1, -0.5], [0.5, 1]])
    return {"counts": (10, 50)} | {
        name: np.stack([offsets, offsets, upright + offsets, turned + offsets], -1)
        for name, (upright, turned) in {"ordinary": ordinary, "equivariant": equivariant}.items()}


def test_the_claim_can_hold_and_numbers_are_means():
    script("small_data")["claim"](results())
    found = MATCHED["summary"](results())
    assert found == pytest.approx({"rotation_gap_ordinary": 0.8, "rotation_gap_equivariant": 0.0,
                                   "rotated_gain_db": 1.3, "small_data_gain_db": 0.5})


@pytest.mark.parametrize("spoiled", [
    {"equivariant": (28.5, 28.3)}, {"equivariant": (28.5, 28.7)}, {"ordinary": (28.0, 27.8)},
    {"ordinary": (29.0, 28.4)},
])  # fmt: skip
def test_the_claim_can_fail(spoiled):
    with pytest.raises(AssertionError):
        script("small_data")["claim"](results(**spoiled))


def test_curves_are_compared_where_training_images_are_equally_good():
    """The curve passes 27 dB halfway between its second and third row; a dip does not matter."""
    rows = np.array([[20, 19, 18], [26, 24, 22], [28, 25, 20], [27.5, 0, 0]], float)
    np.testing.assert_allclose(MATCHED["at"](rows, 27), [27, 24.5, 21])


def test_the_level_is_where_the_ordinary_map_is_best_for_validation():
    """And not where it is best on the images for tests, or at the end."""
    ordinary = np.array([[20, 19, 20, 20], [30, 25, 23, 22], [40, 24, 26, 21]], float)
    equivariant = np.array([[20, 19, 20, 20], [25, 28, 24, 24], [35, 25, 26, 26]], float)
    found = {"ordinary": ordinary, "equivariant": equivariant}
    rows = MATCHED["matched"](found)
    np.testing.assert_allclose(rows["ordinary"], [30, 25, 23, 22])
    np.testing.assert_allclose(rows["equivariant"], [30, 26.5, 25, 25])
    np.testing.assert_allclose(MATCHED["best"](found)["equivariant"], equivariant[1])
    shorter = MATCHED["matched"](found | {"equivariant": equivariant[:2]})
    np.testing.assert_allclose([rows[0] for rows in shorter.values()], 25)


INPAINTING = script("tv_inpainting")
RESULTS = {"proximal": 1e-15, "promised": 1e-6, "inpainting": 0.26,
           "values": {"upright": (10.0, 0.01), "turned with its mask": (10.01, 0.01)}}


@pytest.mark.parametrize("spoiled", [
    {"proximal": 1e-3}, {"inpainting": 0.01},
    {"values": RESULTS["values"] | {"upright": (10.0, np.inf)}},
    {"values": RESULTS["values"] | {"upright": (10.0, -0.01)}},
    {"values": RESULTS["values"] | {"upright": (10.04, 0.01)}},
])  # fmt: skip
def test_the_claim_about_inpainting_can_fail(spoiled):
    INPAINTING["claim"](RESULTS)
    with pytest.raises(AssertionError):
        INPAINTING["claim"](RESULTS | spoiled)


def test_what_is_kept_is_not_computed_again(tmp_path):
    """An unfinished file, as a run that was killed leaves it, is none."""
    file, drawn = tmp_path / "cell.npz", iter(range(9))

    def new():
        return {"curve": np.array([next(drawn)])}

    (tmp_path / "cell.unfinished.npz").write_bytes(b"PK")
    kept = [MATCHED["kept_or_new"](file, new)["curve"] for _ in range(2)]
    assert kept == [0, 0] and [path.name for path in tmp_path.iterdir()] == ["cell.npz"]
    assert MATCHED["kept_or_new"](None, new)["curve"] == 1


def denoised(**changes):
    """What the figure of rotated denoising asserts, as it could be."""
    return results() | {"errors": {"ordinary": 0.1, "equivariant": 1e-7},
                        "weights": {"ordinary": 7265, "equivariant": 7089}} | changes


@pytest.mark.parametrize("spoiled", [
    {"errors": {"ordinary": 0.1, "equivariant": 1e-5}},
    {"errors": {"ordinary": 1e-3, "equivariant": 1e-7}},
    {"weights": {"ordinary": 7265, "equivariant": 8000}},
    results(ordinary=(28.0, 28.3)), results(equivariant=(28.5, np.nan)),
], ids=range(5))  # fmt: skip
def test_the_claim_about_denoising_can_fail(spoiled):
    claim = script("rotated_denoising")["claim"]
    claim(denoised())
    with pytest.raises(AssertionError):
        claim(denoised(**spoiled))


def test_the_table_has_means_and_spreads_over_seeds():
    rows = script("rotated_denoising")["table"](denoised())
    assert [row[:3] for row in rows[:2]] == [["10", "ordinary", "7265"],
                                             ["10", "equivariant", "7089"]]
    assert rows[0][3:5] == ["27.25 ± 0.35", "26.45 ± 0.35"] and rows[1][5] == "1.0e-07"


def test_slices_are_of_as_many_patients_as_there_are(tmp_path):
    """Each patient gives a slice before one gives a second, and parts share no patient."""
    folder = tmp_path / "slices.npz"
    patients = np.array(["a"] * 5 + ["b"] * 2 + ["c"] + ["d"] * 3)
    hounsfield = np.broadcast_to(100.0 * np.arange(11)[:, None, None] - 1100, (11, 8, 8))
    split = np.array(["train"] * 8 + ["test"] * 3)
    np.savez(folder, images=hounsfield, patient=patients, split=split)
    source = script("small_data")["Slices"](odl.uniform_discr([0, 0], [1, 1], (4, 4)), folder)
    for seed in range(5):
        few = source.drawn("train", 5, np.random.default_rng(seed))
        k = (10 * few[:, 0, 0] + 1).round().astype(int)  # slices 0 and 1 are both air, of patient a
        assert few.shape == (5, 4, 4) and len(set(k)) >= 4
        assert sorted(patients[k][:3]) == ["a", "b", "c"] and sorted(patients[k][3:]) == ["a", "b"]
        assert (source.drawn("test", 3, np.random.default_rng(seed)) >= 0.69).all()
