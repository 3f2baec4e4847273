"""``odl-learned reconstruct``: measured files in, certified pictures out."""

import json
import re

import matplotlib.image
import numpy as np
import odl
import pytest

from odl_learned import data, operators
from odl_learned.__main__ import main
from odl_learned.metrics import relative_error

N, NOISE = 24, 0.1
GEOMETRY = """
pixels = [24, 24]
pixel_mm = 1.0
bin_mm = 1.2
degrees = {first = 0.5, step = 3}
axis_bin = 14.0
"""
DISTANCES = "source_to_axis_mm = 50\nsource_to_detector_mm = 60\n"


@pytest.fixture
def truth():
    """A picture that no turn or reflection leaves as it is: rows and columns."""
    rows = np.zeros((N, N), dtype="float32")
    rows[4:14, 8:20], rows[6:9, 10:14] = 1, 0.5
    return rows


def write_sinogram(folder, truth, fan, views):
    """Files of the data and of their geometry, made by the operators of the library."""
    X = odl.uniform_discr([-N / 2] * 2, [N / 2] * 2, (N, N), dtype="float32")
    angles = np.deg2rad(0.5 + 3 * np.arange(views))
    A = (operators.scanned_fan_beam(X, angles, 50.0, 60.0, 32, 1.2, 14.0) if fan else
         operators.scanned_parallel_beam(X, angles, 32, 1.2, 14.0))  # fmt: skip
    y = data.add_white_noise(A(X.element(data.from_rows(truth))), NOISE, np.random.default_rng(0))
    np.save(folder / "scan.npy", y.asarray())
    (folder / "scan.toml").write_text(GEOMETRY + (DISTANCES if fan else ""))


def call(folder, operator, *options, file="scan.npy"):
    return main(["reconstruct", str(folder / file), "--operator", operator,
                 "--out", str(folder / "out"), *options])  # fmt: skip


def geometry(folder):
    return "--geometry", str(folder / "scan.toml")


@pytest.mark.parametrize("fan", [False, True])
def test_sinograms_become_certified_pictures_as_noisy_as_told(tmp_path, truth, fan, capsys):
    write_sinogram(tmp_path, truth, fan, 120 if fan else 60)
    status = call(tmp_path, "fan" if fan else "parallel", *geometry(tmp_path), "--noise-level",
                  str(NOISE), "--json")  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    picture = np.load(found["npy"])
    assert status == 0 and picture.shape == (N, N) and picture.dtype == np.float32
    assert relative_error(picture, truth) < 0.05 < relative_error(picture[::-1], truth)
    # |A x - y| is the noise up to the 5 % that are asked for; the last solve is 1 % of the value.
    assert abs(found["residual_of_noise"] - 1) < 0.06
    assert 0 <= found["gap"] <= 0.01 * found["value"] and found["reason"] == "accuracy"
    assert matplotlib.image.imread(found["png"]).shape[:2] == (N, N)


@pytest.mark.parametrize("rule, method", [
    ("first", "tgv"),
    pytest.param("risk", "tv", marks=pytest.mark.slow),
    pytest.param("discrepancy", "tgv", marks=pytest.mark.slow),
])
def test_rules_and_methods_end_in_a_line_of_certificate(tmp_path, truth, rule, method, capsys):
    write_sinogram(tmp_path, truth, False, 60)
    assert call(tmp_path, "parallel", *geometry(tmp_path), "--noise-level", str(NOISE),
                "--choose", rule, "--method", method, "--accuracy", "0.03") == 0  # fmt: skip
    (line,) = capsys.readouterr().out.splitlines()
    assert "above the minimum" in line and "of the noise" in line and f"scan_{method}.npy" in line
    assert relative_error(np.load(tmp_path / "out" / f"scan_{method}.npy"), truth) < 0.05


def test_a_certificate_that_was_not_reached_is_told_with_status_one(tmp_path, truth, capsys):
    write_sinogram(tmp_path, truth, False, 60)
    options = [*geometry(tmp_path), "--alpha", "0.5", "--maxiter", "10", "--accuracy", "1e-5"]
    assert call(tmp_path, "parallel", *options) == 1
    assert "not as asked (maxiter)" in capsys.readouterr().out


