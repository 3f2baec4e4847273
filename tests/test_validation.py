"""Numbers at the door: whole ones beyond all floats, infinities, words, counts with an end."""

import numpy as np
import odl
import pytest

from odl_learned import data, functionals, operators
from odl_learned.validation import (
    is_finite_number,
    require_count,
    require_nonnegative,
    require_positive,
    shown,
)

HUGE = 10**400


@pytest.mark.parametrize("value, finite", [
    (1, True), (1.5, True), (np.float32(2), True), (np.int64(3), True), (2**1000, True),
    (HUGE, False), (-HUGE, False), (np.inf, False), (-np.inf, False), (np.nan, False),
    (1j, False), ("1", False), (None, False),
    (np.ones(1), False)])  # fmt: skip
def test_finite_numbers(value, finite):
    assert is_finite_number(value) is finite


def test_messages_are_one_line_however_large_the_value():
    for check in (require_positive, require_nonnegative, require_count):
        with pytest.raises(ValueError, match="^n is .*; expected") as caught:
            check("n", -HUGE)
        assert len(str(caught.value)) < 150
    assert "\n" not in shown(np.ones((30, 30)))
    require_nonnegative("n", 0)
    require_count("n", np.int32(3), 3, 3)
    with pytest.raises(ValueError, match="n is 4; expected at most 3"):
        require_count("n", 4, most=3)


X = odl.uniform_discr([0, 0], [1, 1], (8, 8))
X32, MANY = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32"), (10**9, HUGE)
MISTAKES = [
    lambda: operators.OrthogonalWavelet(X, "haar", 10**9),
    lambda: operators.OrthogonalWavelet(X, "haar", HUGE),
    lambda: functionals.WaveletL1(X, "haar", 10**9),
    lambda: functionals.SmoothedTV(X, HUGE, 0.1, 0.1),
    lambda: operators.Rotation(X, HUGE),
    lambda: data.simulated_sensitivities(X, 10**12),
    lambda: data.add_white_noise(X.one(), HUGE, np.random.default_rng(0)),
    lambda: data.log_linearize(X.one(), HUGE),
    *(lambda number=number: operators.parallel_ray_transform(X32, number) for number in MANY),
    *(lambda number=number: operators.parallel_ray_transform(X32, 4, number) for number in MANY),
    lambda: operators.fan_beam_ray_transform(X32, 10**9, 4.0, 2.0),
    lambda: operators.gaussian_kernel(X, 1e9),
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_work_without_bound_from_one_number(mistake):
    with pytest.raises(ValueError, match="is .*expected"):
        mistake()


def test_a_detector_of_another_unit_of_length_is_not_filled_with_bins():
    for build in (lambda width: operators.parallel_ray_transform(X32, 4, None, width),
                  lambda width: operators.fan_beam_ray_transform(X32, 4, 4.0, 2.0, None, width)):
        with pytest.raises(ValueError, match="half the width 1e.09 has .* bins.*unit of length"):
            build(1e9)
        assert build(3.0).range.shape[1] < 100
