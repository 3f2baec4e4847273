"""Trainings that are interrupted and continued give the same bits."""

import os
import signal
import threading
import time

import pytest
import torch
from torch import nn
from training_runs import Pairs, assert_same_bits, run, straight

from odl_learned.learning import train
from odl_learned.learning.files.checkpoint import read_checkpoint


@pytest.mark.parametrize("kind", ["adam", "momentum", "cycle", "lambda"])
@pytest.mark.parametrize("exception", [KeyboardInterrupt, OSError])
def test_interrupted_and_continued_gives_the_same_bits(kind, exception, tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(exception):
        run(path, Pairs(at=8 * 3 + 1, exception=exception), kind=kind)
    assert len(read_checkpoint(path)["record"]["loss"]) == 8
    torch.manual_seed(123)
    assert_same_bits(run(path, Pairs(), kind=kind, seed_of_model=7), straight(kind))
    assert len(read_checkpoint(path)["record"]["loss"]) == 20
    assert os.listdir(tmp_path) == ["run.pt"]


def test_the_next_random_numbers_are_the_same_too(tmp_path):
    straight()
    expected = torch.rand(3)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run.pt", Pairs(at=30))
    run(tmp_path / "run.pt", Pairs())
    assert torch.equal(torch.rand(3), expected)


def test_more_steps_later_gives_the_same_bits(tmp_path):
    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=8)
    again = Pairs()
    history = run(path, again, steps=8)[3]
    assert again.seen == [] and len(history.loss) == 8
    assert_same_bits(run(path, Pairs(), steps=20), straight())


class Dies(nn.Module):
    """Raises in the forward pass number `at`, after the random numbers have been drawn."""

    def __init__(self, net, at):
        super().__init__()
        self.net, self.at, self.calls = net, at, 0

    def forward(self, x):
        self.calls += self.training
        result = self.net(x)
        if self.training and self.calls == self.at:
            raise KeyboardInterrupt
        return result


def train_dying(path, at, layers):
    torch.manual_seed(0)
    model = Dies(nn.Sequential(*layers()), at)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    train(model, Pairs(), steps=12, optimizer=optimizer, batch_size=3, checkpoint=path,
          checkpoint_every=5, progress=False)  # fmt: skip
    return model


def test_an_exception_within_a_step_saves_what_is_whole(tmp_path):
    def layers():
        return nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 4)

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train_dying(path, 9, layers)
    assert len(read_checkpoint(path)["record"]["loss"]) == 8
    continued, whole = train_dying(path, None, layers), train_dying(None, None, layers)
    assert all(map(torch.equal, continued.parameters(), whole.parameters()))


def test_a_step_that_has_changed_a_buffer_is_not_saved(tmp_path):
    def layers():
        return nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train_dying(path, 9, layers)
    assert len(read_checkpoint(path)["record"]["loss"]) == 5
    continued, whole = train_dying(path, None, layers), train_dying(None, None, layers)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, continued.state_dict()[name])


def test_interrupted_in_validation(tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(), validation=Pairs(3, at=4))  # the second of the validation after step 8
    assert len(read_checkpoint(path)["record"]["loss"]) == 8
    assert_same_bits(run(path, Pairs()), straight())


def test_random_numbers_drawn_in_validation(tmp_path):
    class Noisy(Pairs):
        def __getitem__(self, i):
            torch.rand(1)
            return super().__getitem__(i)

    path = tmp_path / "run.pt"
    whole = run(None, Pairs(), validation=Noisy(3))
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(at=8 * 3), validation=Noisy(3))  # just after the validation of step 8
    assert_same_bits(run(path, Pairs(), validation=Noisy(3)), whole)
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(), validation=Noisy(3, at=4))  # within it
    assert_same_bits(run(path, Pairs(), validation=Noisy(3)), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_for_the_step(number, tmp_path):
    class Signals(Pairs):
        def __getitem__(self, i):
            pair = super().__getitem__(i)
            if len(self.seen) == 8 * 3 + 1:
                os.kill(os.getpid(), number)
            return pair

    before = signal.getsignal(number)
    pairs = Signals()
    with pytest.raises(KeyboardInterrupt, match=signal.Signals(number).name):
        run(tmp_path / "run.pt", pairs)
    assert len(pairs.seen) == 9 * 3  # the batch at hand was still drawn, but not used
    assert signal.getsignal(number) is before
    assert len(read_checkpoint(tmp_path / "run.pt")["record"]["loss"]) == 8
    assert_same_bits(run(tmp_path / "run.pt", Pairs()), straight())


def test_a_second_signal_does_not_wait():
    class Hangs(Pairs):
        def __getitem__(self, i):
            os.kill(os.getpid(), signal.SIGINT)
            self.seen.append("first")
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            self.seen.append("second")

    pairs = Hangs()
    with pytest.raises(KeyboardInterrupt, match="twice"):
        run(None, pairs)
    assert pairs.seen == ["first"]


def test_training_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(run(None, Pairs(), steps=3)))
    thread.start()
    thread.join()
    assert len(results[0][3].loss) == 3
