"""Batches that worker processes draw: the same bits, also of random pairs, also continued."""

import multiprocessing
import os
import random
import signal

import numpy as np
import pytest
import torch
from training_processes import by_processes
from training_runs import Pairs, assert_same_bits, run, straight

from odl_learned.learning import Workers


class RandomPairs(Pairs):
    """Augmented by all three global generators."""

    def __getitem__(self, i):
        noise = np.random.standard_normal() + torch.randn(()).item() + random.gauss(0, 1)
        return self.data[i] + np.float32(0.1 * noise), self.truth[i]


class Dataset(torch.utils.data.Dataset):
    """One without anything that a sequence has beside."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        return self.pairs[i]


def test_workers_draw_the_same_bits(tmp_path):
    whole = run(None, RandomPairs())
    assert_same_bits(run(None, Dataset(RandomPairs()), workers=Workers(2)), whole)
    random.seed(5), np.random.seed(5)
    run(tmp_path / "run.pt", RandomPairs(), steps=9)
    assert_same_bits(run(tmp_path / "run.pt", RandomPairs(), workers=Workers(1, ahead=1)), whole)


def test_workers_that_are_spawned_draw_the_same_bits():
    context = multiprocessing.get_context("spawn")
    assert_same_bits(run(None, Pairs(), steps=3, workers=Workers(1, context=context)),
                     straight(steps=3))  # fmt: skip


class Reports(Pairs):
    def __getitem__(self, i):
        import threadpoolctl

        pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
        if multiprocessing.parent_process() is not None:
            assert max([torch.get_num_threads(), *pools]) == 1
        return super().__getitem__(i)


def test_a_worker_draws_on_one_thread_and_shares_with_many():
    """Products on several threads before the fork are no obstacle to products behind it."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.rand(400, 400) @ torch.rand(400, 400)
        assert_same_bits(run(None, Reports(), steps=3, workers=Workers(1)), straight(steps=3))
    finally:
        torch.set_num_threads(before)


class Bad(Pairs):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def __getitem__(self, i):
        if multiprocessing.parent_process() is not None and i == 7:
            if self.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise self.error
        return super().__getitem__(i)


def test_errors_of_workers_are_those_of_the_pairs():
    with pytest.raises(OSError, match="^the disk is gone$"):
        run(None, Bad(OSError("the disk is gone")), workers=Workers(2))
    for count in (0, 1.5, "2"):
        with pytest.raises(ValueError, match="count is"):
            Workers(count)
    with pytest.raises(TypeError, match="context is 'spawn'"):
        Workers(1, context="spawn")
    with pytest.raises(TypeError, match="expected a learning.Workers"):
        run(None, Pairs(), workers=2)


def killed():
    run(None, Bad(None), workers=Workers(2))


def test_a_worker_that_is_killed_ends_the_training(tmp_path):
    """In a process of its own: torch raises the error wherever the signal finds it."""
    assert "RuntimeError: DataLoader worker" in by_processes(1, str(tmp_path), killed)[0]


def test_an_interruption_with_workers(tmp_path):
    """Ctrl-C goes to all processes of a terminal; the workers leave it to the training."""
    class Interrupts(Pairs):
        def __getitem__(self, i):
            if multiprocessing.parent_process() is not None and len(self.seen) == 9:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getppid(), signal.SIGINT)
            return super().__getitem__(i)

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt, match="stopped by SIGINT"):
        run(path, Interrupts(), workers=Workers(1))
    assert_same_bits(run(path, Pairs()), straight())
