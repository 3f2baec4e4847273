"""Pictures and arrays: by formula, by round trip, and against ODL's own coordinates."""

import numpy as np
import odl
import pytest

from odl_learned.data import from_rows, to_rows


def test_from_rows_is_the_documented_formula():
    image = np.arange(12).reshape(3, 4)
    array = from_rows(image)
    assert array.shape == (4, 3)
    for x in range(4):
        for y in range(3):
            assert array[x, y] == image[3 - 1 - y, x]


def test_to_rows_is_the_inverse_and_keeps_leading_axes(rng):
    images = rng.standard_normal((2, 5, 3, 4))
    assert np.array_equal(to_rows(from_rows(images)), images)
    assert np.array_equal(from_rows(to_rows(images)), images)
    assert np.array_equal(from_rows(images)[1, 2], from_rows(images[1, 2]))


def test_results_are_contiguous():
    assert from_rows(np.zeros((3, 4))).flags.c_contiguous
    assert to_rows(np.zeros((3, 4))).flags.c_contiguous


def test_axes_are_the_coordinates_of_odl():
    space = odl.uniform_discr([0, 0], [4, 3], (4, 3))
    picture_x = to_rows(space.element(lambda p: p[0]).asarray())
    picture_y = to_rows(space.element(lambda p: p[1]).asarray())
    assert np.all(np.diff(picture_x, axis=1) > 0)  # x grows to the right
    assert np.all(np.diff(picture_y, axis=0) < 0)  # y grows upwards


def test_one_axis_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\), expected at least two axes"):
        from_rows(np.zeros(3))
    with pytest.raises(ValueError, match="at least two axes"):
        to_rows(np.zeros(3))
