"""Greedy patterns and largest coefficients against brute force."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import data, operators
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.learning.bilevel.sampling.baselines import (
    Draws,
    adapted_random,
    greedy,
    largest_coefficients,
)
from odl_learned.learning.bilevel.sampling.patterns import lines, points, spokes
from odl_learned.learning.bilevel.sampling.problems import sampling_problem
from odl_learned.learning.bilevel.sampling.regularizers import (
    no_regularizer,
    smoothed_variation,
    squared_gradient,
)

SHAPE = (8, 6)


def pairs(coils=None):
    rng = np.random.default_rng(0)
    space = odl.uniform_discr([0, 0], SHAPE, SHAPE, dtype="complex128")
    if coils is None:
        A = operators.SampledFourier(space, np.ones(SHAPE))
    else:
        A = operators.MultiCoilFourier(space, np.ones(SHAPE), coils)
    truth = [data.random_body(space, rng) * data.smooth_phase(space, rng) for _ in range(2)]
    noisy = [data.add_white_noise(A(x), 0.02, rng) for x in truth]
    noisy = [y.data if coils is None else np.stack([part.data for part in y]) for y in noisy]
    return torch.as_tensor(np.stack([x.data for x in truth])), torch.as_tensor(np.stack(noisy))


def error(truth, y, pattern, regularizer, alpha, chosen, coils=None):
    """The mean squared error of one set of members, by the problem of learning."""
    problem = sampling_problem(truth, y, pattern, regularizer, alpha, (0.0, 0.0),
                               sensitivities=coils)  # fmt: skip
    x = LowerLevel(problem, Newton()).solve(chosen.double(), 1e-9).x
    return float(problem.loss.value(x).sum())


@pytest.mark.parametrize("make", [no_regularizer, squared_gradient, smoothed_variation])
@pytest.mark.parametrize("coils", [None, 2])
def test_greedy_adds_the_best_line_every_time(make, coils):
    space = odl.uniform_discr([0, 0], SHAPE, SHAPE, dtype="complex128")
    maps = None if coils is None else data.simulated_sensitivities(space, coils)
    truth, y = pairs(maps)
    maps = None if maps is None else torch.as_tensor(maps)
    pattern, regularizer = lines(SHAPE), make(SHAPE)
    found = greedy(truth, y, pattern, regularizer, 0.02, 0.5, sensitivities=maps, accuracy=1e-8,
                   batch=5)  # fmt: skip
    chosen = torch.zeros(8, dtype=torch.bool)
    for step in range(4):
        errors = {}
        for i in torch.nonzero(~chosen).flatten().tolist():
            more = chosen.clone()
            more[i] = True
            errors[i] = error(truth, y, pattern, regularizer, 0.02, more, maps)
        best = min(errors, key=errors.get)
        assert found.order[step] == best
        assert found.errors[step] == pytest.approx(errors[best], rel=1e-6)
        chosen[best] = True
    assert torch.equal(found.chosen, chosen) and len(found.order) == 4
    np.testing.assert_array_equal(found.mask, pattern.mask(chosen))


def test_greedy_goes_on_from_a_start_with_random_candidates():
    truth, y = pairs()
    pattern = lines(SHAPE)
    start = torch.zeros(8, dtype=torch.bool)
    start[4] = True

    def run(seed, candidates=2):
        draws = Draws(candidates, 2, torch.Generator().manual_seed(seed))
        return greedy(truth, y, pattern, squared_gradient(SHAPE), 0.02, 0.6, start=start,
                      draws=draws)  # fmt: skip

    first, again, other = run(0), run(0), run(3)
    assert first.order == again.order and first.order != other.order
    assert 4 not in first.order and len(first.order) == 3 and bool(first.chosen[4])
    assert not bool(start[5:].any())
    with pytest.raises(ValueError, match="candidates is 0"):
        run(0, candidates=0)


def test_draws_of_everything_change_nothing():
    truth, y = pairs()
    known = truth, y, lines(SHAPE), squared_gradient(SHAPE), 0.02, 0.6
    all_of_them = greedy(*known, draws=Draws(8, 2, torch.Generator().manual_seed(0)))
    assert all_of_them.order == greedy(*known).order


def test_the_best_member_for_the_images_that_were_drawn():
    truth, y = pairs()
    known = lines(SHAPE), squared_gradient(SHAPE), 0.02, 1 / 8
    alone = [greedy(truth[i : i + 1], y[i : i + 1], *known) for i in range(2)]
    assert alone[0].errors != alone[1].errors
    found = [greedy(truth, y, *known, draws=Draws(8, 1, torch.Generator().manual_seed(seed)))
             for seed in range(8)]  # fmt: skip
    for each in found:
        assert any(each.order == one.order and each.errors == pytest.approx(one.errors)
                   for one in alone)  # fmt: skip
    assert len({each.errors[0] for each in found}) > 1


def test_greedy_spokes_keep_within_the_budget_where_they_cross():
    truth, y = pairs()
    pattern = spokes(SHAPE, 5)
    found = greedy(truth, y, pattern, squared_gradient(SHAPE), 0.02, 0.4)
    assert found.order and found.mask.sum() <= round(0.4 * 48)


def test_the_largest_coefficients_are_those_of_a_sort():
    _, y = pairs()
    power = y.abs().square().mean(0).numpy()
    mask = largest_coefficients(y, points(SHAPE), 0.25)
    assert mask.sum() == 12 and power[mask].min() >= power[~mask].max()
    rows = largest_coefficients(y, lines(SHAPE), 0.25)
    assert set(np.flatnonzero(rows.all(1))) == set(np.argsort(power.sum(1))[-2:])
    coils = torch.stack([y, 2 * y], 1)
    np.testing.assert_array_equal(largest_coefficients(coils, points(SHAPE), 0.25), mask)


def test_adapted_random_points_follow_the_power():
    power = torch.ones(SHAPE, dtype=torch.float64)
    power[:4] = 9.0
    y = power.sqrt().to(torch.complex128)[None]
    generator = torch.Generator().manual_seed(0)
    draws = [adapted_random(y, points(SHAPE), 1 / 48, generator) for _ in range(400)]
    share = np.mean([mask[:4].any() for mask in draws])
    assert all(mask.sum() == 1 for mask in draws)
    assert abs(share - 0.9) < 5 * (0.9 * 0.1 / 400) ** 0.5
