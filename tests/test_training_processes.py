"""Two processes train as one does, and end together."""

import csv
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from training_processes import Sum, by_processes, learn

from odl_learned.learning.files.checkpoint import read_checkpoint


@pytest.mark.parametrize("loss", [None, "sure"])
def test_two_processes_train_as_one(loss, tmp_path):
    """Also with uneven shares, three and two of five, and with random probes."""
    alone = learn(loss)
    for found in by_processes(2, str(tmp_path), learn, loss=loss):
        for one, two in zip(found, alone, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def fails(model, pairs, rank=1):
    """An error in one process, when it draws its share of the third batch."""
    class Failing(list):
        def __getitem__(self, i):
            self.drawn = getattr(self, "drawn", 0) + 1
            if torch.distributed.get_rank() == rank and self.drawn > 18:
                raise OSError("the disk is gone")
            return super().__getitem__(i)

    return model, Failing(pairs)


def interrupted(model, pairs):
    """Ctrl-C in one process alone."""
    class Stopping(list):
        def __getitem__(self, i):
            self.drawn = getattr(self, "drawn", 0) + 1
            if torch.distributed.get_rank() == 1 and self.drawn == 19:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__getitem__(i)

    return model, Stopping(pairs)


def other_data(model, pairs):
    factor = 1 + 0.01 * torch.distributed.get_rank()
    return model, [(np.float32(factor) * y, x) for y, x in pairs]


def other_model(model, pairs):
    class Square(torch.nn.Module):
        def forward(self, u):
            return u * u

    if torch.distributed.get_rank() == 1:
        model = torch.nn.Sequential(model, Square())
    return model, pairs


def normalized(model, pairs):
    return torch.nn.Sequential(model, torch.nn.BatchNorm1d(8)), pairs


class RunningMean(torch.nn.Module):
    """Remembers the mean of what it has seen in a buffer, and couples nothing."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, u):
        if self.training:
            self.mean.copy_(u.detach().mean())
        return u


def remembering(model, pairs):
    return torch.nn.Sequential(model, RunningMean()), pairs


CASES = {
    "error": (dict(change=fails), ["RuntimeError: process 1 of 2 has failed.*disk is gone",
                                   "OSError: the disk is gone"]),
    "interruption": (dict(change=interrupted), ["KeyboardInterrupt: process 1.*stopped by SIGINT",
                                                "KeyboardInterrupt: stopped by SIGINT"]),
    "data": (dict(change=other_data), 2 * ["process 1 of 2 trains something else.*data of pairs"]),
    "model": (dict(change=other_model), 2 * ["model: .* there and .* here"]),
    "batch normalization": (dict(change=normalized), 2 * ["BatchNorm1d, which couples the sample"]),
    "buffer": (dict(change=remembering), 2 * ["buffer 1.mean is another one in process 1"]),
    "sum": (dict(loss=Sum()), 2 * ["is not the mean of their losses"]),
    "small batch": (dict(batch_size=1), 2 * ["batch_size is 1 in 2 processes"]),
}  # fmt: skip


@pytest.mark.parametrize(("options", "messages"), CASES.values(), ids=CASES)
def test_what_is_wrong_in_one_process_ends_both(options, messages, tmp_path):
    for found, message in zip(by_processes(2, str(tmp_path), learn, **options), messages,
                              strict=True):  # fmt: skip
        assert isinstance(found, str) and re.search(message, found), found


def test_another_number_of_processes_continues(tmp_path):
    """Interrupted in one of two, continued by one and by three, as if by one; one has a file."""
    path = str(tmp_path / "run.pt")
    alone = learn(steps=8)
    by_processes(2, str(tmp_path), learn, steps=8, checkpoint=path, change=interrupted)
    assert 2 <= len(read_checkpoint(path)["record"]["loss"]) < 8
    learn(steps=6, checkpoint=path)
    for found in by_processes(3, str(tmp_path), learn, steps=8, checkpoint=path):
        for one, two in zip(found, alone, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert len(read_checkpoint(path)["record"]["loss"]) == 8


def test_processes_that_have_not_joined_are_an_error(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="one of 2 processes of torchrun and they have not join"):
        learn()


@pytest.mark.slow
def test_torchrun_trains_as_one_process(tmp_path):
    """The example, by torchrun in two processes and alone: the same curve."""
    root, curves = os.path.dirname(os.path.dirname(__file__)), []
    script = os.path.join(root, "examples", "ct_train_in_a_folder.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    for name, launched in (("one", []), ("two", launcher)):
        out = tmp_path / name
        subprocess.run([sys.executable, *launched, script, "smoke", "--out", str(out)],
                       check=True, capture_output=True, env=environment, timeout=300)  # fmt: skip
        with open(f"{out}_run/curve.csv") as file:
            curves.append([float(row["loss"]) for row in csv.DictReader(file)])
    np.testing.assert_allclose(*curves, rtol=1e-5)
