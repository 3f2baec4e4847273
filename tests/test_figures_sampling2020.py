"""The claims of the figures on learned sampling can fail."""

import copy
import functools
import runpy
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "figures" / "sampling2020"


@pytest.fixture(autouse=True)
def modules_beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)  # as python does with the folder of a script


@functools.cache
def figure(name):
    """Compute once; return the claim and the results."""
    module = runpy.run_path(str(FOLDER / f"{name}.py"))
    return module["claim"], module["compute"]("smoke", np.random.default_rng(0))


SPOILED = {
    "bump": [
        lambda r: r.update(rate=0.03),
        lambda r: r["masks"]["learned"].fill(True),
        lambda r: r["errors"].update({name: 3e-4 * 2 for name in r["errors"]}),
        lambda r: r["errors"].update({"variable density 1": 2 * r["errors"]["learned"]}),
        lambda r: r["errors"].update(lowest=0.7 * r["errors"]["learned"]),
    ],
    "increasing_sparsity": [
        lambda r: r["rates"].__setitem__(1, r["rates"][0]),
        lambda r: r["errors"][::-1].sort(),
        lambda r: r["rates"].__imul__(0.5),
        lambda r: r["rates"].__iadd__(0.25),
        lambda r: r["random"].__setitem__(2, r["errors"][2]),
    ],
    "compare_regularizers": [
        lambda r: r["masks"]["none"].fill(True),
        lambda r: r["train"][0].__setitem__(1, 0.9 * r["train"][0, 0]),
        lambda r: r["train"][0].__setitem__(1, r["train"][0, 0]),
        lambda r: r["train"][1].__setitem__(0, r["train"][1, 1]),
        lambda r: r["test"][0].__setitem__(1, 0.9 * r["test"][0, 0]),
        lambda r: r["test"][0].__setitem__(0, r["test"][2, 2]),
        lambda r: r["test"][2].__imul__(1.1),
        lambda r: r["test"][0].__setitem__(-1, r["test"][0, 0]),
    ],
    "training_size": [
        lambda r: r["masks"][0].fill(True),
        lambda r: r["errors"][-2].fill(1.4 * r["errors"][-1].mean()),
        lambda r: r["random"].fill(r["errors"][0].mean()),
    ],
    "high_resolution": [
        lambda r: r["steps"].append((np.array([1.0, 0.9, 0.8, 1.2]), np.zeros(4))),
        lambda r: r["steps"].append((np.array([1.0, 0.9]), np.zeros(2))),
        lambda r: r["steps"][0][0].__iadd__(1),
        lambda r: [mask.fill(True) for mask in r["masks"].values()],
        lambda r: r["masks"]["variable density"].fill(True),
        lambda r: r["errors"].update(learned=r["errors"]["variable density"]),
        lambda r: r["weights"].fill(0.1),
    ],
}


@pytest.mark.parametrize("name", SPOILED)
def test_the_claims_can_fail(name):
    claim, results = figure(name)
    claim(results)
    for number, spoil in enumerate(SPOILED[name]):
        spoiled = copy.deepcopy(results)
        spoil(spoiled)
        with pytest.raises(AssertionError):
            claim(spoiled)
            pytest.fail(f"{name} does not notice spoil {number}", pytrace=False)


@pytest.mark.parametrize("spoil", [
    lambda r: r["masks"]["joint"].fill(True),
    lambda r: r["map"].update({"random 1": 1.0, "random 2": 1.0}),
    lambda r: r["TV"].update({"random 1": 1.0, "random 2": 1.0}),
    lambda r: r["map"].update({"for TV": 0.8}),
    lambda r: r["TV"].update({"for TV": 0.75}),
])  # fmt: skip
def test_the_claim_about_joint_learning_can_fail(spoil):
    """On made-up numbers, since training takes long."""
    names = ("joint", "for TV", "lowest", "random 1", "random 2")
    results = {"masks": {name: np.arange(16).reshape(4, 4) < 4 for name in names},
               "map": dict(zip(names, (1.0, 1.1, 1.2, 2.0, 2.5))),
               "TV": dict(zip(names, (1.2, 1.0, 1.2, 2.5, 3.0)))}  # fmt: skip
    claim = runpy.run_path(str(FOLDER / "joint_with_a_map.py"))["claim"]
    claim(results)
    spoil(results)
    with pytest.raises(AssertionError):
        claim(results)
