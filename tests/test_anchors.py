"""Published numbers of classical methods are met at full size, and a miss would be noticed."""

import runpy
from pathlib import Path

import numpy as np
import pytest

ANCHORS = Path(__file__).resolve().parent.parent / "examples" / "figures" / "anchors"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shepp_logan_ellipses", "dival_ellipses"])
def test_the_published_numbers_are_met(name, tmp_path):
    runpy.run_path(str(ANCHORS / f"{name}.py"))["main"]("paper", tmp_path)


@pytest.mark.parametrize("shift", [-0.3, 0.3])
def test_a_miss_of_the_dival_anchor_is_noticed(shift):
    claim = runpy.run_path(str(ANCHORS / "dival_ellipses.py"))["claim"]
    fbp, tv = np.full(4, 24.18), np.full(2, 27.96)
    results = {"size": "paper", "certified": True, "fbp": fbp, "tv": tv}
    claim(results)
    with pytest.raises(AssertionError, match="TV is off"):
        claim(results | {"tv": results["tv"] + shift})
    with pytest.raises(AssertionError, match="gap"):
        claim(results | {"certified": False})
