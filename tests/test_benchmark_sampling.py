"""The benchmark of learned patterns: on small invented subjects it does what its page says."""

import sys
from pathlib import Path

import numpy as np
import odl
import pytest

from odl_learned import data

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))
import bilevel_greedy
import bilevel_sampling

SLICES = {"train": 2, "val": 6, "test": 3}


def archive(folder, n, rng):
    """Write slices of all subjects as the benchmark reads them, 256 x 256 from n x n."""
    space = odl.uniform_discr([0, 0], [n, n], (n, n))
    known = [(split, subject) for split, subjects in bilevel_sampling.SUBJECTS.items()
             for subject in subjects for _ in range(SLICES[split])]  # fmt: skip
    block = np.ones((256 // n, 256 // n))
    images = [np.kron(data.random_body(space, rng).data, block) for _ in known]
    splits, subjects = zip(*known, strict=True)
    (folder / "mri").mkdir()
    np.savez(folder / "mri" / "mri_brain_256.npz", images=np.stack(images), split=splits,
             subject=subjects, p999=np.ones(len(known)))  # fmt: skip


@pytest.fixture
def seen(tmp_path, rng, monkeypatch):
    """All masks that are measured, with their PSNR, in the folder ``tmp_path``."""
    n, masks, right = 16, [], bilevel_sampling.tuned_psnr
    archive(tmp_path, n, rng)

    def noted(mask, few, measured):
        masks.append((mask, right(mask, few, measured)))
        return masks[-1][1]

    for name, value in (("N", n), ("TESTED", SLICES), ("tuned_psnr", noted)):
        monkeypatch.setattr(bilevel_sampling, name, value)
    return masks


@pytest.mark.slow
def test_points_are_compared_with_masks_of_their_rate(seen, tmp_path):
    setting = bilevel_sampling.Setting(0.01, 1e-2, 5e-3, 10)
    found = bilevel_sampling.compare(tmp_path, setting, "test")
    assert all(abs(mask.mean() - found["points_rate"]) <= 1.5 / 16 for mask, _ in seen)
    *uninformed, learned, _ = [scores for _, scores in seen]
    assert len(uninformed) > 30
    for name, split in (("uninformed", "val"), ("best_uninformed", "test")):
        best = max(uninformed, key=lambda scores: scores[split].mean())
        assert found[f"learned_over_{name}_db"] == pytest.approx(
            (learned["test"] - best["test"]).mean())  # fmt: skip
    by_subject = found["learned_over_uninformed_db_by_subject"]
    assert len(by_subject) == 3
    assert np.mean(by_subject) == pytest.approx(found["learned_over_uninformed_db"])


@pytest.mark.slow
def test_lines_are_compared_with_greedy_and_uninformed_ones(seen, tmp_path, monkeypatch):
    monkeypatch.setattr(bilevel_greedy, "N", 16)
    monkeypatch.setattr(bilevel_greedy, "LINES", bilevel_sampling.Setting(0.01, 2e-2, 5e-3, 10))
    found = bilevel_greedy.compare_lines(tmp_path, "test")
    assert all(mask.mean() == found["lines_rate"] for mask, _ in seen)
    learned, greedy, learned_again, greedy_again, *uninformed, last = seen
    assert np.array_equal(learned[0], last[0]) and np.array_equal(greedy[0], greedy_again[0])
    gain = learned[1]["test"] - greedy[1]["test"]
    assert gain.mean() == pytest.approx(found["lines_over_greedy_db"])
    assert np.mean(found["lines_over_greedy_db_by_subject"]) == pytest.approx(gain.mean())
    train = learned_again[1]["train"] - greedy_again[1]["train"]
    assert len(train) == 10
    assert train.mean() == pytest.approx(found["lines_over_greedy_training_db"])
    best = max(uninformed, key=lambda each: each[1]["val"].mean())[1]["test"]
    assert (last[1]["test"] - best).mean() == pytest.approx(found["lines_over_uninformed_db"])


@pytest.mark.slow
def test_points_are_compared_with_greedy_ones_that_see_a_part(seen, tmp_path, monkeypatch):
    monkeypatch.setattr(bilevel_greedy, "N", 16)
    monkeypatch.setattr(bilevel_greedy, "POINTS", bilevel_sampling.Setting(0.01, 1e-2, 5e-3, 10))
    for name, value in (("CANDIDATES", 2), ("SAMPLES", 1)):
        monkeypatch.setattr(bilevel_greedy, name, value)
    found = bilevel_greedy.compare_points(tmp_path, "test")
    assert found["points_over_greedy_training_db"] > 0 and len(seen) == 4
    assert len({mask.sum() for mask, _ in seen}) == 1
    gain = seen[0][1]["test"] - seen[1][1]["test"]
    assert gain.mean() == pytest.approx(found["points_over_greedy_db"])
