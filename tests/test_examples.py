"""All examples run at smoke size, keep their claims, and would notice if a claim were false."""

import copy
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from odl_learned import bridge

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
SHARED = {  # what the scripts of a folder have in common
    ROOT / "examples/figures/celledoni2021/matched_training.py",
    ROOT / "examples/figures/dfo2021/signal_denoising.py",
    ROOT / "examples/figures/duff2023/ellipse_models.py",
    ROOT / "examples/figures/sampling2020/pattern_training.py",
}
FIGURES = sorted(set((ROOT / "examples" / "figures").rglob("*.py")) - SHARED)
NAMES = {
    "ct_landweber_discrepancy.py",
    "ct_tv_pdhg.py",
    "denoising_learned_alpha.py",
    "figures/pdhg2011/gap_decay.py",
    "mri_tgv_pdhg.py",
    "odl_to_torch_smoothed_tv.py",
    "torch_to_odl_functional.py",
    "torch_to_odl_learned_proximal_gradient.py",
}


def name(path):
    return path.relative_to(ROOT / "examples").as_posix()


def test_the_examples_are_found_and_listed():
    found = {name(path) for path in SCRIPTS + FIGURES}
    assert len(SCRIPTS) >= 6 and len(FIGURES) >= 1
    assert NAMES <= found
    page = (ROOT / "docs" / "examples.md").read_text()
    assert [each for each in sorted(found | {*map(name, SHARED)}) if f"`{each}`" not in page] == []


def test_shared_modules_have_names_of_their_own():
    """Python keeps one module of each name, and runs scripts of several folders here."""
    stems = [path.stem for path in (*SHARED, *FIGURES, *(ROOT / "tests").glob("*.py"))]
    assert all(path.is_file() and stems.count(path.stem) == 1 for path in SHARED)
    assert not {path.stem for path in SHARED} & sys.stdlib_module_names


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_scripts_are_short(path):
    assert len(path.read_text().splitlines()) < 80


BILEVEL = [ROOT / "examples" / f"{each}.py" for each in (
    "ct_learned_variation", "ct_fan_beam_learned_variation", "ct_learned_ridge",
    "deblurring_learned_scales", "mri_multicoil_learned_variation", "pet_learned_variation")]