def test_k_space_of_several_coils_in_the_units_of_the_file(tmp_path, truth, capsys):
    h5py = pytest.importorskip("h5py")
    Z = odl.uniform_discr([0, 0], [N, N], (N, N), dtype="complex64")
    mask = (np.arange(N) % 2 == 0) | (np.abs(np.arange(N) - N // 2) < 8)
    A = operators.MultiCoilFourier(Z, np.broadcast_to(mask, Z.shape),
                                   data.simulated_sensitivities(Z, 4))  # fmt: skip
    y = data.add_white_noise(A(Z.element(50 * truth)), 0.5, np.random.default_rng(0))
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["kspace"] = (y.asarray() * mask)[None].astype("complex64")
        file["mask"] = mask
    options = ["--noise-level", "0.5", "--choose", "first", "--accuracy", "0.03", "--json"]
    assert call(tmp_path, "fastmri", *options, file="k.h5") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gap"] <= 0.03 * found["value"]
    assert relative_error(np.load(found["npy"]), 50 * truth) < 0.1


@pytest.mark.parametrize("change, message", [
    (("pixel_mm", "pixel_cm"), "unknown key 'pixel_cm'.*is pixel_mm meant, side.*millimeters"),
    (("step", "steps"), "unknown key 'degrees.steps'.*is degrees.step meant"),
    (("bin_mm = 1.2", ""), r"lacks bin_mm \(width of a detector pixel in millimeters\)"),
    (("axis_bin = 14.0", "source_to_axis_mm = 50"), "unknown key 'source_to_axis_mm'"),
    (("step = 3", "step = 0.05"), "look like radians"),
    (("step = 3", "step = 13"), "degrees run from 0.5 to 767.5; expected at most two turns"),
    (("{first = 0.5, step = 3}", "[1, 2, 3]"), "has 60 rows and degrees 3 angles"),
    (("{first = 0.5, step = 3}", "180"), "degrees is 180; expected increasing angles"),
    (("[24, 24]", "24"), "pixels is 24; expected columns and rows"),
    (("bin_mm = 1.2", "bin_mm = -1.2"), "bin_mm is -1.2"),
    (("bin_mm = 1.2", "bin_mm = '1.2'"), "bin_mm is '1.2'"),
    (("bin_mm = 1.2", "bin_mm: 1.2"), "scan.toml is not TOML"),
])  # fmt: skip
def test_geometries_that_are_wrong_are_named(tmp_path, truth, change, message, capsys):
    write_sinogram(tmp_path, truth, False, 60)
    text = (tmp_path / "scan.toml").read_text()
    assert change[0] in text
    (tmp_path / "scan.toml").write_text(text.replace(*change))
    assert call(tmp_path, "parallel", *geometry(tmp_path), "--alpha", "0.5") == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_without_noise_level_and_alpha_the_error_says_what_to_give(tmp_path, truth, capsys):
    write_sinogram(tmp_path, truth, False, 60)
    assert call(tmp_path, "parallel", *geometry(tmp_path)) == 2
    assert "expected --noise-level" in capsys.readouterr().err
    assert call(tmp_path, "parallel", *geometry(tmp_path), "--noise-level", "-1") == 2
    assert "--noise-level is -1" in capsys.readouterr().err
    assert call(tmp_path, "parallel", "--geometry", "none.toml", "--alpha", "1") == 2
    assert "none.toml does not exist" in capsys.readouterr().err


def test_data_of_zeros_have_a_gap_in_place_of_a_relative_one(tmp_path, truth, capsys):
    write_sinogram(tmp_path, 0 * truth, False, 60)
    np.save(tmp_path / "scan.npy", np.zeros((60, 32), dtype="float32"))
    assert call(tmp_path, "parallel", *geometry(tmp_path), "--alpha", "1") == 1
    assert "value 0, at most" in capsys.readouterr().out


def test_options_replace_keys_of_the_file(tmp_path, truth, capsys):
    write_sinogram(tmp_path, truth, False, 60)
    options = [*geometry(tmp_path), "--set", "pixels=[12, 8]", "--set", "pixel_mm=3", "--alpha",
               "0.5", "--json"]  # fmt: skip
    assert call(tmp_path, "parallel", *options) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [8, 12]
