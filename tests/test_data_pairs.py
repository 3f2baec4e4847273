"""Pairs: reproducible per index, independent of order, and refusals."""

import numpy as np
import odl
import pytest
import torch

from odl_learned.data import FixedPairs, SimulatedPairs, add_white_noise

SPACE = odl.uniform_discr([0, 0], [1, 1], (5, 4), dtype="float32")


def truth(rng):
    return SPACE.element(rng.random(SPACE.shape).astype("float32"))


def measure(x, rng):
    return add_white_noise(2 * x, 0.1, rng)


@pytest.fixture
def pairs():
    return SimulatedPairs(truth, measure, 4, 11)


def test_item_is_the_documented_draw(pairs):
    rng = np.random.default_rng([11, 2])
    x = truth(rng)
    y = measure(x, rng)
    data, image = pairs[2]
    assert np.array_equal(data, y.asarray()) and np.array_equal(image, x.asarray())
    assert data.dtype == image.dtype == np.float32


def test_items_do_not_depend_on_order(pairs):
    forward = [pairs[i] for i in range(4)]
    backward = [pairs[i] for i in (3, 2, 1, 0)][::-1]
    for (a, b), (c, d) in zip(forward, backward):
        assert np.array_equal(a, c) and np.array_equal(b, d)
    assert not np.array_equal(forward[0][1], forward[1][1])
    assert not np.array_equal(SimulatedPairs(truth, measure, 4, 12)[0][1], forward[0][1])


def test_sequence_protocol(pairs):
    assert len(pairs) == 4 and len(list(pairs)) == 4
    assert np.array_equal(pairs[-1][0], pairs[3][0])
    assert np.array_equal(pairs[np.int64(1)][0], pairs[1][0])
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"index is {index}"):
            pairs[index]
    with pytest.raises(TypeError):
        pairs[0:2]


def test_items_may_be_changed_without_harm(pairs):
    pairs[0][1][:] = 0
    assert pairs[0][1].any()


def test_power_spaces_become_one_array():
    coils = SimulatedPairs(truth, lambda x, rng: (SPACE**3).element([x, x, x]), 2, 0)
    data, image = coils[0]
    assert data.shape == (3, 5, 4) and np.array_equal(data[1], image)


def test_drawn_pairs_are_the_simulated_ones(pairs):
    fixed = FixedPairs.drawn(pairs)
    assert len(fixed) == 4 and fixed.data.shape == (4, 5, 4)
    for i in (0, 3, -2):
        assert all(np.array_equal(a, b) for a, b in zip(fixed[i], pairs[i]))
    with pytest.raises(IndexError, match="index is 4"):
        fixed[4]


def test_elements_and_tensors_are_kept_as_arrays():
    arrays = np.arange(40.0).reshape(2, 5, 4)
    for kind in (SPACE.element, torch.from_numpy, lambda a: torch.from_numpy(a).requires_grad_()):
        fixed = FixedPairs([kind(a) for a in arrays], [kind(a + 1) for a in arrays])
        drawn = FixedPairs.drawn([(kind(a), kind(a + 1)) for a in arrays])
        for pairs in (fixed, drawn):
            assert isinstance(pairs.data, np.ndarray) and np.array_equal(pairs.data, arrays)
            assert np.array_equal(pairs.truth, arrays + 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SimulatedPairs(truth, measure, 0, 1), ValueError, "size is 0"),
        (lambda: SimulatedPairs(truth, measure, 2, -1), ValueError, "seed is -1"),
        (lambda: SimulatedPairs(3, measure, 2, 1), TypeError, "truth is 3"),
        (lambda: SimulatedPairs(truth, lambda x, r: 3, 2, 1)[0], TypeError, "of type int"),
        (lambda: FixedPairs(np.zeros((2, 3)), np.zeros((3, 3))), ValueError, "data has 2 items"),
        (lambda: FixedPairs(np.zeros((0, 3)), np.zeros((0, 3))), ValueError, "at least one item"),
        (lambda: FixedPairs(np.full((1, 3), np.nan), np.zeros((1, 3))), ValueError, "3 NaN"),
        (lambda: FixedPairs.drawn([]), ValueError, "pairs is empty"),
        (lambda: FixedPairs.drawn(iter([])), TypeError, "of type list_iterator, expected a seq"),
        (lambda: FixedPairs.drawn([np.ones(3)]), ValueError, "is not a pair but of type ndarray"),
        (lambda: FixedPairs.drawn([(np.ones(2), 1), (np.ones(3), 1)]), ValueError,
         r"data\[1\] has shape \(3,\), expected \(2,\).*batch_size=1"),
        (lambda: FixedPairs(np.ma.masked_equal(np.eye(2), 0), np.eye(2)), ValueError,
         "data is a masked array with 2 masked entries"),
        (lambda: FixedPairs(np.eye(2), np.eye(2))[:1], TypeError, r"for i in range\(start, stop\)"),
        (lambda: SimulatedPairs(lambda rng: odl.ProductSpace(SPACE, odl.rn(2)).one(), measure, 2,
                                0)[0], ValueError, "is an element of .*has one shape"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
