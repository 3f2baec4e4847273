"""The claim of the figure on certified denoisers can fail."""

import copy
import runpy
from pathlib import Path

import numpy as np
import pytest

from odl_learned.reconstruction.plug_and_play import Answer, Convergence, NoGuarantee

SCRIPT = Path(__file__).resolve().parent.parent / "examples/figures/ryu2019/certified_denoiser.py"


def results():
    withheld, image = np.full((2, 2), np.nan), np.ones((2, 2))
    free = {"left": 0.7, "image": withheld, "steps": np.array([0.1, 0.02, 5.0]), "psnr": [13.0],
            "answer": Answer(withheld, NoGuarantee("nothing"), 9, "diverged", 5.0)}  # fmt: skip
    firm = {"left": 0.8, "image": image, "steps": np.array([0.1, 0.01, 1e-4]), "psnr": [20.0],
            "answer": Answer(image, Convergence("a bound"), 9, "accuracy", 1e-4)}  # fmt: skip
    return {"before": 12.0, "networks": {"free": free, "certified": firm}}


def answer(name, **changes):
    def spoil(r):
        r["networks"][name]["answer"] = r["networks"][name]["answer"]._replace(**changes)

    return spoil


def number(name, **changes):
    return lambda r: r["networks"][name].update(changes)


@pytest.mark.parametrize("spoil", [
    answer("free", reason="maxiter"),
    answer("free", guarantee=Convergence("nothing")),
    answer("certified", reason="diverged"),
    answer("certified", guarantee=NoGuarantee("nothing")),
    number("free", left=1.1),
    number("certified", left=1.1),
    number("free", image=np.ones((2, 2))),
    number("free", steps=np.array([0.1, 0.05])),
    number("certified", steps=np.array([0.1, 0.01])),
    number("certified", psnr=[13.0]),
])  # fmt: skip
def test_the_claim_can_fail(spoil):
    claim = runpy.run_path(str(SCRIPT))["claim"]
    claim(results())
    spoiled = copy.deepcopy(results())
    spoil(spoiled)
    with pytest.raises(AssertionError):
        claim(spoiled)
