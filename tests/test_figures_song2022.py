"""The claim of the figure on samples of a posterior can fail."""

import runpy
from pathlib import Path

import numpy as np
import pytest

FIGURES = Path(__file__).resolve().parent.parent / "examples/figures"
SCRIPT = FIGURES / "song2022/posterior_of_a_slice.py"


def results(spread=1.0, elsewhere=False, tv=0.05, mean=0.0):
    """Nine samples around an image that is one more of them, rough in one half of the image."""
    rng = np.random.default_rng(0)
    scale = np.repeat([[0.001], [0.05]], 32, axis=0) * np.ones((1, 64))
    truth = 0.5 + scale * rng.standard_normal((64, 64))
    scale = spread * (scale[::-1] if elsewhere else scale)
    images = 0.5 + mean + scale * rng.standard_normal((9, 64, 64))
    return {"truth": truth.astype("float32"), "images": images.astype("float32"),
            "tv": (truth + tv).astype("float32")}  # fmt: skip


@pytest.mark.parametrize("spoiled, message", [
    (dict(spread=0.2), "no better than samples"),
    (dict(tv=0.001), "total variation is as good"),
    (dict(elsewhere=True), "does not say where"),
    (dict(mean=0.05), "total variation is as good"),
    (dict(spread=0.65), "hold as much as they say"),
    (dict(spread=4.0, tv=0.3), "as large as the error"),
])  # fmt: skip
def test_the_claim_can_fail(spoiled, message):
    claim = runpy.run_path(str(SCRIPT))["claim"]
    claim(results())
    with pytest.raises(AssertionError, match=message):
        claim(results(**spoiled))
