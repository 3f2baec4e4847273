"""The picture of a training shows its losses, its validations and the best one."""

import numpy as np
import pytest

from odl_learned import plotting
from odl_learned.learning import History
from odl_learned.learning.best import Kept


def history(losses, validation=(), best=None):
    losses = np.asarray(losses, dtype=float)
    return History(np.arange(1, len(losses) + 1), losses, 5 * np.arange(1, len(validation) + 1),
                   np.asarray(validation, dtype=float), best)  # fmt: skip


def test_curves_have_the_values_of_the_histories(tmp_path):
    losses = np.geomspace(1, 1e-3, 20)
    one = history(losses, [3.0, 1.0, 2.0], Kept(10, 1.0, {}))
    figure = plotting.learning_curves({"one": one, "two": history(2 * losses)}, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 10_000
    above, below = figure.axes
    assert above.get_yscale() == "log"
    raw, smooth, other = above.get_lines()[:3]
    np.testing.assert_array_equal(raw.get_ydata(), losses)
    np.testing.assert_array_equal(other.get_ydata(), 2 * losses)
    np.testing.assert_allclose(smooth.get_ydata(), losses.reshape(4, 5).mean(1))
    np.testing.assert_allclose(smooth.get_xdata(), [3, 8, 13, 18])
    values, circle = below.get_lines()
    np.testing.assert_array_equal(values.get_xydata(), [[5, 3], [10, 1], [15, 2]])
    np.testing.assert_array_equal(circle.get_xydata(), [[10, 1]])


def test_negative_losses_have_a_linear_axis(tmp_path):
    figure = plotting.learning_curves({"critic": history([1, -1])}, str(tmp_path / "x.png"))
    (axes,) = figure.axes
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (lambda d: ({}, d / "x.png"), ValueError, "histories is empty"),
    (lambda d: ({"a": history([])}, d / "x.png"), ValueError, "'a' has no steps"),
    (lambda d: (history([1]), d / "x.png"), TypeError, "histories is of type History"),
    (lambda d: ({"a": [1.0]}, d / "x.png"), TypeError, "expected what learning.train returns"),
    (lambda d: ({"a": history([1])}, d / "no" / "x.png"), FileNotFoundError, "create it"),
])  # fmt: skip
def test_errors(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        plotting.learning_curves(*arguments(tmp_path))
