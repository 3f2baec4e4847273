"""The claims of the figures on generative models can fail."""

import copy
import runpy
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples/figures/duff2023"


def claim_of(name, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return runpy.run_path(str(FOLDER / name))["claim"]


def models():
    quality = {"hard": 27.0, "identity": 28.0, "diagonal": 29.0, "3 x 3": 30.0}
    return {"correlation": np.array([[1.0, 0.4], [-0.3, 0.0]]),
            "values": {name: np.array([[3.0], [2.0], [2.0]]) for name in quality},
            "psnr": {name: np.full(4, value) for name, value in quality.items()}}  # fmt: skip


def starts():
    spread = {"in the range": 1.0, "small deviations": 0.5, "sparse deviations": 0.6}
    means = {"in the range": 25.0, "small deviations": 26.0, "sparse deviations": 25.0}
    pattern = np.array([[-1.0], [1.0]])
    return {"misfits": np.array([[3.0], [2.0]]),
            "psnr": {name: means[name] + spread[name] * pattern for name in spread}}  # fmt: skip


def uncertain():
    levels = np.array([0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99])
    return {"model": levels + 0.01, "deviation": np.full((2, 3, 3), 0.5),
            "prior": np.ones((2, 3, 3)), "correlation": np.array([[1.0, 0.4], [-0.3, 0.0]]),
            "where": {"identity": np.full(2, 0.1), "3 x 3": np.full(2, 0.5)}}  # fmt: skip


@pytest.mark.parametrize(("place", "change"), [
    (("correlation",), lambda v: np.maximum(v, -0.1)),
    (("correlation",), lambda v: np.minimum(v, 0.1)),
    (("values", "diagonal"), lambda v: v[::-1]),
    (("psnr", "identity"), lambda v: v + 1.6),
    (("psnr", "diagonal"), lambda v: v - 2.5),
])  # fmt: skip
def test_the_claim_on_covariance_can_fail(place, change, monkeypatch):
    spoiled(claim_of("covariance_models.py", monkeypatch), models(), place, change)


@pytest.mark.parametrize(("place", "change"), [
    (("misfits",), lambda v: v[::-1]),
    (("psnr", "small deviations"), lambda v: v - 0.6),
    (("psnr", "small deviations"), lambda v: 26 + 3 * (v - 26)),
    (("psnr", "sparse deviations"), lambda v: v + 1.1),
    (("psnr", "sparse deviations"), lambda v: 25 + 2 * (v - 25)),
])  # fmt: skip
def test_the_claim_on_starts_can_fail(place, change, monkeypatch):
    spoiled(claim_of("initializations.py", monkeypatch), starts(), place, change)


@pytest.mark.parametrize(("place", "change"), [
    (("model",), lambda v: v - 0.04),
    (("prior",), lambda v: 0.6 * v),
    (("deviation",), lambda v: v + 0.51 * (np.arange(18).reshape(v.shape) == 4)),
    (("where", "identity"), lambda v: v + 0.5),
    (("where", "3 x 3"), lambda v: v - 0.35),
    (("correlation",), lambda v: np.maximum(v, -0.1)),
])  # fmt: skip
def test_the_claim_on_uncertainty_can_fail(place, change, monkeypatch):
    spoiled(claim_of("posterior_deviations.py", monkeypatch), uncertain(), place, change)


def cells():
    best = np.array([[32.0, 28.0], [35.0, 30.0]])
    return {"noise": (0.01, 0.1), "psnr": {"3 x 3": best, "identity": best - 1,
                                           "the range": best - 2}}  # fmt: skip


@pytest.mark.parametrize(("place", "change"), [
    (("psnr", "identity"), lambda v: v + [[1.1, 0], [0, 0]]),
    (("psnr", "the range"), lambda v: v + [[0, 4.5], [0, 4.5]]),
    (("psnr", "3 x 3"), lambda v: v[::-1]),
    (("psnr", "3 x 3"), lambda v: v + [[0, 5.0], [0, 6.0]]),
])  # fmt: skip
def test_the_claim_on_all_cells_can_fail(place, change, monkeypatch):
    spoiled(claim_of("every_cell.py", monkeypatch), cells(), place, change)


def measurements():
    others = [(share, noise) for share in (0.15, 0.25, 0.35, 0.5)
              for noise in (0.01, 0.025, 0.05, 0.1)]
    gains = {(0.25, 0.02): -1.0} | {cell: -0.1 for cell in others[:4]} | {
        cell: 1.0 for cell in others[4:]} | {(0.15, 0.1): 1.0}
    return {"network": {cell: np.full(3, 30.0) for cell in gains},
            "model": {cell: np.full(3, 30.0 + gain) for cell, gain in gains.items()}}


@pytest.mark.parametrize("change", [
    lambda v: v | {(0.15, 0.05): v[0.15, 0.05] - 2, (0.5, 0.05): v[0.5, 0.05] - 2,
                   (0.5, 0.01): v[0.5, 0.01] - 2},
    lambda v: v | {(0.5, 0.1): v[0.5, 0.1] - 0.5},
    lambda v: v | {(0.25, 0.02): v[0.25, 0.02] - 1.5},
])  # fmt: skip
def test_the_claim_on_other_measurements_can_fail(change, monkeypatch):
    spoiled(claim_of("other_measurements.py", monkeypatch), measurements(), ("model",), change)


def decoders():
    means = {"in the range": 25.0, "adapted decoder": 25.5, "small deviations": 26.0, "3 x 3": 27.0}
    return {"psnr": {name: np.full(3, mean) for name, mean in means.items()}}


@pytest.mark.parametrize(("name", "change"), [
    ("in the range", 0.6), ("small deviations", -0.6), ("3 x 3", -1.1), ("adapted decoder", 1.1)])
def test_the_claim_on_adapted_decoders_can_fail(name, change, monkeypatch):
    spoiled(claim_of("adapted_decoders.py", monkeypatch), decoders(), ("psnr", name),
            lambda v: v + change)  # fmt: skip


def spoiled(claim, results, place, change):
    claim(results)
    results = part = copy.deepcopy(results)
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = change(part[place[-1]])
    with pytest.raises(AssertionError):
        claim(results)
