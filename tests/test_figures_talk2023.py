"""The claims of the figures of the talks can fail."""

import copy
import functools
import runpy
from pathlib import Path

import numpy as np
import odl
import pytest

from odl_learned.reconstruction.plug_and_play import Answer, Convergence, NoGuarantee

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "figures" / "talk2023"


@functools.cache
def figure(name):
    """Compute once; return the claim and the results."""
    module = runpy.run_path(str(FOLDER / f"{name}.py"))
    return module["claim"], module["compute"]("smoke", np.random.default_rng(0))


def swap(results, first, second):
    results[first], results[second] = results[second], results[first]


SPOILED = {
    "tv_and_tgv_denoising": [
        lambda r: r["psnr"]["TV"].__iadd__(1),
        lambda r: r["flat"].update(TV=np.zeros((3, 3))),
        lambda r: r["flat"].update(TGV=r["flat"]["TV"]),
        lambda r: r["psnr"]["TGV"].sort(axis=1),
        lambda r: r["psnr"]["TGV"].sort(axis=0),
        lambda r: r["gap"].update(TGV=2e-3),
        lambda r: r["gap"].update(TV=-1e-3),
    ],
    "complicated_regularizer": [
        lambda r: r["alpha"]["psnr"].sort(),
        lambda r: r["nu"]["psnr"].sort(),
        lambda r: r["xi"]["psnr"].fill(20.0),
        lambda r: r["xi"]["mean"].__imul__(1.1),
        lambda r: r["alpha"]["error_bound"].__imul__(100),
        lambda r: r["nu"]["niter"].fill(10),
        lambda r: r["nu"]["distance"].__imul__(100),
        lambda r: r["nu"]["distance"].fill(0.1),
    ],
    "compressed_sensing_mri": [
        lambda r: r["psnr"]["zero filling"][:, 0].__isub__(10),
        lambda r: r["psnr"]["TV"][:, 3].__isub__(4),
        lambda r: r["psnr"]["TV"][:, 0].__iadd__(2),
        lambda r: r["psnr"]["wavelets"][:, 3].__isub__(2),
        lambda r: r["psnr"]["TV"][:, 2].__iadd__(3),
        lambda r: r["gap"].update(TV=0.03),
        lambda r: r["gap"].update(wavelets=-0.01),
        lambda r: r["masks"].update({"spokes": np.ones((4, 4))}),
    ],
    "ill_posedness_of_pet": [
        lambda r: r.update(exact=1e-3),
        lambda r: r["singular_values"].fill(1.0),
        lambda r: r["inversion"].__setitem__(0, 0.9),
        lambda r: r["inversion"].__setitem__(2, 3 * r["inversion"][2]),
        lambda r: r["deviation"].__setitem__(0, r["expected"][0]),
        lambda r: r["em"][0].__setitem__(-1, r["em"][0].min()),
        lambda r: swap(r["em"], 0, 2),
        lambda r: r["stopped"].__setitem__(0, 200),
        lambda r: r["tikhonov"][0].__imul__(3),
        lambda r: r["tikhonov"][1].sort(),
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


def learned_maps():
    """Made-up numbers of them, since training takes long."""
    names = ("filtered backprojection", "AUTOMAP", "U-Net", "LISTA", "variational network",
             "learned gradient", "total variation")  # fmt: skip
    return {
        "psnr": dict(zip(names, (20.0, 16.0, 22.0, 21.0, 23.0, 22.0, 25.0))),
        "discrepancy": dict(zip(names, (2.0, 9.0, 1.5, 1.2, 1.1, 1.1, 0.9))),
        "worst": dict(zip(names, (4.0, 2.0, 8.0, 5.0, 8.0, 9.0, 10.0))),
        "lipschitz": dict(zip(names, (4.1, 2.0, 8.0, 5.0, 8.0, 9.0, None))),
        "again": {name: [1.0, 1.0001] for name in names}, "solved": True,
    }  # fmt: skip


@pytest.mark.parametrize("key, method, value", [
    ("psnr", "AUTOMAP", 19.0), ("psnr", "LISTA", 19.0), ("psnr", "variational network", 22.0),
    ("psnr", "U-Net", 24.0), ("psnr", "filtered backprojection", 21.0),
    ("discrepancy", "AUTOMAP", 3.0), ("discrepancy", "total variation", 1.4),
    ("discrepancy", "U-Net", 5.0), ("worst", "LISTA", 4.0), ("worst", "AUTOMAP", 6.0),
    ("lipschitz", "filtered backprojection", 5.0),
    ("again", "LISTA", [1.0, 0.9]),
])  # fmt: skip
def test_the_claim_about_learned_maps_can_fail(key, method, value):
    claim = runpy.run_path(str(FOLDER / "analysis_meets_learning.py"))["claim"]
    results = learned_maps()
    claim(results)
    with pytest.raises(AssertionError):
        claim(results | {"solved": False})
    results[key][method] = value
    with pytest.raises(AssertionError):
        claim(results)


def plug_and_play_runs():
    """What `plug_and_play.py` finds, in numbers of no meaning."""
    image, lost = odl.rn(2).one(), odl.rn(2).element([np.nan, np.nan])
    nothing, proof = NoGuarantee("nothing"), Convergence("a bound")
    free = {"psnr": np.array([24.0, 24.2, 10.0]), "energy": np.array([2.0, 0.9, 9.0]),
            "ended": Answer(lost, nothing, 3, "diverged", 5.0),
            "stopped": Answer(image, nothing, 2, "below", 0.1)}  # fmt: skip
    firm = {"psnr": np.array([23.0, 23.4]), "energy": np.array([1.9, 1.8]),
            "ended": Answer(image, proof, 2, "accuracy", 1e-4),
            "stopped": Answer(image, proof, 9, "maxiter", 1e-9)}  # fmt: skip
    return {"before": 22.0, "delta": 1.0, "runs": {"free": free, "certified": firm}}


@pytest.mark.parametrize(("name", "what", "changes"), [
    ("free", "stopped", {"reason": "maxiter"}),
    ("free", "stopped", {"niter": 3}),
    ("free", "ended", {"reason": "maxiter"}),
    ("free", "ended", {"x": odl.rn(2).one()}),
    ("free", "ended", {"guarantee": Convergence("nothing")}),
    ("free", "psnr", np.array([24.0, 24.2, 23.0])),
    ("certified", "ended", {"reason": "maxiter"}),
    ("certified", "ended", {"guarantee": NoGuarantee("nothing")}),
    ("certified", "stopped", {"reason": "below"}),
    ("certified", "psnr", np.array([23.9, 23.4])),
    ("certified", "psnr", np.array([21.0, 21.0])),
    ("certified", "energy", np.array([1.9, 0.9])),
])  # fmt: skip
def test_the_claim_about_plug_and_play_can_fail(name, what, changes):
    claim = runpy.run_path(str(FOLDER / "plug_and_play.py"))["claim"]
    claim(plug_and_play_runs())
    spoiled = plug_and_play_runs()
    run = spoiled["runs"][name]
    run[what] = run[what]._replace(**changes) if isinstance(changes, dict) else changes
    with pytest.raises(AssertionError):
        claim(spoiled)


def learned_regularizers():
    """Made-up numbers, which satisfy the claims."""
    quality = {"total variation": (26.0, 32.0), "convex ridge": (26.2, 31.8),
               "weakly convex ridge": (26.8, 32.4), "total deep variation": (27.0, 32.5)}
    methods = {name: {"psnr": dict(zip(("denoising", "CT"), pair))}
               for name, pair in quality.items()}
    verdicts = {"convex ridge": (0.0, "Certified"), "weakly convex ridge": (-0.95, "Certified"),
                "total deep variation": (0.0, "Refuted")}
    for name, (modulus, verdict) in verdicts.items():
        methods[name] |= {"modulus": modulus, "verdict": verdict}
    return {"methods": methods}


@pytest.mark.parametrize("spoil", [
    lambda m: m["convex ridge"]["psnr"].update(denoising=25.9),
    lambda m: m["weakly convex ridge"]["psnr"].update(denoising=26.4),
    lambda m: m["convex ridge"]["psnr"].update(denoising=26.9),
    lambda m: m["total deep variation"]["psnr"].update(denoising=26.1),
    lambda m: m["weakly convex ridge"]["psnr"].update(CT=31.9),
    lambda m: m["total deep variation"]["psnr"].update(CT=31.0),
    lambda m: m["convex ridge"].update(verdict="Unknown"),
    lambda m: m["weakly convex ridge"].update(verdict="Refuted"),
    lambda m: m["weakly convex ridge"].update(modulus=-1.1),
    lambda m: m["convex ridge"].update(modulus=-0.1),
    lambda m: m["total deep variation"].update(verdict="Certified"),
])  # fmt: skip
def test_the_claim_about_learned_regularizers_can_fail(spoil):
    claim = runpy.run_path(str(FOLDER / "learned_regularizers.py"))["claim"]
    results = learned_regularizers()
    claim(results)
    spoil(results["methods"])
    with pytest.raises(AssertionError):
        claim(results)
