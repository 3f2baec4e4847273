"""A checkpoint is continued by the training that wrote it, and by no other one."""

import os
import pathlib
import random
import runpy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from training_runs import Pairs, assert_same_bits, build_model, probe, run, setting, straight

import odl_learned
from odl_learned import data
from odl_learned.learning import mean_squared_error, train
from odl_learned.learning.files.checkpoint import read_checkpoint, write_checkpoint


def other_pairs(change, size=10):
    pairs = Pairs(size)
    change(pairs)
    return pairs


def more_noise(pairs):
    pairs.data = pairs.data + np.float32(1e-3) * np.random.default_rng(1).standard_normal(
        pairs.data.shape).astype("float32")  # fmt: skip


def other_truth(pairs):
    pairs.truth = pairs.truth[::-1].copy()


def in_double(pairs):
    pairs.data = pairs.data.astype(float)


def absolute(x, truth):
    return (x - truth).abs().mean()


OTHERS = {
    "data": (dict(pairs=lambda: other_pairs(more_noise)),
             r"other data: data of pairs\[0\] differs by 0.0\d+ of its size, expected at most 1e-"),
    "truth": (dict(pairs=lambda: other_pairs(other_truth)), r"other data: truth of pairs\[0\]"),
    "dtype": (dict(pairs=lambda: other_pairs(in_double)),
              r"other data: .*float32 of shape \(4,\) there, torch.float64 of shape \(4,\) here"),
    "loss": (dict(loss=lambda: absolute), "another loss: its values differ by"),
    "weight of the loss": (dict(loss=lambda: lambda x, t: 2 * mean_squared_error(x, t)),
                           "another loss: its values differ by 0.5"),
    "clipping": (dict(clip_norm=lambda: 2.0), "clip_norm = 1.0, expected 2.0"),
    "no clipping": (dict(clip_norm=lambda: None), "clip_norm = 1.0, expected None"),
    "validation": (dict(validation=lambda: other_pairs(more_noise, 3)),
                   r"other data: data of validation\[0\] differs"),
    "more to validate": (dict(validation=lambda: Pairs(5)),
                         "other data: validation are 3 there, 5 here"),
    "metric": (dict(validation_metric=lambda: absolute), "another validation_metric: its values"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), OTHERS.values(), ids=OTHERS)
def test_other_trainings_are_errors_that_change_nothing(changes, message, tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=6)
    written = path.read_bytes()
    options = {"pairs": Pairs(), **{name: make() for name, make in changes.items()}}
    with pytest.raises(ValueError, match=f"run.pt was written with {message}.*move it away"):
        run(path, **options)
    assert path.read_bytes() == written
    assert_same_bits(run(path, Pairs()), straight())


class Functional(nn.Module):
    """Layers with something between them that has no parameters and no name."""

    def __init__(self, between, body):
        super().__init__()
        self.body, self.between = body, between

    def forward(self, x):
        return self.between(self.body(x))


def continued(path, make, steps, seed=0):
    torch.manual_seed(seed)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    before = [value.clone() for value in model.state_dict().values()]
    try:
        train(model, probe(Pairs()), steps=steps, optimizer=optimizer, batch_size=3,
              checkpoint=path, progress=False)  # fmt: skip
    except ValueError:
        assert all(map(torch.equal, before, model.state_dict().values()))
        assert not optimizer.state
        raise


def chain(between=nn.Tanh, rate=0.3):
    return nn.Sequential(nn.Linear(4, 8), between(), nn.Dropout(rate), nn.Linear(8, 4))


MODELS = {
    "activation": (chain, lambda: chain(nn.ReLU), r"says '\(1\): Tanh\(\)' there and .*ReLU"),
    "dropout": (chain, lambda: chain(rate=0.5), r"Dropout\(p=0.3.* there and .*Dropout\(p=0.5"),
    "formula": (lambda: Functional(torch.tanh, chain()), lambda: Functional(torch.sin, chain()),
                r"same parameters: what it makes of the data of pairs\[0\] differs by \d.*"),
    "one line more": (chain, lambda: nn.Sequential(*chain(), nn.Tanh()), r"says '\)' there and"),
}  # fmt: skip


@pytest.mark.parametrize(("first", "second", "message"), MODELS.values(), ids=MODELS)
def test_other_architectures_of_the_same_parameters(first, second, message, tmp_path):
    path = tmp_path / "run.pt"
    continued(path, first, 3)
    with pytest.raises(ValueError, match=f"of another model.*{message}.*load_state_dict"):
        continued(path, second, 6)
    continued(path, first, 6, seed=5)
    assert len(read_checkpoint(path)["record"]["loss"]) == 6


def test_weights_of_a_checkpoint_are_read_for_another_training(tmp_path):
    path = tmp_path / "run.pt"
    trained = run(path, Pairs(), steps=5)[0]
    model = build_model(seed=3)
    model.load_state_dict(read_checkpoint(path)["model"])
    model.eval(), trained.eval()
    assert torch.equal(model(torch.ones(2, 4)), trained(torch.ones(2, 4)))


