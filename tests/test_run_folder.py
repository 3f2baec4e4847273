"""A training as a folder, and the best weights of its validation."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from training_runs import Pairs, assert_same_bits, build_model, run, straight

from odl_learned.learning import Best, read_checkpoint, train


def test_a_run_is_a_folder_that_goes_on(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(None, Pairs(at=8 * 3 + 4), folder=folder, best=Best(min))
    found = run(None, Pairs(), folder=folder, best=Best(min), seed_of_model=5)
    assert_same_bits(found, straight())
    names = {path.name for path in folder.iterdir()}
    assert names == {"state.pt", "best.pt", "settings.json", "starts.jsonl", "curve.csv",
                     "curve.png"}  # fmt: skip
    history = found[3]
    with open(folder / "curve.csv") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_array_equal([float(row["loss"]) for row in rows], history.loss)
    validated = {int(row["step"]): float(row["validation"]) for row in rows if row["validation"]}
    assert validated == dict(zip(history.validation_step, history.validation))
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["optimizer"]["groups"][0]["lr"] == 0.02 and settings["seed"] == 0
    assert settings["schedule"]["T_max"] == 20 and "Tanh" in " ".join(settings["model"])
    starts = [json.loads(line) for line in (folder / "starts.jsonl").read_text().splitlines()]
    assert [start["step"] for start in starts] == [0, 8]
    assert starts[0]["torch"] == torch.__version__


def other_rate(pairs, folder):
    model = build_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    train(model, pairs, steps=20, optimizer=optimizer, batch_size=3, clip_norm=1.0,
          validation=Pairs(3), folder=folder, progress=False,
          schedule=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20))  # fmt: skip


OTHERS = {
    "rate": (other_rate, r"optimizer.groups.0.lr is 0.02 there and 0.03 here"),
    "seed": (lambda p, f: run(None, p, folder=f, seed=1), "seed is 0 there and 1 here"),
    "batch": (lambda p, f: run(None, p, folder=f, batch_size=2), "batch_size is 3 there and 2"),
    "schedule": (lambda p, f: run(None, p, folder=f, kind="momentum"), "optimizer.kind is Adam"),
    "data": (lambda p, f: run(None, Pairs(9), folder=f), "pairs is 10 there and 9 here"),
    "loss": (lambda p, f: run(None, p, folder=f, loss=lambda x, t: (x - t).abs().mean()),
             "written with another loss"),
    "best": (lambda p, f: run(None, p, folder=f, best=Best(max)), "best is None there and max of"),
}  # fmt: skip


def test_other_settings_are_errors_that_name_them(tmp_path):
    folder = tmp_path / "run"
    run(None, Pairs(), steps=6, folder=folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for again, message in OTHERS.values():
        with pytest.raises(ValueError, match=message):
            again(Pairs(), folder)
        assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_unsuitable_folders(tmp_path):
    file, foreign = tmp_path / "file", tmp_path / "foreign"
    file.write_text("x")
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    for folder, error, message in (
        (file, NotADirectoryError, "is a file"), (foreign, ValueError, "has thesis.tex and no"),
        (tmp_path / "a" / "b", FileNotFoundError, "create it"), (3, TypeError, "folder is 3"),
    ):  # fmt: skip
        pairs = Pairs()
        with pytest.raises(error, match=message):
            run(None, pairs, folder=folder)
        assert pairs.seen == []
    with pytest.raises(ValueError, match="both a checkpoint and a folder"):
        run(tmp_path / "run.pt", Pairs(), folder=tmp_path / "run")
    run(None, Pairs(), steps=2, folder=tmp_path / "run")
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(ValueError, match="settings.json is damaged"):
        run(None, Pairs(), steps=2, folder=tmp_path / "run")


def rising(x, truth):
    """A metric that is best in the middle: of the size of the images, which grow."""
    return -abs(float(x.abs().mean()) - 0.3)


@pytest.mark.parametrize("best, metric", [
    (Best(min), None), (Best(max, restored=True), rising)], ids=["loss", "quality"])  # fmt: skip
def test_the_best_weights_are_kept(best, metric, tmp_path):
    path, options = tmp_path / "run.pt", dict(best=best, validation_metric=metric, validate_every=2)
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(at=14 * 3 + 1), **options)
    model, *_, history = run(path, Pairs(), **options)
    chosen = np.argmin if metric is None else np.argmax
    assert history.best.step == history.validation_step[chosen(history.validation)]
    assert history.best.value == history.validation[chosen(history.validation)]
    twin = run(None, Pairs(), steps=history.best.step, validation=None)[0]
    for name, value in twin.state_dict().items():
        assert torch.equal(value, history.best.weights[name])
        assert not best.restored or torch.equal(value, model.state_dict()[name])
    last = run(None, Pairs(), validate_every=2)[0]  # what training goes on from
    assert all(map(torch.equal, read_checkpoint(path)["model"].values(),
                   last.state_dict().values()))  # fmt: skip


def test_errors_of_the_best(tmp_path):
    for choose in ("min", sum, None):
        with pytest.raises(TypeError, match="expected the function min or max"):
            Best(choose)
    with pytest.raises(ValueError, match="best is given without pairs to validate on"):
        run(None, Pairs(), validation=None, best=Best(min))
    run(tmp_path / "run.pt", Pairs(), steps=8, best=Best(min))
    with pytest.raises(ValueError, match=re.escape("the best was the min, and max of")):
        run(tmp_path / "run.pt", Pairs(), best=Best(max))
