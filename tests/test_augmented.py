"""Pairs under every move: in image space, and in data space, where data are those of the move."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import bridge, learning, operators
from odl_learned.data import AugmentedPairs, FixedPairs, random_body

X = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")
RAYS = operators.parallel_ray_transform(X, 8)


def images(number=2):
    rng = np.random.default_rng(0)
    return [random_body(X, rng) for _ in range(number)]


def quarter_turns():
    return [(operators.SinogramTurn(RAYS, k), operators.QuarterTurn(X, k)) for k in range(4)]


def test_every_pair_comes_under_every_move():
    pairs = FixedPairs(np.arange(12.0).reshape(3, 2, 2), np.arange(12.0).reshape(3, 2, 2))
    moves = [(lambda y: y, lambda x: x), (np.negative, np.fliplr)]
    augmented = AugmentedPairs(pairs, moves)
    assert len(augmented) == 6
    for k in range(6):
        y, x = augmented[k]
        sign = 1 - 2 * (k % 2)
        np.testing.assert_array_equal(y, sign * pairs[k // 2][0])
        np.testing.assert_array_equal(x, pairs[k // 2][1][:, ::sign])
    np.testing.assert_array_equal(augmented[-1][1], augmented[5][1])


def test_moved_data_are_those_of_the_moved_image():
    """Up to the single precision of ASTRA's matrix; a turn in the wrong direction is far off."""
    bodies = images()
    augmented = AugmentedPairs(FixedPairs([RAYS(x) for x in bodies], bodies), quarter_turns())
    for y, x in augmented:
        expected = RAYS(X.element(x)).asarray()
        assert np.linalg.norm(y - expected) <= 1e-4 * np.linalg.norm(expected)
    wrong = AugmentedPairs(augmented.pairs, [(p, operators.QuarterTurn(X, -1))
                                             for p, _ in quarter_turns()[1:2]])
    y, x = wrong[0]
    assert np.linalg.norm(y - RAYS(X.element(x)).asarray()) > 0.1 * np.linalg.norm(y)


def test_training_takes_them():
    """A map of one number learns the same as from all pairs in memory."""
    bodies = images()
    augmented = AugmentedPairs(FixedPairs([RAYS(x) for x in bodies], bodies), quarter_turns())
    weights = []
    for pairs in (augmented, FixedPairs.drawn(augmented)):
        model = Scaled()
        learning.train(model, pairs, steps=3, batch_size=2, seed=0, progress=False,
                       optimizer=torch.optim.SGD(model.parameters(), 1e-3))  # fmt: skip
        weights.append(float(model.weight.detach()))
    assert weights[0] == weights[1] != 1.0


class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.adjoint = bridge.as_module(RAYS.adjoint)

    def forward(self, y):
        return self.weight * self.adjoint(y)


PAIRS = FixedPairs(np.ones((2, 3, 3)), np.ones((2, 3, 3)))


@pytest.mark.parametrize(("pairs", "moves", "error", "message"), [
    (3, [(np.flipud, np.flipud)], TypeError, "pairs is 3"),
    (PAIRS, [], ValueError, "at least one move"),
    (PAIRS, [np.flipud], ValueError, r"moves\[0\] is .*expected two"),
    (PAIRS, [(np.flipud, 3)], TypeError, "expected ODL operators"),
])  # fmt: skip
def test_what_cannot_be_augmented_is_refused(pairs, moves, error, message):
    with pytest.raises(error, match=message):
        AugmentedPairs(pairs, moves)


@pytest.mark.parametrize(("pairs", "move", "message"), [
    (PAIRS, operators.QuarterTurn(X, 1), r"shape \(3, 3\), expected \(16, 16\)"),
    (PAIRS, lambda y: y * np.inf, "inf"),
    ([np.ones(3)], np.flipud, r"pairs\[0\] is .*expected a pair"),
])  # fmt: skip
def test_what_cannot_be_moved_is_refused(pairs, move, message):
    with pytest.raises(ValueError, match=message):
        AugmentedPairs(pairs, [(move, move)])[0]