def test_what_is_only_written_otherwise_is_the_same(tmp_path):
    """Other functions with the same values, other pairs with the same arrays, up to rounding."""
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=5)
    rounded = Pairs()
    rounded.data = rounded.data * np.float32(1 + 2e-7)
    run(path, rounded, steps=6, loss=lambda x, t: torch.mean((t - x) ** 2))
    kept = data.FixedPairs.drawn(Pairs())
    run(path, kept, steps=7)
    run(path, Pairs(), steps=8, validation=None)
    assert len(read_checkpoint(path)["record"]["loss"]) == 8


class RandomPairs(Pairs):
    """Augmented at random, by a generator of their own or by the global ones."""

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def __getitem__(self, i):
        return self.data[i] + np.float32(self.noise()), self.truth[i]


NOISES = {
    "own": lambda: np.random.default_rng().standard_normal(),
    "numpy": lambda: np.random.standard_normal(),
    "torch": lambda: torch.randn(()).item(),
    "python": lambda: random.gauss(0, 1),
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_random_pairs_are_continued(noise, tmp_path):
    path = tmp_path / "run.pt"
    run(path, RandomPairs(noise), steps=5)
    np.random.seed(7)
    random.seed(7)
    run(path, RandomPairs(noise), steps=6)
    assert len(read_checkpoint(path)["record"]["loss"]) == 6


def test_random_losses_and_models_are_continued(tmp_path):
    path = tmp_path / "run.pt"

    def loss(x, truth):
        return mean_squared_error(x + 0.1 * torch.randn_like(x), truth)

    def noisy():
        return Functional(lambda x: x + torch.randn_like(x), chain())

    run(path, Pairs(), steps=5, loss=loss)
    run(path, Pairs(), steps=6, loss=loss)
    for steps in (3, 6):
        continued(tmp_path / "other.pt", noisy, steps)


def test_functions_of_a_schedule(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=5, kind="lambda")
    model = build_model()
    optimizer, _ = setting("lambda", model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    with pytest.raises(ValueError, match=r"factors of the schedule = \[\[1.0, 0.5, 0.33"):
        train(model, probe(Pairs()), steps=9, optimizer=optimizer, schedule=schedule, batch_size=3,
              clip_norm=1.0, checkpoint=path, progress=False)  # fmt: skip


PARTS = [(), ("setting",), ("identity",), ("model_identity",), ("record",), ("random",),
         ("optimizer",)]  # fmt: skip


@pytest.mark.parametrize("part", PARTS, ids=lambda part: ".".join(part) or "all")
def test_what_is_missing_is_named(part, tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=2)
    keys = read_checkpoint(path)
    for name in part:
        keys = keys[name]
    for key in set(keys) - {"format"}:
        state = read_checkpoint(path)
        holder = state
        for name in part:
            holder = holder[name]
        del holder[key]
        write_checkpoint(tmp_path / "damaged.pt", state)
        with pytest.raises(ValueError, match=f"not one of a supervised training: it lacks {key}"):
            run(tmp_path / "damaged.pt", Pairs())


def test_a_state_that_does_not_fit_is_an_error_that_changes_nothing(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=2)
    state = read_checkpoint(path)
    del state["optimizer"]["param_groups"][0]["params"]
    write_checkpoint(path, state)
    with pytest.raises(ValueError, match="not one of a supervised training: it lacks params"):
        run(path, Pairs())
    state["optimizer"]["param_groups"][0]["params"] = list(range(6))
    state["schedule"] = 3
    write_checkpoint(path, state)
    model = build_model(seed=1)
    before = [value.clone() for value in model.state_dict().values()]
    optimizer, schedule = setting("adam", model)
    with pytest.raises(ValueError, match="has a state of the schedule that it does not take"):
        train(model, probe(Pairs()), steps=9, optimizer=optimizer, schedule=schedule, batch_size=3,
              clip_norm=1.0, checkpoint=path, progress=False)  # fmt: skip
    assert all(map(torch.equal, before, model.state_dict().values())) and not optimizer.state


SCRIPT = """
import sys
import numpy as np
import torch
from odl_learned.learning import train

rng, weight = np.random.default_rng(0), 3.0
pairs = [(rng.random(4).astype("float32"), rng.random(4).astype("float32")) for _ in range(5)]
torch.manual_seed(int(sys.argv[3]))
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
optimizer = torch.optim.Adam(model.parameters())
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
history = train(model, pairs, steps=int(sys.argv[2]), optimizer=optimizer, schedule=schedule,
                loss=lambda x, t: weight * (x - t).abs().mean(), checkpoint=sys.argv[1],
                validation=pairs, validation_metric=lambda x, t: (x - t).abs().max(),
                validate_every=2, progress=False)
"""


def test_the_same_script_continues_in_another_process(tmp_path, monkeypatch):
    """No addresses of memory, no hashes of strings: lambdas are what they compute."""
    script, path = tmp_path / "script.py", tmp_path / "run.pt"
    script.write_text(SCRIPT)

    def here(steps, seed):
        monkeypatch.setattr(sys, "argv", [str(script), str(path), str(steps), str(seed)])
        return runpy.run_path(str(script))["history"]

    here(4, seed=1)
    source = str(pathlib.Path(odl_learned.__file__).parents[1])
    environment = {**os.environ, "PYTHONHASHSEED": "3", "PYTHONPATH": source}
    subprocess.run([sys.executable, script, path, "6", "2"], check=True, env=environment)
    history = here(8, seed=3)
    path.unlink()
    np.testing.assert_array_equal(here(8, seed=1).loss, history.loss)
