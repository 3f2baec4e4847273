"""The demonstration and its command line, at sizes that take seconds."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import odl
import pytest
import torch

from odl_learned import __main__ as command_line
from odl_learned import data, demo, metrics
from odl_learned.demo import learned, methods, report
from odl_learned.learning.files.checkpoint import read_checkpoint

SMALL = {"n": 64, "tikhonov": 10, "pdhg": {"ct": 150, "mri": 150}, "steps": 8, "pairs": 4}
TINY = {"n": 16, "tikhonov": 2, "pdhg": {"ct": 3, "mri": 3}, "steps": 2, "pairs": 2}
METHODS = ["Tikhonov", "TV", "TGV", "learned proximal gradient"]


def phantom(n, seed):
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    return data.random_body(space, np.random.default_rng(seed)).data


def hounsfield(n, seed=3):
    """A phantom in Hounsfield units as a picture (rows, columns)."""
    return data.to_rows(1000 * (2.4 * phantom(n, seed) - 1)).astype("float32")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(demo, "SIZES", {"full": TINY, "fast": {**TINY, "n": 12}})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder and rows of one run on a CT and an MR phantom."""
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    ct = data.Image(data.from_rows(hounsfield(128)), (3.0, 3.0), "CT")
    mr = data.Image(phantom(128, 4), None, "MR")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(demo.SIZES, "small", SMALL)
        return folder, demo.run([ct, mr], "small", folder)


def test_rows_are_complete_and_written(results):
    folder, rows = results
    written = json.loads((folder / "demo.json").read_text())
    pixels = {"ct": 64, "mri": 64}
    assert written == {"settings": {**SMALL, "seed": 0, "train": False, "pixels": pixels},
                       "results": rows, "notes": written["notes"]}
    assert [row["problem"] for row in rows] == ["ct"] * 5 + ["mri"] * 5
    assert [row["method"] for row in rows] == [
        "filtered backprojection", *METHODS, "zero filling", *METHODS
    ]  # fmt: skip
    for row in rows:
        assert tuple(row) == report.COLUMNS
        assert np.isfinite(row["PSNR"]) and 0 < row["SSIM"] < 1 and row["seconds"] >= 0
    assert len(report.table(rows).splitlines()) == 2 + len(rows)


@pytest.mark.parametrize("problem", ["ct", "mri"])
def test_variational_methods_beat_the_analytical_one(results, problem):
    analytical, _, tv, tgv, _ = [row for row in results[1] if row["problem"] == problem]
    for row in (tv, tgv):
        assert row["PSNR"] > analytical["PSNR"] + 0.2
        assert row["SSIM"] > analytical["SSIM"] + 0.05
        assert row["certificate"].startswith("gap ")
        assert 0 <= float(row["certificate"][4:]) < 1


def test_weights_that_ship_beat_total_variation():
    """On the real slices, of patients that training never saw, at a quarter of the resolution."""
    for image in demo.example_images():
        scene = demo.scene_of(image, 64, np.random.default_rng(0))
        quality = [metrics.psnr(result.x, scene.truth) for result in
                   (methods.total_variation(scene, 150), learned.shipped_reconstruction(scene))]
        assert quality[1] > quality[0] + 2, image.modality


def test_weights_are_small_and_whole():
    files = {path.name: path.stat().st_size for path in learned.WEIGHTS.glob("*.pt")}
    assert set(files) == {"ct.pt", "mri.pt"} and sum(files.values()) < 2e6
    for channels, name in ((1, "ct.pt"), (2, "mri.pt")):
        state = torch.load(learned.WEIGHTS / name, weights_only=True)
        nets = torch.nn.ModuleList(learned.step_modules(channels, learned.SHIPPED_WIDTH))
        nets.load_state_dict(state)
        assert all(bool(torch.isfinite(p).all()) for p in nets.parameters())


@pytest.mark.parametrize("name", ["demo_ct.png", "demo_mri.png"])
def test_figures_open_and_show_something(results, name):
    picture = matplotlib.image.imread(results[0] / name)
    assert picture.ndim == 3 and min(picture.shape[:2]) > 300
    assert picture[..., :3].std() > 0.1


def arguments(*options):
    return command_line.parser().parse_args(["demo", *map(str, options)])


def image_of(*options):
    (image,) = command_line.images_of(arguments(*options))
    return image


