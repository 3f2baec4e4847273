"""The curve of residuals and penalties."""

import numpy as np
import pytest

from odl_learned import plotting

ALPHAS = np.array([4.0, 1.0, 2.0])


def arguments(tmp_path):
    return {"alphas": ALPHAS, "residuals": ALPHAS, "penalties": 8 / ALPHAS,
            "path": tmp_path / "curve.png", "chosen": {"rule": 2**0.5}}  # fmt: skip


def test_points_are_drawn_in_order_and_the_chosen_one_on_the_line(tmp_path):
    figure = plotting.l_curve(**arguments(tmp_path))
    line, mark = figure.axes[0].lines
    assert list(line.get_xdata()) == [1, 2, 4] and list(line.get_ydata()) == [8, 4, 2]
    assert np.allclose(mark.get_xydata(), [[2**0.5, 8 / 2**0.5]])
    assert mark.get_label() == "rule, 1.4" and (tmp_path / "curve.png").stat().st_size > 1000


def test_no_label_is_cut_off(tmp_path):
    figure = plotting.l_curve(**arguments(tmp_path))
    renderer = figure.canvas.get_renderer()
    for text in figure.axes[0].texts:
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0 and box.x1 <= figure.bbox.x1 and 0 <= box.y0


@pytest.mark.parametrize("change, error, message", [
    ({"chosen": {"rule": 9.0}}, ValueError, "expected a number from 1 to 4"),
    ({"penalties": np.array([1.0, 0.0, 2.0])}, ValueError, "expected positive ones"),
    ({"residuals": ALPHAS[:2]}, ValueError, "shape"),
    ({"alphas": np.ones(1)}, ValueError, "two numbers"),
    ({"path": "nowhere/x.png"}, FileNotFoundError, "create it"),
], ids=range(5))  # fmt: skip
def test_bad_input_is_refused(change, error, message, tmp_path):
    with pytest.raises(error, match=message):
        plotting.l_curve(**arguments(tmp_path) | change)
