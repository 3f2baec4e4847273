"""The claim of the figure on the missing gradient can fail."""

import copy
import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "examples/figures/romano2017/missing_gradient.py"


def results():
    ones = np.ones(4)
    free = {"left": 0.5, "asymmetry": 0.7, "refusal": "it is not the gradient of", "products": ones,
            "quotients": 0.5 * ones, "circulation": 0.05 * ones}  # fmt: skip
    symmetric = {"left": 0.5, "asymmetry": 1e-16, "refusal": "", "products": ones,
                 "quotients": (1 + 1e-6) * ones, "circulation": 1e-7 * ones}  # fmt: skip
    return {"free": free, "symmetric": symmetric}


@pytest.mark.parametrize(("name", "changes"), [
    ("free", {"left": 0.9}),
    ("free", {"asymmetry": 0.0}),
    ("free", {"refusal": ""}),
    ("free", {"quotients": np.ones(4)}),
    ("free", {"circulation": np.zeros(4)}),
    ("symmetric", {"left": 0.9}),
    ("symmetric", {"asymmetry": 1e-3}),
    ("symmetric", {"refusal": "it is not the gradient of"}),
    ("symmetric", {"quotients": 1.001 * np.ones(4)}),
    ("symmetric", {"circulation": 1e-4 * np.ones(4)}),
])  # fmt: skip
def test_the_claim_can_fail(name, changes):
    claim = runpy.run_path(str(SCRIPT))["claim"]
    claim(results())
    spoiled = copy.deepcopy(results())
    spoiled[name].update(changes)
    with pytest.raises(AssertionError):
        claim(spoiled)
