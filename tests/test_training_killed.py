"""Every kind of reconstruction map: killed on its way and continued, the same bits."""

import multiprocessing
import os
import signal

import pytest
import torch
from tiny_maps import MAPS, problem
from training_runs import assert_same_bits

from odl_learned.learning import Best, train


class Kills(list):
    """Kills its process for good in place of the draw number `at`."""

    def __init__(self, pairs, at):
        super().__init__(pairs)
        self.at = at

    def __getitem__(self, i):
        self.at -= 1
        if self.at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(i)


def learn(name, steps, every, folder=None, at=0):
    model, pairs = problem(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k / 10))
    history = train(
        model, Kills(pairs[:5], at), steps=steps, optimizer=optimizer, schedule=schedule,
        batch_size=2, clip_norm=1.0, validation=pairs[5:], validate_every=every, best=Best(min),
        folder=folder, checkpoint_every=every, progress=False,
    )  # fmt: skip
    return model, optimizer, schedule, history


def require_continuation(name, steps, folder):
    """It is killed after three quarters of the steps, with a state of one half of them."""
    process = multiprocessing.get_context("fork").Process(
        target=learn, args=(name, steps, steps // 2, folder, 3 + 3 * steps // 2))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    found = learn(name, steps, steps // 2, folder)
    assert_same_bits(found, learn(name, steps, steps // 2))
    starts = (folder / "starts.jsonl").read_text().splitlines()
    assert len(starts) == 2 and f'"step": {steps // 2}' in starts[1]


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.filterwarnings("ignore:the .*equilibrium was not reached")
def test_killed_and_continued_gives_the_same_bits(name, tmp_path):
    require_continuation(name, 12, tmp_path / "run")


def test_two_hundred_steps(tmp_path):
    require_continuation("LearnedPrimalDual", 200, tmp_path / "run")