def write(path, picture):
    """Store a picture under the name "slice" next to another array."""
    if path.suffix == ".npy":
        np.save(path, picture)
    elif path.suffix == ".npz":
        np.savez(path, slice=picture, other=0 * picture)
    else:
        with pytest.importorskip("h5py").File(path, "w") as file:
            file["slice"], file["other"] = picture, 0 * picture
    return path


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5"])
def test_slices_of_files(tiny, tmp_path, capsys, suffix):
    picture = hounsfield(40)[:, :30]
    path = write(tmp_path / f"ct.{suffix}", np.stack([0 * picture, picture]))
    key = [] if suffix == "npy" else ["--key", "slice"]
    options = ["--image", path, *key, "--index", 1, "--modality", "ct", "--out", tmp_path / "out"]
    image = image_of(*options)
    assert np.array_equal(image.array, data.from_rows(picture))
    assert image.pixel_mm == (0.9, 0.9) and image.modality == "CT"
    assert command_line.main(["demo", *map(str, options)]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"demo.json", "demo_ct.png"}
    out, _ = capsys.readouterr()
    assert "filtered backprojection" in out and "zero filling" not in out


def example(name):
    return Path(str(pytest.importorskip("data_store").__path__[0])) / "data" / name


def test_slices_of_dicom_files(tiny, tmp_path, capsys):
    path = example("MR-SIEMENS-DICOM-WithOverlays.dcm")
    image = image_of("--image", path)
    assert image.modality == "MR" and image.array.shape == (484, 484)
    assert image.pixel_mm == pytest.approx((0.7231, 0.7231), abs=1e-4)
    assert command_line.main(["demo", "--image", str(path), "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "demo.json").read_text())["results"]
    assert [row["problem"] for row in rows] == ["mri"] * 5
    assert image_of("--image", path, "--pixel-mm", 2).pixel_mm == (2.0, 2.0)
    assert image_of("--image", path, "--modality", "ct").modality == "CT"
    assert image_of("--image", example("liver.dcm"), "--index", 2).array.shape == (512, 512)


def test_dicom_of_any_name(tmp_path):
    path = tmp_path / "I0001.1"
    path.write_bytes(example("MR-SIEMENS-DICOM-WithOverlays.dcm").read_bytes())
    assert image_of("--image", path).modality == "MR"


@pytest.mark.parametrize(("shape", "n", "said"), [
    ((40, 30), 40, "padded to 40 x 40, resampled to 80 x 80, measured, and reconstructed on 40 x"),
    ((33, 33), 32, "resampled to 64 x 64, measured, and reconstructed on 32 x 32"),
    ((128, 128), 64, "10 HU: measured, and reconstructed on 64 x 64"),
    ((200, 190), 64, "padded to 200 x 200, resampled to 128 x 128, measured"),
])  # fmt: skip
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_small_slices_are_not_enlarged_and_what_is_done_is_said(shape, n, said, modality):
    unit, low, high = ("HU", -1000, 10) if modality == "CT" else ("", 0, 10)
    array = np.full(shape, low, dtype=np.float32)
    array[10:20, 10:20] = high
    image = data.Image(array, (1.0, 1.0), modality, unit)
    scene = demo.scene_of(image, 64, np.random.default_rng(0))
    assert scene.truth.shape == scene.forward_op.domain.shape == (n, n)
    if modality == "CT":
        assert said in scene.origin and f"slice of {shape[0]} x {shape[1]} pixels" in scene.origin
    elif max(shape) > 128:
        assert "padded to 200 x 200, measured" in scene.origin  # the whole spectrum is kept


def test_pixels_that_are_not_square_and_other_units_are_refused():
    array = data.from_rows(hounsfield(40))
    for image, message in (
        (data.Image(array, (0.5, 1.0), "CT", "HU"), "sides 0.5 and 1 mm, expected square ones"),
        (data.Image(phantom(40, 1), (0.5, 1.0), "MR"), "sides 0.5 and 1 mm, expected square ones"),
        (data.Image(array, (1.0, 1.0), "CT", "Z_EFF"), "in Z_EFF, expected Hounsfield units"),
    ):
        with pytest.raises(ValueError, match=message):
            demo.scene_of(image, 16, np.random.default_rng(0))


def test_the_word_of_the_user_goes_before_the_unit_of_the_file(tmp_path):
    path = example("eCT_Supplemental.dcm")
    image = image_of("--image", path, "--index", 0)
    assert image.modality == "CT" and image.unit == "ml/100ml/s"
    assert image_of("--image", path, "--index", 0, "--modality", "ct").unit == ""


def test_modality_chooses_among_the_examples():
    pytest.importorskip("data_store")
    assert [i.modality for i in command_line.images_of(arguments())] == ["CT", "MR"]
    assert image_of("--modality", "ct").modality == "CT"
    assert image_of("--modality", "mr").modality == "MR"


def test_side_of_a_pixel_sets_the_size_of_the_body():
    image = data.Image(data.from_rows(hounsfield(40)), (2.0, 2.0), "CT")
    for side in (2.0, 0.5):
        scene = demo.scene_of(image._replace(pixel_mm=(side, side)), 16, np.random.default_rng(0))
        space = scene.forward_op.domain
        assert np.allclose(space.max_pt - space.min_pt, 0.1 * side * 40)  # centimeters


def test_seed_fast_and_out(tiny, tmp_path):
    path = write(tmp_path / "mr.npy", phantom(40, 4))

    def run(*options):
        out = tmp_path / "-".join(["out", *options]) / "nested"
        call = ["demo", "--image", str(path), "--modality", "mr", "--out", str(out), *options]
        assert command_line.main(call) == 0
        written = json.loads((out / "demo.json").read_text())
        for row in written["results"]:
            row.pop("seconds")
        return written

    first = run()
    assert first["settings"] == {**TINY, "seed": 0, "train": False, "pixels": {"mri": 16}}
    assert run("--seed", "0")["results"] == first["results"]
    other = run("--seed", "1")
    assert other["settings"]["seed"] == 1
    assert all(a["PSNR"] != b["PSNR"] for a, b in zip(other["results"], first["results"]))
    assert run("--fast")["settings"]["n"] == 12


MISTAKES = [
    (["--image", "no.npy"], "no.npy does not exist, expected a file"),
    (["--image", "."], "is a folder, expected a file"),
    (["--image", "junk.png"], "junk.png cannot be read as a picture"),
    (["--image", "junk.npy"], "junk.npy is not a readable file of numpy"),
    (["--image", "junk.dcm"], "junk.dcm is not a readable DICOM file"),
    (["--image", "ct.npz"], "key is None, expected one of the arrays"),
    (["--image", "ct.npz", "--key", "q"], "key is 'q', expected one of the arrays"),
    (["--image", "ct.npy", "--key", "q"], "key is 'q', expected None"),
    (["--image", "junk.dcm", "--key", "q"], "--key is 'q'; expected none, DICOM has no"),
    (["--image", "ct.npy", "--index", "1"], "index is 1; leave index away"),
    (["--image", "ct.npy"], "modality of the image is None, expected 'CT' or 'MR'"),
    (["--image", "ct.npy", "--pixel-mm", "0"], "--pixel-mm is 0.0; expected a finite number"),
    (["--image", "ct.npy", "--pixel-mm", "nan"], "--pixel-mm is nan; expected a finite number"),
    (["--image", "ct.npy", "--modality", "ct", "--seed", "-1"], "seed is -1; expected a whole"),
    (["--image", "ct.npy", "--modality", "ct", "--out", "junk.png"], "junk.png"),
    (["--image", "nan.npy", "--modality", "ct"], "nan.npy contains 64 NaN or infinite values"),
    (["--image", "unit.npy", "--modality", "ct"], "between 0 and 1, expected Hounsfield units"),
    (["--image", "zero.npy", "--modality", "mr"], "quantile 0, expected a magnitude"),
    (["--image", "phase.npy", "--modality", "mr"], "smallest value of the image is -3 and its"),
    (["--image", "small.npy", "--modality", "mr"], "8 x 5 pixels, expected at least 32 on its"),
    (["--image", "flat.npy", "--modality", "mr"], "image is constant, 7 everywhere, expected a"),
    (["--image", "color.npy", "--modality", "mr"], "3 channels of a picture along the last axis"),
    (["--image", "stack.npy", "--modality", "mr"], "stack of 5 images and index is None; choose"),
    (["--image", "one.npy", "--modality", "mr"], "1 x 1 pixels, expected at least 32"),
    (["--image", "none.npy", "--modality", "mr"], "shape (0, 40), expected at least one pixel"),
    (["--image", "objects.npy", "--modality", "mr"], "holds Python objects"),
    (["--image", "text.npy", "--modality", "mr"], "is not a readable file of numpy"),
    (["--key", "slice"], "--key is about your own slice; expected --image"),
    (["--index", "3"], "--index is about your own slice; expected --image"),
    (["--pixel-mm", "1"], "--pixel-mm is about your own slice; expected --image"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_mistakes_give_one_line_and_status_2(
    tiny, tmp_path, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    for suffix in ("npy", "npz"):
        write(tmp_path / f"ct.{suffix}", hounsfield(32))
    for name, picture in (("nan", np.full((8, 8), np.nan)), ("zero", np.zeros((8, 8))),
                          ("unit", phantom(32, 0) / phantom(32, 0).max()),
                          ("phase", np.linspace(-3, 3, 1024).reshape(32, 32)),
                          ("small", np.arange(40).reshape(5, 8)), ("flat", np.full((40, 40), 7)),
                          ("color", np.ones((40, 40, 3))), ("stack", np.ones((5, 40, 40))),
                          ("one", np.ones((1, 1))), ("none", np.ones((0, 40))),
                          ("objects", np.array([[None]]))):
        np.save(f"{name}.npy", picture)
    for suffix in ("png", "npy", "dcm"):
        Path(f"junk.{suffix}").write_bytes(b"junk")
    Path("text.npy").write_text("1, 2, 3")
    assert command_line.main(["demo", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("odl_learned: ") and err.count("\n") == 1
    assert message in err


def test_pictures_that_are_not_gray_slices_of_known_size(tiny, tmp_path, capsys):
    for name, modality, message in (
        ("JPEG-LL.dcm", [], "'NM', expected 'CT' or 'MR'"),
        ("SC_rgb.dcm", [], "3 samples per pixel (RGB), expected one"),
        ("OBXXXX1A.dcm", [], "numbers of colors in a table (PALETTE COLOR)"),
        ("liver.dcm", [], "stack of 3 images and index is None"),
        ("mlut_18.dcm", ["--modality", "ct"], "side of a pixel is None, expected millimeters"),
    ):
        call = ["demo", "--image", str(example(name)), "--out", str(tmp_path), *modality]
        assert command_line.main(call) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1


def test_wrong_choices_are_refused_by_the_parser(capsys):
    for options in (["--modality", "pet"], ["--index", "x"], ["--pixel-mm", "x"], ["--colour"]):
        with pytest.raises(SystemExit) as caught:
            command_line.main(["demo", *options])
        assert caught.value.code == 2 and options[0] in capsys.readouterr().err


def test_run_refuses_unknown_sizes_and_nothing(tmp_path):
    with pytest.raises(ValueError, match="size is 'huge', expected one of full, fast"):
        demo.run([data.Image(phantom(32, 0), None, "MR")], "huge", tmp_path)
    with pytest.raises(ValueError, match="number of images is 0"):
        demo.run([], "fast", tmp_path)


def test_other_failures_keep_their_traceback(tiny, monkeypatch):
    """Only errors with a message for the user become one line; mistakes of the program do not."""
    monkeypatch.setattr(command_line, "images_of", lambda arguments: [][0])
    with pytest.raises(IndexError):
        command_line.main(["demo"])


def interrupt_after(monkeypatch, batches):
    """Send SIGINT, as Ctrl-C does, while the given batch is drawn.

    The first and the last pair are drawn before, for the identity of the training.
    """
    draw, count = data.FixedPairs.__getitem__, []

    def interrupted(self, index):
        count.append(index)
        if len(count) == 2 + batches:
            signal.raise_signal(signal.SIGINT)
        return draw(self, index)

    monkeypatch.setattr(data.FixedPairs, "__getitem__", interrupted)


def test_interruption_leaves_a_checkpoint_and_status_130(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "SIZES", {"full": {**TINY, "steps": 9}})
    path = write(tmp_path / "mr.npy", phantom(40, 4))
    interrupt_after(monkeypatch, 6)
    call = ["demo", "--image", str(path), "--modality", "mr", "--out", str(tmp_path), "--train"]
    assert command_line.main(call) == 130
    _, err = capsys.readouterr()
    last = err.splitlines()[-1]
    assert last.startswith("odl_learned: interrupted") and str(tmp_path) in last
    (checkpoint,) = tmp_path.glob("demo_mri_training_*.pt")
    assert len(read_checkpoint(checkpoint)["record"]["loss"]) == 5
    assert not (tmp_path / "demo.json").exists()
    monkeypatch.undo()
    monkeypatch.setattr(demo, "SIZES", {"full": {**TINY, "steps": 9}})
    assert command_line.main(call) == 0
    assert "5/9" in capsys.readouterr().err
    assert not checkpoint.exists() and (tmp_path / "demo.json").exists()


def test_interrupted_training_continues_to_the_same_reconstruction(tmp_path, monkeypatch):
    image = data.Image(phantom(40, 4), None, "MR")

    def reconstruct(path):
        scene = demo.scene_of(image, 16, np.random.default_rng(0))
        return learned.learned_proximal_gradient(scene, 9, 2, path).x

    expected = reconstruct(tmp_path / "whole.pt")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            reconstruct(tmp_path / "parts.pt")
    assert np.array_equal(reconstruct(tmp_path / "parts.pt").data, expected.data)


def test_as_a_program(tmp_path):
    program = [sys.executable, "-m", "odl_learned", "demo", "--image", str(tmp_path / "no.npy")]
    root = Path(command_line.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert done.stderr.startswith("odl_learned: ") and done.stderr.count("\n") == 1
