"""``odl-learned learn``: a folder of images in, a parameter or a sampling pattern out."""

import json
import os
import signal
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import odl
import pytest

from odl_learned import data, functionals, operators, solvers
from odl_learned.__main__ import main
from odl_learned.commands import reconstruct, scan_files
from odl_learned.commands.learn import alpha as learn_alpha
from odl_learned.commands.learn import images, results, tasks
from odl_learned.metrics import relative_error

N, NOISE = 16, 0.1
GEOMETRY = "pixels = [8, 8]\npixel_mm = 2.0\nbin_mm = 1.5\ndegrees = {first = 0, step = 6}\n"


@pytest.fixture
def folder(tmp_path):
    """Three phantoms, and something else beside them."""
    inside, rng = tmp_path / "images", np.random.default_rng(3)
    inside.mkdir()
    X = odl.uniform_discr([0, 0], [N, N], (N, N))
    for name in "abc":
        np.save(inside / f"{name}.npy", data.to_rows(data.random_body(X, rng).data))
    (inside / "notes.txt").write_text("of the phantoms")
    return inside


def learn(kind, folder, *options):
    return main(["learn", kind, str(folder), "--out", str(folder.parent / "out"), *options])


def denoise(folder, *options):
    return learn("alpha", folder, "--operator", "denoising", "--noise-level", str(NOISE), *options)


