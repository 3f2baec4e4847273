"""The comparison of volumes: which slice is where, which way up, and in what proportions."""

import numpy as np
import odl
import pytest
from matplotlib.text import Text

from odl_learned.plotting import volume_comparison


def drawn(path, count=2, shape=(9, 7, 5), **options):
    rng = np.random.default_rng(0)
    truth = rng.random(shape)
    images = {f"method number {i}": truth + 0.1 * rng.standard_normal(shape) for i in range(count)}
    return volume_comparison(images, truth, path, **options), images, truth


def panels(figure):
    return [ax.images[0] for ax in figure.axes if ax.images]


def test_slices_run_right_and_up_and_errors_are_below(tmp_path):
    i, j, k = 2, 5, 1
    figure, images, truth = drawn(tmp_path / "a.png", point=(i, j, k), window=(0.1, 0.8))

    def rows(u):
        """Pictures whose row 0 is at the top: the second of the remaining axes, backward."""
        return [u[:, ::-1, k].T, u[:, j, ::-1].T, u[i, :, ::-1].T]

    expected = rows(truth)
    for x in images.values():
        expected += [*rows(x), *rows(truth - x)]
    got = panels(figure)
    assert len(got) == len(expected) == 15
    for panel, picture in zip(got, expected, strict=True):
        assert np.array_equal(panel.get_array(), picture)
    assert all(panel.get_clim() == (0.1, 0.8) for panel in (*got[:6], *got[9:12]))
    errors = [np.concatenate([e.ravel() for e in rows(truth - x)]) for x in images.values()]
    scale = max(np.quantile(np.abs(e), 0.995) for e in errors)
    assert all(panel.get_clim() == (-scale, scale) for panel in (*got[6:9], *got[12:]))


def test_lines_mark_the_other_slices_and_sides_give_proportions(tmp_path):
    space = odl.uniform_discr([0] * 3, [9, 7, 20], (9, 7, 5))
    truth = space.element(lambda x: x[0] + x[1] + x[2])
    figure = volume_comparison({"x": truth}, truth, tmp_path / "a.png", point=(2, 5, 1))
    places = [[line.get_xdata()[0] if line.get_xdata()[0] == line.get_xdata()[1]
               else line.get_ydata()[0] for line in ax.lines] for ax in figure.axes if ax.lines]
    assert places == [[2.5, 5.5], [2.5, 1.5], [5.5, 1.5]]
    width, height = figure.get_size_inches()
    boxes = [ax.get_position() for ax in figure.axes if ax.lines]
    ratios = [box.height * height / (box.width * width) for box in boxes]
    assert np.allclose(ratios, [7 / 9, 20 / 9, 20 / 7])
    flat = volume_comparison({"x": truth}, truth, tmp_path / "a.png", sides=(1, 1, 1))
    box = [ax.get_position() for ax in flat.axes if ax.lines][1]
    width, height = flat.get_size_inches()
    assert box.height * height / (box.width * width) == pytest.approx(5 / 9)


@pytest.mark.parametrize("count", [1, 5])
def test_text_is_inside(count, tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.random((8, 9, 5))
    names = [f"a method with a long name that wraps, {i}" for i in range(count)]
    figure = volume_comparison(
        dict.fromkeys(names, 1j * truth), truth, tmp_path / "a.png", title="A title", unit="HU",
        captions={name: "PSNR 31.25 dB, SSIM 0.912" for name in names})  # fmt: skip
    figure.canvas.draw()
    images = [ax.get_window_extent() for ax in figure.axes if ax.images]
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(image) for image in images), text.get_text()
    assert {"HU", "error, HU"} <= {t.get_text() for t in figure.findobj(Text)}


@pytest.mark.parametrize(("change", "message"), [
    ({"images": {}}, "at least one reconstruction"),
    ({"images": {"truth": np.ones((3, 4, 5))}}, "none called 'truth'"),
    ({"images": {"x": np.ones((3, 4, 4))}}, r"x has shape \(3, 4, 4\), expected \(3, 4, 5\)"),
    ({"images": {"x": np.full((3, 4, 5), np.nan)}}, "x contains 60 NaN"),
    ({"truth": np.ones((3, 4))}, "expected three axes.*plotting.comparison"),
    ({"point": (0, 0, 5)}, "point is .*shape .3, 4, 5"),
    ({"point": (0, 0)}, "point is"),
    ({"sides": (1, 0, 1)}, "sides is"),
    ({"window": (1, 0)}, r"window is \(1, 0\)"),
    ({"captions": {"y": "PSNR"}}, r"captions has \['y'\]"),
])  # fmt: skip
def test_refusals(change, message, tmp_path):
    x = np.random.default_rng(0).random((3, 4, 5))
    arguments = {"images": {"x": x}, "truth": x, "path": tmp_path / "a.png"}
    with pytest.raises(ValueError, match=message):
        volume_comparison(**(arguments | change))
    assert not (tmp_path / "a.png").exists()
