"""Exchange of sampled members: never worse, and the best mask where all can be tried."""

import itertools

import numpy as np
import odl
import pytest
import torch

from odl_learned import data, operators
from odl_learned.learning.bilevel import continuation
from odl_learned.learning.bilevel.sampling.baselines import greedy
from odl_learned.learning.bilevel.sampling.exchange import exchange
from odl_learned.learning.bilevel.sampling.patterns import lines, points, spokes
from odl_learned.learning.bilevel.sampling.regularizers import smoothed_variation
from odl_learned.learning.bilevel.sampling.trials import Trials

SHAPE, ALPHA = (12, 12), 1e-2


@pytest.fixture(scope="module")
def train():
    rng = np.random.default_rng(3)
    space = odl.uniform_discr([0, 0], SHAPE, SHAPE, dtype="complex128")
    whole = operators.SampledFourier(space, np.ones(SHAPE))
    truth = [space.element(data.random_ellipses(space.real_space, rng).data) for _ in range(2)]
    noisy = [data.add_white_noise(whole(x), 0.02, rng) for x in truth]
    return tuple(torch.as_tensor(np.stack([v.data for v in many])) for many in (truth, noisy))


def errors_of(train, pattern, masks):
    trials = Trials(*train, pattern, smoothed_variation(SHAPE), ALPHA, 1e-2, None, 1e-6, 256)
    return trials.values(masks, torch.zeros_like(train[0]))[0]


def exchanged(train, pattern, chosen):
    return exchange(*train, pattern, smoothed_variation(SHAPE), ALPHA, chosen, pairs=100,
                    accuracy=1e-6)  # fmt: skip


@pytest.mark.parametrize("make", [lines, points])
def test_errors_decrease_at_the_same_rate_to_a_local_minimum(make, train):
    pattern, rng = make(SHAPE), np.random.default_rng(0)
    chosen = torch.as_tensor(rng.permutation(pattern.size) < pattern.size // 3)
    found = exchanged(train, pattern, chosen)
    assert len(found.errors) > 1 and np.all(np.diff(found.errors) < 0)
    assert found.errors[-1] < 0.85 * found.errors[0]
    assert int(found.chosen.sum()) == int(chosen.sum())
    assert found.mask.sum() == pattern.mask(chosen).sum()
    (error,) = errors_of(train, pattern, [found.chosen])
    assert float(error) == pytest.approx(found.errors[-1], rel=1e-4)
    assert len(exchanged(train, pattern, found.chosen).errors) == 1


def test_three_lines_are_as_good_as_the_best_of_all_masks_nearly(train):
    pattern = lines(SHAPE)
    masks = [torch.zeros(12, dtype=torch.bool) for _ in itertools.combinations(range(12), 3)]
    for mask, three in zip(masks, itertools.combinations(range(12), 3), strict=True):
        mask[list(three)] = True
    every = errors_of(train, pattern, masks)
    found = exchanged(train, pattern, masks[0])
    assert found.errors[-1] <= 1.02 * float(every.min()) < 0.7 * found.errors[0]
    assert float(every.median()) > 1.25 * found.errors[-1]


def test_what_is_greedy_never_gets_worse(train):
    pattern = lines(SHAPE)
    path = greedy(*train, pattern, smoothed_variation(SHAPE), ALPHA, 0.5, accuracy=1e-6)
    assert exchanged(train, pattern, path.chosen).errors[-1] <= path.errors[-1] * (1 + 1e-6)


def test_doors(train):
    pattern, reg = lines(SHAPE), smoothed_variation(SHAPE)
    half = torch.arange(12) < 6
    for change, words in (
        ({"chosen": torch.zeros(12).bool()}, "0 of 12"),
        ({"chosen": torch.ones(12).bool()}, "12 of 12"),
        ({"pairs": 0}, "pairs"), ({"accuracy": -1.0}, "accuracy"),
    ):  # fmt: skip
        given = {"chosen": half, "pairs": 2, "accuracy": 1e-2} | change
        with pytest.raises(ValueError, match=words):
            exchange(*train, pattern, reg, ALPHA, given.pop("chosen"), **given)
    star = spokes(SHAPE, 5)
    with pytest.raises(TypeError, match="expected a bool tensor"):
        exchange(*train, pattern, reg, ALPHA, half.double())
    with pytest.raises(ValueError, match="different sizes"):
        exchange(*train, star, reg, ALPHA, torch.arange(5) < 2)
    with pytest.raises(ValueError, match="empty"):
        continuation([], half, None)