@pytest.mark.parametrize("path", BILEVEL, ids=name)
def test_learned_energies_take_sixty_lines_and_no_tensors(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60 and "torch" not in text


@pytest.mark.parametrize("script", [
    "ct_short_scan.py", "mri_file_with_own_maps.py", "deblur_own_picture.py", "save_and_load.py",
    "mri_sampling_mask.py", "own_operator_learned.py", "volume_tv.py", "ct_learned_variation.py",
    "torch_to_odl_denoiser_admm.py"])
def test_ordinary_tasks_take_sixty_lines(script):
    assert len((ROOT / "examples" / script).read_text().splitlines()) <= 60


def save_whole(figure, *args, save=Figure.savefig, **settings):
    """Save a figure, and assert that no title or label is cut off at its edges."""
    save(figure, *args, **settings)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, "something is cut off"


@pytest.mark.parametrize("path", SCRIPTS + FIGURES, ids=name)
def test_runs_at_smoke_size_and_keeps_its_claim(path, tmp_path, monkeypatch, capsys):
    out = tmp_path / "not" / "there"
    monkeypatch.setattr(Figure, "savefig", save_whole)
    monkeypatch.setattr("sys.argv", [str(path), "smoke", "--out", str(out)])
    monkeypatch.syspath_prepend(path.parent)  # as python does with the folder of a script
    runpy.run_path(str(path), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and any(map(str.isdigit, lines[0]))
    pictures = list(out.iterdir())
    assert pictures and all(picture.suffix == ".png" for picture in pictures)
    assert all(imread(picture)[..., :3].std() > 0.05 for picture in pictures)
    assert str(pictures[0]) in lines[0]


@pytest.mark.parametrize("path", SCRIPTS + FIGURES, ids=name)
def test_sizes_are_smoke_and_paper(path, monkeypatch):
    monkeypatch.syspath_prepend(path.parent)
    assert set(runpy.run_path(str(path))["SIZES"]) == {"smoke", "paper"}


# Too few iterations or training steps must break the claim.
SPOILED = {
    "deblur_own_picture.py": {"maxiter": 3},
    "mri_sampling_mask.py": {"maxiter": 3},
    "own_operator_learned.py": {"steps": 1},
    "save_and_load.py": {"steps": 1},
    "volume_tv.py": {"maxiter": 3},
    "volume_tomography.py": {"maxiter": 3},
    "cone_beam_tv.py": {"maxiter": 20},
    "ct_short_scan.py": {"maxiter": 3},
    "mri_file_with_own_maps.py": {"maxiter": 3},
    "brain_multicoil_tv_primal_dual.py": {"maxiter": 3},
    "pet_transmission_tv_newton.py": {"maxiter": 3},
    "pet_learned_variation.py": {"steps": 1},
    "tooth_weighted_tv_pdhg.py": {"maxiter": 3},
    "walnut_tv_pdhg.py": {"niter": 3},
    "choose_alpha_denoising.py": {"told": 0.03},
    "ct_landweber_discrepancy.py": {"niter": 5},
    "ct_learned_ridge.py": {"niter": 3},
    "torch_to_odl_denoiser_admm.py": {"niter": 3},
    "ct_learned_without_truth.py": {"steps": 1},
    "ct_train_in_a_folder.py": {"steps": 1},
    "ct_fan_beam_learned_variation.py": {"steps": 1},
    "ct_learned_variation.py": {"steps": 1},
    "deblurring_learned_scales.py": {"steps": 1},
    "mri_multicoil_learned_variation.py": {"steps": 1},
    "ct_tv_pdhg.py": {"niter": 5},
    "denoising_learned_alpha.py": {"steps": 1},
    "mri_tgv_pdhg.py": {"niter": 5},
    "torch_to_odl_deep_equilibrium.py": {"steps": 1},
    "torch_to_odl_equivariant_ct.py": {"steps": 1},
    "torch_to_odl_functional.py": {"steps": 1},
    "torch_to_odl_learned_primal_dual.py": {"steps": 1},
    "torch_to_odl_learned_proximal_gradient.py": {"steps": 1},
}


@pytest.mark.parametrize("script", SPOILED)
def test_claims_fail_without_the_work(script, tmp_path):
    module = runpy.run_path(str(ROOT / "examples" / script))
    with pytest.raises(AssertionError):
        module["main"](**(module["SIZES"]["smoke"] | SPOILED[script]), out=tmp_path)


def test_an_energy_that_disagrees_with_odl_is_noticed(tmp_path, monkeypatch):
    lowered = bridge.as_module
    monkeypatch.setattr(bridge, "as_module", lambda op: lambda x: (1 + 1e-9) * lowered(op)(x))
    main = runpy.run_path(str(ROOT / "examples" / "odl_to_torch_smoothed_tv.py"))["main"]
    with pytest.raises(AssertionError):
        main(n=16, out=tmp_path)


def gap_decay_results(niter=400):
    k = np.arange(1.0, niter + 1)
    return {
        "gap": 1 / k, "gap_bound": 2 / k,
        "distance": {0.0: 1 / k**2, 1.0: 1 / k**2, 0.35: 1 / k**3},
        "distance_bound": {1.0: 2 / k**2, 0.35: 4 / k**2},
        "reference_error": 1e-12,
    }  # fmt: skip


@pytest.mark.parametrize("spoil", [
    lambda r: r["gap"].__imul__(3),
    lambda r: r["gap"].__ipow__(2),
    lambda r: r["gap"].__isub__(0.1),
    lambda r: r["distance"][1.0].__imul__(3),
    lambda r: r["distance"][1.0].__ipow__(0.7),
    lambda r: r["distance"][0.35].__imul__(1e3),
    lambda r: r["distance_bound"][0.35].__imul__(1e-3),
    lambda r: r.update(reference_error=1e-3),
])  # fmt: skip
def test_the_claim_of_gap_decay_can_fail(spoil):
    claim = runpy.run_path(str(ROOT / "examples/figures/pdhg2011/gap_decay.py"))["claim"]
    results = gap_decay_results()
    claim(results)
    spoiled = copy.deepcopy(results)
    spoil(spoiled)
    with pytest.raises(AssertionError):
        claim(spoiled)


def learned_filters_results():
    one = {"newton": np.array([1.0, 1e-2, 1e-4, 1e-8]), "first": np.ones(9), "value": 1.0,
           "first_value": 1.0001, "bound": 1e-9, "weights": np.array([0.0, 1.0])}  # fmt: skip
    return {1: one, 2: copy.deepcopy(one) | {"value": 2.0, "first_value": 2.0001}}


@pytest.mark.parametrize("spoil", [
    lambda r: r[1].update(newton=np.array([1.0, 1e-2, 1e-4, 1e-6])),
    lambda r: r[2].update(newton=np.array([1.0, 1e-2, 1e-6, 5e-8])),
    lambda r: r[2].update(newton=np.array([1e-1, 1e-4, 2e-5, 1e-8])),
    lambda r: r[1].update(first_value=0.9),
    lambda r: r[1].update(first_value=1.1),
    lambda r: r[1].update(first=np.ones(3)),
    lambda r: r[1].update(weights=np.array([-1e-9])),
    lambda r: r[2].update(value=0.5, first_value=0.5),
])  # fmt: skip
def test_the_claim_of_learned_filters_can_fail(spoil):
    path = ROOT / "examples/figures/kunisch_pock2013/learned_filters.py"
    claim = runpy.run_path(str(path))["claim"]
    results = learned_filters_results()
    claim(results)
    spoil(results)
    with pytest.raises(AssertionError):
        claim(results)


def test_the_views_of_the_walnut_are_every_fourth_of_a_full_turn():
    scanner = runpy.run_path(str(ROOT / "examples" / "walnut_tv_pdhg.py"))["scanner"]
    for views in (30, 120):
        angles = scanner(8, views, -57.1, 57.7).geometry.angles
        np.testing.assert_allclose(angles, 2 * np.pi / views * np.arange(views), atol=1e-14)