def test_the_parameter_for_denoising_is_better_than_those_beside_it(folder, capsys):
    assert denoise(folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == ["a.npy", "b.npy"] and found["test"] == "c.npy"
    assert found["bound"] < 1e-2 * found["training_error"]
    X, rng = odl.uniform_discr([0, 0], [N, N], (N, N)), np.random.default_rng(0)
    truth = [X.element(data.read_image(folder / f"{name}.npy")) for name in "ab"]
    noisy = [data.add_white_noise(x, NOISE, rng) for x in truth]
    nu = 0.01 * max(np.ptp(x.data) for x in truth)

    def error(alpha):  # by another solver and another functional
        energies = [functionals.l2_fidelity(y) + functionals.SmoothedTV(X, alpha, nu, 0.0)
                    for y in noisy]
        each = [solvers.accelerated_gradient(
            E, y, accuracy=1e-3, maxiter=20000, lipschitz=E.grad_lipschitz, strong_convexity=1.0).x
            for E, y in zip(energies, noisy)]
        return np.mean([np.mean((x.data - z.data) ** 2) for x, z in zip(each, truth)])

    best = error(found["alpha"])
    # | |x - z|^2 - |v - z|^2 | is about 2 |x - v| |x - z|, with |x - v| < 1e-3, |x - z| > 0.6
    assert best == pytest.approx(found["training_error"], rel=2e-3 / 0.6)
    assert best < min(error(found["alpha"] * 1.2), error(found["alpha"] / 1.2))
    assert best < found["first_guess"]["training_error"]
    assert matplotlib.image.imread(found["png"]).ndim == 3


def test_an_interruption_keeps_the_steps_and_resuming_gives_the_same_bits(folder, capsys,
                                                                          monkeypatch):
    assert denoise(folder, "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert not list((folder.parent / "out").glob("*.pt"))
    told, calls = results.certificate, []

    def interrupted(value, bound):
        calls.append(value)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return told(value, bound)

    monkeypatch.setattr(learn_alpha.results, "certificate", interrupted)
    assert denoise(folder) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert denoise(folder) == 2 and "go on with --resume" in capsys.readouterr().err
    assert denoise(folder, "--resume", "--seed", "1") == 2
    assert "was written with" in capsys.readouterr().err
    assert denoise(folder, "--resume", "--json") == 0
    resumed = json.loads(capsys.readouterr().out)
    assert resumed["alpha"] == whole["alpha"] and len(calls) < 12


def test_steps_that_do_not_suffice_are_told_with_status_one_and_go_on(folder, capsys):
    assert denoise(folder, "--maxiter", "1") == 1
    assert "not as asked (maxiter)" in capsys.readouterr().out
    assert denoise(folder, "--resume") == 0
    (line, *snippet) = capsys.readouterr().out.splitlines()
    assert "mean squared error" in line and "+-" in line
    namespace = {"A": None}
    exec(snippet[0], namespace)
    assert namespace["alpha"] > 0


def test_reconstruct_takes_the_parameter_of_its_own_geometry_alone(folder, capsys):
    scan, toml, out = (folder.parent / name for name in ("scan.npy", "scan.toml", "out"))
    toml.write_text(GEOMETRY)
    X = odl.uniform_discr([-8, -8], [8, 8], (8, 8), dtype="float32")
    A = operators.scanned_parallel_beam(X, np.deg2rad(6.0 * np.arange(30)), 12, 1.5)
    truth = data.downsample(data.read_image(folder / "c.npy"), 2)
    y = data.add_white_noise(A(X.element(truth)), NOISE, np.random.default_rng(0))
    np.save(scan, y.asarray())
    options = ["--operator", "parallel", "--geometry", str(toml)]
    assert learn("alpha", folder, *options, "--scan", str(scan), "--noise-level", str(NOISE)) == 0
    assert "--operator parallel --geometry TOML --alpha-from" in capsys.readouterr().out
    learned = out / "alpha_parallel.json"
    command = ["reconstruct", str(scan), *options, "--out", str(out), "--json"]
    assert main([*command, "--alpha-from", str(learned)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameter"] == "learned"
    assert found["alpha"] == json.loads(learned.read_text())["alpha"]
    assert relative_error(np.load(found["npy"]), data.to_rows(truth)) < 0.15
    for more, told in ((["--set", "pixel_mm=1.5"], "learned for the domain"),
                       (["--method", "tgv"], "learned for the method tv"),
                       (["--alpha", "1"], None)):  # fmt: skip
        if told is None:
            with pytest.raises(SystemExit):
                main([*command, "--alpha-from", str(learned), *more])
        else:
            assert main([*command, "--alpha-from", str(learned), *more]) == 2
            assert told in capsys.readouterr().err


def test_scans_with_equal_ranges_and_other_rays_are_told_apart():
    X = odl.uniform_discr([-8, -8], [8, 8], (8, 8), dtype="float32")
    even = np.deg2rad(6.0 * np.arange(60))
    uneven = even.copy()
    uneven[10] += 0.01
    moved = uneven.copy()
    moved[30] += 0.01

    def fan(angles, source_to_axis=50):
        return operators.scanned_fan_beam(X, angles, source_to_axis, 90, 12, 3.0)

    def differ(first, second):
        assert results.described(first.range) == results.described(second.range)
        first, second = (results.rays(each) for each in (first, second))
        return [name for name in first if first[name] != second[name]]

    assert differ(fan(even), fan(even)) == []
    assert differ(fan(even), fan(even, 40)) == ["distances"]
    assert differ(fan(uneven), fan(moved)) == ["angles"]
    assert results.rays(odl.IdentityOperator(X)) == {}
    assert json.loads(json.dumps(results.rays(fan(uneven)))) == results.rays(fan(uneven))


def test_a_fan_with_other_distances_is_refused(tmp_path):
    X = odl.uniform_discr([-8, -8], [8, 8], (8, 8), dtype="float32")

    def scan(source_to_axis):
        A = operators.scanned_fan_beam(X, np.deg2rad(6.0 * np.arange(60)), source_to_axis, 90, 12,
                                       3.0)
        return scan_files.Scan(A, None, None, None, 1.0, None)

    A = scan(50).forward_op
    results.write(tmp_path / "alpha.json", "alpha", {
        "operator": "fan", "method": "tv", "alpha": 0.5, "noise_level": 1.0,
        "domain": results.described(A.domain), "range": results.described(A.range),
        "rays": results.rays(A)})  # fmt: skip
    path = tmp_path / "alpha.json"
    assert reconstruct.learned_alpha(path, "fan", "tv", scan(50), None) == 0.5
    with pytest.raises(ValueError, match="learned for other distances of the scan"):
        reconstruct.learned_alpha(path, "fan", "tv", scan(40), None)
    results.write(path, "alpha", {"operator": "fan", "alpha": 0.5})
    with pytest.raises(ValueError, match="lacks method, domain, range, rays, noise_level, which"):
        reconstruct.learned_alpha(path, "fan", "tv", scan(50), None)


def test_lines_are_learned_and_reconstruct_leaves_out_the_others(folder, capsys):
    h5py = pytest.importorskip("h5py")
    options = ["--noise-level", "0.02", "--fraction", "0.75", "--maxiter", "2", "--json"]
    assert learn("sampling", folder, *options) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert len(found["lines"]) == 3 * N // 4 and found["columns"] == N
    assert set(range(N // 2 - 4, N // 2 + 4)) <= set(found["lines"])
    assert found["test_psnr"] > found["test_psnr_random"]
    assert found["bound"] < 0.1 * found["training_error"]
    (lines,) = (each for each in found["png"] if each.endswith("lines.png"))
    shown = matplotlib.image.imread(lines)[0, :, 0] > 0.5
    assert np.flatnonzero(shown).tolist() == found["lines"]
    # the same as a file in which the other lines are missing
    Z = odl.uniform_discr([0, 0], [N, N], (N, N), dtype="complex64")
    x = np.load(folder / "c.npy").astype("complex64")
    y = operators.SampledFourier(Z, np.ones(Z.shape))(Z.element(x)).data
    for name, kept in (("whole", np.ones(N)), ("part", shown)):
        with h5py.File(folder.parent / f"{name}.h5", "w") as file:
            file["kspace"] = (y * kept)[None].astype("complex64")
    pictures = []
    for name, more in (("whole", ["--pattern", found["json"]]), ("part", [])):
        assert main(["reconstruct", str(folder.parent / f"{name}.h5"), "--operator", "fastmri",
                     "--alpha", "0.01", "--accuracy", "0.1", "--out", str(folder.parent / name),
                     *more]) == 0
        pictures.append(np.load(folder.parent / name / f"{name}_tv.npy"))
    assert np.array_equal(*pictures)


@pytest.mark.parametrize("options, told", [
    (["alpha", "--operator", "denoising"], "--noise-level is not given"),
    (["alpha", "--operator", "fan", "--noise-level", "1"], "--scan is not given"),
    (["alpha", "--operator", "denoising", "--noise-level", "1", "--set", "pixels=[2, 2]"],
     "--set is given; expected none for denoising"),
    (["alpha", "--operator", "denoising", "--noise-level", "-1"], "--noise-level is -1"),
    (["alpha", "--operator", "denoising", "--noise-level", "1", "--count", "0"], "--count is 0"),
    (["sampling", "--noise-level", "0.1", "--fraction", "2"], "--fraction is 2"),
    (["sampling", "--noise-level", "0.1", "--fraction", "0.25"], "4 of 16 lines, and --center 8"),
    (["sampling", "--noise-level", "0.1", "--pixels", "99", "9"], "at least 99 x 9"),
])  # fmt: skip
def test_options_that_are_wrong_are_named(folder, options, told, capsys):
    assert learn(options[0], folder, *options[1:]) == 2
    assert told in capsys.readouterr().err
    assert not (folder.parent / "out").exists()


def test_folders_that_cannot_be_learned_from_are_named(folder, capsys):
    np.save(folder / "d.npy", np.ones((N, N + 1)))
    assert denoise(folder) == 2
    assert "d.npy has 17 x 16 pixels and a.npy 16 x 16" in capsys.readouterr().err
    np.save(folder / "d.npy", -np.ones((N, N)))
    assert learn("sampling", folder, "--noise-level", "0.1") == 2
    assert "d.npy has values from -1 to -1" in capsys.readouterr().err
    assert denoise(folder / "none") == 2 and "is no folder" in capsys.readouterr().err
    (folder / "empty").mkdir()
    assert denoise(folder / "empty") == 2 and "holds no images" in capsys.readouterr().err


def test_files_that_learn_did_not_write_are_refused(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError, match="does not exist; expected the file that"):
        results.read(path, "alpha", ())
    for text, told in (("{", "is not JSON"), ("[1]", "holds nothing that was learned"),
                       ('{"learned": "sampling"}', "holds sampling"),
                       ('{"learned": "alpha"}', "lacks alpha")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match=told):
            results.read(path, "alpha", ("alpha",))


def test_images_are_cropped_in_the_middle_and_averaged(tmp_path):
    array = np.add.outer(np.arange(12.0), 100 * np.arange(8.0))
    found = images.on_grid({"x": array}, (4, 4))["x"]
    # means over blocks of two pixels, but for the overlap of triangles at their borders, which
    # changes nothing of what is linear away from the border
    means = data.downsample(array[2:10], 2)
    assert found[1:-1, 1:-1] == pytest.approx(means[1:-1, 1:-1], abs=1e-9)


def test_colors_and_hounsfield_units_are_understood(tmp_path, capsys):
    pytest.importorskip("PIL")
    rgb = np.zeros((4, 5, 3), dtype=np.uint8)
    rgb[..., 1] = 100
    matplotlib.image.imsave(tmp_path / "color.png", rgb)
    found = images.read(tmp_path / "color.png", None, None)
    assert found.array == pytest.approx(np.full((5, 4), 58.7), abs=0.5)
    hounsfield = data.Image(np.array([[0.0, -1000.0]]), None, "CT", "HU")
    assert images.in_unit({"x": hounsfield}, None)["x"] == pytest.approx(np.array([[0.02, 0]]))
    assert "Hounsfield units become" in capsys.readouterr().err


@pytest.mark.slow
def test_the_parameter_for_several_coils_is_that_of_the_file(folder, capsys):
    h5py = pytest.importorskip("h5py")
    X = odl.uniform_discr([0, 0], [N, N], (N, N), dtype="complex64")
    A = operators.MultiCoilFourier(X, np.ones(X.shape), data.simulated_sensitivities(X, 3))
    y = data.add_white_noise(A(X.element(np.load(folder / "c.npy"))), 0.05,
                             np.random.default_rng(0))  # fmt: skip
    with h5py.File(folder.parent / "k.h5", "w") as file:
        file["kspace"] = y.asarray().astype("complex64")
    scan = str(folder.parent / "k.h5")
    assert learn("alpha", folder, "--operator", "fastmri", "--scan", scan, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["training_error"] + found["bound"] < found["first_guess"]["training_error"]
    assert main(["reconstruct", scan, "--operator", "fastmri", "--alpha-from", found["json"],
                 "--out", str(folder.parent / "out")]) == 0
    assert f"alpha {found['alpha']:.4g}" in capsys.readouterr().out


def test_line_integrals_that_no_detector_sees_are_told(folder, tmp_path, capsys):
    """Counts in the place of their logarithms, and images from 0 to 255 without ``--scale``."""
    geometry = scan_files.parsed(GEOMETRY.encode(), "here")
    for name, largest, told in (("thin", 5.0, False), ("counts", 20000.0, True)):
        np.save(tmp_path / f"{name}.npy", np.full((30, 12), largest, dtype="float32"))
        scan_files.parallel(tmp_path / f"{name}.npy", None, None, geometry)
        err = capsys.readouterr().err
        assert (f"{name}.npy has line integrals up to {largest:.4g}" in err) == told
        assert bool(err) == told

    toml = tmp_path / "scan.toml"
    toml.write_text(GEOMETRY)
    for scale, told in (("0.01", False), ("255", True)):
        arguments = SimpleNamespace(
            operator="parallel", scan=tmp_path / "thin.npy", scan_key=None, scan_index=None,
            geometry=toml, settings=[], noise_level=1.0, scale=float(scale), folder=folder,
            count=1, key=None, index=None)  # fmt: skip
        tasks.task_of(arguments, np.random.default_rng(0))
        assert ("a.npy has line integrals up to" in capsys.readouterr().err) == told
