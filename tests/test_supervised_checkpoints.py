"""Checkpoints of trainings: failed writes, damaged files, files of another training."""

import os
import threading

import pytest
import torch
from torch import nn
from training_runs import Pairs, assert_same_bits, build_model, probe, run, setting, straight

from odl_learned.learning import train
from odl_learned.learning.files import checkpoint as checkpoint_module
from odl_learned.learning.files.checkpoint import read_checkpoint, write_checkpoint


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    write_checkpoint(path, {"value": torch.ones(3)})

    def half(state, file):
        file.write(b"half a checkpoint")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint_module.torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(path, {"value": torch.zeros(3)})
    monkeypatch.setattr(checkpoint_module.torch, "save", lambda state, file: file.write(b"rubbish"))
    with pytest.raises(ValueError, match="cannot be read back"):
        write_checkpoint(path, {"value": torch.zeros(3)})
    monkeypatch.undo()
    assert torch.equal(read_checkpoint(path)["value"], torch.ones(3))
    assert os.listdir(tmp_path) == ["run.pt"]


def test_training_whose_write_fails_continues_from_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    replace = os.replace

    def fails_after_five(source, destination):
        if len(read_checkpoint(source)["record"]["loss"]) > 5:
            raise OSError("disk gone")
        replace(source, destination)

    monkeypatch.setattr(checkpoint_module.os, "replace", fails_after_five)
    with pytest.raises(OSError, match="disk gone"):
        run(path, Pairs())
    monkeypatch.undo()
    assert len(read_checkpoint(path)["record"]["loss"]) == 5
    assert os.listdir(tmp_path) == ["run.pt"]
    assert_same_bits(run(path, Pairs()), straight())


def test_a_damaged_file_is_an_error_and_stays(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=2)
    whole = path.read_bytes()
    middle = whole.index(run(path, Pairs(), steps=2)[0][0].weight.detach().numpy().tobytes())
    flipped = bytearray(whole)
    flipped[middle] ^= 1
    for damaged in (whole[: len(whole) // 2], b"", b"rubbish" * 50, bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="run.pt cannot be read.*move it away"):
            run(path, Pairs())
        assert path.read_bytes() == damaged


def test_other_files_are_errors(tmp_path):
    path = tmp_path / "run.pt"
    torch.save(build_model().state_dict(), path)
    with pytest.raises(ValueError, match="not a training state"):
        run(path, Pairs())
    torch.save({"format": 99}, path)
    with pytest.raises(ValueError, match="has format 99, expected 3"):
        run(path, Pairs())


def test_states_of_format_2_are_continued(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=8)
    state = read_checkpoint(path)
    kinds = state.pop("kinds")
    for name in ("optimizer", "schedule"):
        state[f"{name}_kind"] = kinds[name]
    del state["setting"]["precision"], state["objective"], state["scaler"], state["best"]
    torch.save({**state, "format": 2}, path)
    assert_same_bits(run(path, Pairs()), straight())


def test_unsuitable_places_fail_before_training(tmp_path):
    for path, error in (("absent/run.pt", FileNotFoundError), (".", IsADirectoryError)):
        pairs = Pairs()
        with pytest.raises(error):
            run(tmp_path / path, pairs)
        assert pairs.seen == []


def test_states_that_could_not_be_read_fail_before_training(tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return threading.Event  # loading this would run code

        def set_extra_state(self, state):
            pass

    model, pairs = Odd(4, 4), probe(Pairs())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="cannot be read back"):
        train(model, pairs, steps=3, optimizer=optimizer, checkpoint=tmp_path / "run.pt",
              progress=False)  # fmt: skip
    assert pairs.seen == [] and os.listdir(tmp_path) == []


def test_another_training_is_an_error_that_changes_nothing(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=6)
    cases = [
        (dict(steps=5), "at step 6, expected at most steps = 5"),
        (dict(batch_size=2), "batch_size = 3, expected 2"),
        (dict(seed=3), "seed = 0, expected 3"),
        (dict(pairs=Pairs(11)), "pairs = 10, expected 11"),
        (dict(kind="momentum"), "optimizer = Adam, expected SGD"),
        (dict(schedule=None), "schedule = CosineAnnealingLR, expected NoneType"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            run(path, **{"pairs": Pairs(), **changes})
    models = [
        (nn.Linear(4, 4), r"is absent, expected torch.float32 of shape \(4, 4\)"),
        (build_model().double(), "expected torch.float64"),
        (nn.Sequential(*build_model(), nn.Linear(4, 4)), "5.weight is absent"),
        (build_model()[:4], r"4.weight is torch.float32 of shape \(4, 8\), expected absent"),
    ]
    for model, message in models:
        before = [p.clone() for p in model.parameters()]
        optimizer, schedule = setting("adam", model)
        with pytest.raises(ValueError, match=f"of another model.*{message}"):
            train(model, Pairs(), steps=9, optimizer=optimizer, schedule=schedule, batch_size=3,
                  checkpoint=path, progress=False)  # fmt: skip
        assert all(map(torch.equal, before, model.parameters()))
    model = build_model()
    groups = torch.optim.Adam([{"params": [p]} for p in model.parameters()])
    with pytest.raises(ValueError, match="optimizer groups"):
        train(model, Pairs(), steps=9, optimizer=groups, batch_size=3, checkpoint=path, clip_norm=1,
              schedule=torch.optim.lr_scheduler.CosineAnnealingLR(groups, 20),
              progress=False)  # fmt: skip
