"""The claim of the figure on equivariant plug and play can fail."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from odl_learned.reconstruction.plug_and_play import Answer, Convergence, NoGuarantee

SCRIPT = (Path(__file__).resolve().parent.parent
          / "examples/figures/terris2024/equivariant_denoiser.py")
NAMES = ("one direction", "random directions", "all directions")


def results():
    answer = Answer(None, NoGuarantee("nothing"), 3, "maxiter", 1.0)
    runs = [{"answer": answer, "psnr": np.array(psnr), "evaluation": error, "iteration": error}
            for psnr, error in (([24.0, 5.0], 0.02), ([24.3, 20.0], 0.02), ([24.5, 22.0], 1e-7))]
    return {"before": 22.0, "runs": dict(zip(NAMES, runs))}


@pytest.mark.parametrize(("which", "changes"), [
    (0, {"evaluation": 1e-4}),
    (0, {"iteration": 1e-3}),
    (0, {"psnr": np.array([24.4, 5.0])}),
    (0, {"psnr": np.array([24.0, 17.0])}),
    (1, {"psnr": np.array([23.0, 20.0])}),
    (1, {"psnr": np.array([24.3, 8.0])}),
    (2, {"evaluation": 1e-4}),
    (2, {"iteration": 1e-3}),
    (2, {"psnr": np.array([23.9, 22.0])}),
    (2, {"answer": Answer(None, Convergence("nothing"), 3, "maxiter", 1.0)}),
])  # fmt: skip
def test_the_claim_can_fail(which, changes):
    claim = runpy.run_path(str(SCRIPT))["claim"]
    claim(results())
    spoiled = results()
    spoiled["runs"][NAMES[which]].update(changes)
    with pytest.raises(AssertionError):
        claim(spoiled)
