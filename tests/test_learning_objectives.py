"""Objectives that learn themselves are part of the one loop: in turns, continued, in processes."""

import functools

import numpy as np
import pytest
import torch
from critics import LinearCritic
from torch import nn
from training_processes import by_processes, learn
from training_runs import Pairs, assert_same_bits, run

from odl_learned.learning import Objective, WeightedSum, mean_squared_error, train

SGD = functools.partial(torch.optim.SGD, lr=1.0)
ADAM = functools.partial(torch.optim.Adam, lr=0.1)


def test_a_critic_at_its_maximum_gives_the_discrepancy():
    """Its steps and those of the model take turns: the values are those of the closed form."""
    def trained(loss):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        return train(model, Pairs(), steps=10, optimizer=optimizer, batch_size=3, loss=loss,
                     progress=False).loss  # fmt: skip

    expected = trained(lambda x, truth: (truth - x).mean(0).square().sum() / 2)
    np.testing.assert_allclose(trained(LinearCritic(4, SGD)), expected, rtol=1e-5)


def summed():
    return WeightedSum([(1.0, mean_squared_error), (0.5, LinearCritic(4, ADAM, steps=2))])


def test_a_critic_is_continued_with_the_state_of_its_optimizer(tmp_path):
    path = tmp_path / "run.pt"
    whole = run(None, Pairs(), loss=summed())
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(at=8 * 3 + 1), loss=summed())
    found = run(path, Pairs(), loss=summed())
    assert_same_bits(found, whole)


def test_a_critic_in_two_processes_is_that_of_one(tmp_path):
    alone = learn(LinearCritic(64, ADAM, steps=3))
    for found in by_processes(2, str(tmp_path), learn, loss=LinearCritic(64, ADAM, steps=3)):
        for one, two in zip(found, alone, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_an_interrupted_step_of_a_critic_is_not_saved(tmp_path):
    class Dies(LinearCritic):
        def __call__(self, model, batch):
            if batch.when == "in step 9":
                raise KeyboardInterrupt  # the critic has done its step, the model has not
            return super().__call__(model, batch)

    path, options = tmp_path / "run.pt", dict(normalization=nn.LayerNorm, validation=None)
    with pytest.raises(KeyboardInterrupt):
        run(path, Pairs(), loss=Dies(4, ADAM), **options)
    found = run(path, Pairs(), loss=LinearCritic(4, ADAM), **options)
    assert_same_bits(found, run(None, Pairs(), loss=LinearCritic(4, ADAM), **options))


def test_errors(tmp_path):
    class Quiet(Objective):
        def __call__(self, model, batch):
            return batch.images(model).square().mean()

    path = tmp_path / "run.pt"
    run(path, Pairs(), steps=2, loss=LinearCritic(4, ADAM))
    with pytest.raises(ValueError, match="another objective: weights is .*4.*, expected .*5"):
        run(path, Pairs(), loss=LinearCritic(5, ADAM))
    with pytest.raises(ValueError, match="state of the objective that it does not take.*no state"):
        run(path, Pairs(), loss=Quiet())
    with pytest.raises(FloatingPointError, match="descends is nan in step 1"):
        run(None, Pairs(), loss=LinearCritic(4, functools.partial(SGD, lr=float("inf")), steps=2))
