"""The comparison figure: orientation, windows, errors, and text that fits."""

import matplotlib.pyplot
import numpy as np
import odl
import pytest
from matplotlib.text import Text

from odl_learned.data import to_rows
from odl_learned.plotting import comparison, perturbations


def draw(path, count, shape=(40, 30), **options):
    rng = np.random.default_rng(0)
    truth = rng.random(shape)
    images = {f"method number {i}": truth + 0.1 * rng.standard_normal(shape) for i in range(count)}
    return comparison(images, truth, path, **options), images, truth


def panels(figure):
    return [ax.images[0] for ax in figure.axes if ax.images]


def test_panels_show_images_zooms_and_errors(tmp_path):
    zoom = ((5, 20), (2, 14))
    figure, images, truth = draw(tmp_path / "a.png", 4, zoom=zoom, window=(0.1, 0.8))
    drawn = panels(figure)
    assert len(drawn) == 5 + 5 + 4
    expected = [(truth, False)] + [(x, True) for x in images.values()]
    position = 0
    scales = set()
    for x, has_error in expected:
        assert np.array_equal(drawn[position].get_array(), to_rows(x))
        assert np.array_equal(drawn[position + 1].get_array(), to_rows(x[5:20, 2:14]))
        assert drawn[position].get_clim() == drawn[position + 1].get_clim() == (0.1, 0.8)
        position += 2
        if has_error:
            assert np.array_equal(drawn[position].get_array(), to_rows(truth - x))
            low, high = drawn[position].get_clim()
            assert low == -high
            scales.add(high)
            position += 1
    largest = max(np.quantile(np.abs(truth - x), 0.995) for x in images.values())
    assert scales == {largest}


def test_errors_are_drawn_and_scaled_over_the_body_and_units_are_said(tmp_path):
    truth, body = np.zeros((20, 16)), np.zeros((20, 16), bool)
    body[4:9, 5:11] = True
    x = np.where(body, 0.25, 100.0)
    figure = comparison({"x": x}, truth, tmp_path / "a.png", window=(0, 1), unit="HU", body=body)
    *_, error = panels(figure)
    assert error.get_clim() == (-0.25, 0.25)
    assert np.array_equal(error.get_array().mask, to_rows(~body))
    labels = [ax.get_ylabel() for ax in figure.axes if not ax.images]
    assert labels == ["HU", "truth \N{MINUS SIGN} reconstruction\nHU"]
    for wrong, error in ((body.astype(int), TypeError), (body[1:], ValueError),
                         (body & False, ValueError)):  # fmt: skip
        with pytest.raises(error, match="body"):
            comparison({"x": x}, truth, tmp_path / "a.png", body=wrong)


@pytest.mark.parametrize(("size", "rows"), [(95, 2), (96, 3)])
def test_small_images_have_no_zoom(size, rows, tmp_path):
    """A quarter of less than 96 pixels is less than 24, and shows no more than the image."""
    truth = np.random.default_rng(0).random((size, size))
    figure = comparison({"x": 0.9 * truth}, truth, tmp_path / "a.png")
    assert len(panels(figure)) == 2 * rows - 1
    assert len(figure.axes[0].patches) == rows - 2


def test_rectangle_marks_the_zoomed_pixels(tmp_path):
    truth = np.zeros((20, 16))
    truth[3:7, 9:14] = 1
    figure = comparison({"x": truth}, truth, tmp_path / "a.png", zoom=((3, 7), (9, 14)))
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    ax = figure.axes[0]
    # On the screen: the bright pixels lie inside of the rectangle, up and left of the center.
    box = ax.patches[0].get_window_extent()
    height = picture.shape[0]
    inside = picture[int(height - box.y1) + 4 : int(height - box.y0) - 4,
                     int(box.x0) + 4 : int(box.x1) - 4]  # fmt: skip
    assert inside.size and np.all(inside == 255)
    frame = ax.get_window_extent()
    whole = picture[int(height - frame.y1) + 4 : int(height - frame.y0) - 4,
                    int(frame.x0) + 4 : int(frame.x1) - 4]  # fmt: skip
    white = np.argwhere(np.all(whole == 255, axis=-1)).mean(axis=0) / whole.shape[:2]
    assert np.allclose(white, [1 - 11.5 / 16, 5 / 20], atol=0.03)


@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize("shape", [(40, 30), (30, 40)])
def test_text_is_inside_and_does_not_overlap(count, shape, tmp_path):
    rng = np.random.default_rng(0)
    truth = 1e-3 * rng.random(shape)  # small, so that color bars have a factor above
    names = [f"learned proximal gradient, equivariant {i}" for i in range(count)]
    captions = {name: "PSNR 31.25 dB, SSIM 0.912" for name in names}
    figure = comparison(dict.fromkeys(names, 1.01 * truth), truth, tmp_path / "a.png",
                        captions=captions, title="Fan beam, 60 angles",
                        reference="published, from 120 views of the same")  # fmt: skip
    figure.canvas.draw()
    texts = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]
    factors = [ax.yaxis.get_offset_text() for ax in figure.axes if not ax.images]
    assert len(factors) == 2 and all(t.get_text() for t in factors)
    for box in (t.get_window_extent() for t in factors):
        assert not any(box.overlaps(ax.get_window_extent()) for ax in figure.axes if ax.images)
    ticks = {id(t) for ax in figure.axes for t in (*ax.get_xticklabels(), *ax.get_yticklabels())}
    boxes = [t.get_window_extent() for t in texts]
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    own = [b for t, b in zip(texts, boxes) if id(t) not in ticks and t in figure.texts]
    for i, a in enumerate(own):
        for b in own[:i]:
            assert min(a.x1, b.x1) <= max(a.x0, b.x0) or min(a.y1, b.y1) <= max(a.y0, b.y0) + 1
        for ax in figure.axes:
            box = ax.get_window_extent()
            assert min(a.x1, box.x1) <= max(a.x0, box.x0) or a.y0 >= box.y1 or a.y1 <= box.y0


def test_files_and_global_state(tmp_path):
    before = matplotlib.pyplot.get_fignums()
    figure, _, _ = draw(tmp_path / "a.png", 4, title="title")
    pixels = matplotlib.pyplot.imread(tmp_path / "a.png")
    assert np.all(np.abs(pixels.shape[:2] - 200 * figure.get_size_inches()[::-1]) <= 1)
    draw(tmp_path / "a.pdf", 1)
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert matplotlib.pyplot.get_fignums() == before


def test_elements_and_complex_images(tmp_path, rng):
    space = odl.uniform_discr([0, 0], [1, 1], (12, 12), dtype="complex64")
    x = rng.random((12, 12)) * np.exp(1j * rng.random((12, 12)))
    figure = comparison({"x": space.element(2 * x)}, space.element(x), tmp_path / "a.png")
    error = panels(figure)[-1].get_array()
    assert np.allclose(error, to_rows(-np.abs(x)), atol=1e-6)


def test_perfect_reconstruction(tmp_path, rng):
    truth = rng.random((12, 12))
    figure = comparison({"x": truth}, truth, tmp_path / "a.png")
    assert panels(figure)[-1].get_clim() == (-1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {}}, "at least one reconstruction"),
        ({"images": {"truth": np.eye(9)}}, "none called 'truth'"),
        ({"images": {"x": np.zeros((9, 8))}}, r"x has shape \(9, 8\), expected \(9, 9\)"),
        ({"images": {"x": np.full((9, 9), np.nan)}}, "x contains 81 NaN"),
        ({"truth": np.zeros((1, 9, 9))}, "expected two axes"),
        ({"truth": np.zeros((9, 9))}, r"window is \(0, 0\), expected two increasing"),
        ({"window": (1, 0)}, r"window is \(1, 0\)"),
        ({"zoom": ((0, 10), (0, 5))}, "expected .*0 <= x0 < x1 <= 9"),
        ({"zoom": (0, 5, 0, 5)}, "zoom is"),
        ({"zoom": ((0, 1.5), (0, 5))}, "zoom is"),
        ({"captions": {"y": "PSNR"}}, r"captions has \['y'\], expected names among"),
    ],
)
def test_refusals(change, message, tmp_path):
    arguments = {"images": {"x": np.eye(9)}, "truth": np.eye(9), "path": tmp_path / "a.png"}
    with pytest.raises(ValueError, match=message):
        comparison(**(arguments | change))
    assert not (tmp_path / "a.png").exists()


def perturbed(path, **options):
    rng = np.random.default_rng(0)
    before = {name: rng.random((40, 30)) for name in ("map", "another map")}
    after = {name: x + 0.1 * rng.standard_normal(x.shape) for name, x in before.items()}
    return perturbations(before, after, path, **options), before, after


def test_perturbations_show_images_changes_and_the_reference(tmp_path):
    rng = np.random.default_rng(1)
    added = {name: rng.standard_normal((20, 50)) for name in ("map", "another map")}
    reference = {name: rng.random((40, 30)) for name in added}
    truth = rng.random((40, 30))
    figure, before, after = perturbed(tmp_path / "a.png", added=added, reference=reference,
                                      truth=truth, window=(0.1, 0.9))  # fmt: skip
    drawn = [(image.get_array(), image.get_clim()) for image in panels(figure)]
    gray = (0.1, 0.9)
    changes = [after[n] - before[n] for n in before]
    scale = max(np.quantile(np.abs(x), 0.995) for x in changes)
    size = max(np.quantile(np.abs(x), 0.995) for x in added.values())
    expected = [(truth, gray), *((x, gray) for x in before.values()),
                *((x, (-size, size)) for x in added.values()), *((x, gray) for x in after.values()),
                *((x, (-scale, scale)) for x in changes), *((x, gray) for x in reference.values())]
    assert len(drawn) == len(expected) == 11
    for (array, limits), (x, own) in zip(drawn, expected):
        assert np.array_equal(array, to_rows(x)) and limits == own


def test_changes_of_complex_images_are_moduli(tmp_path):
    before = {"a": np.full((6, 5), 1 + 1j)}
    figure = perturbations(before, {"a": np.full((6, 5), 1 - 1j)}, tmp_path / "a.png",
                           window=(0, 2))  # fmt: skip
    first, second, change = (image.get_array() for image in panels(figure))
    assert np.allclose(first, 2**0.5) and np.allclose(second, 2**0.5) and np.allclose(change, 2)


def test_the_table_is_beside_the_images_and_inside(tmp_path):
    table = {"map": {"worst": 0.12345, "TV, same e": "3 %"},
             "another map": {"worst": 2.0, "TV, same e": "10 %"}}  # fmt: skip
    figure, *_ = perturbed(tmp_path / "a.png", table=table, title="Title", truth=np.eye(40, 30),
                           captions={"map": "25.2 dB"})  # fmt: skip
    figure.canvas.draw()
    texts = {t.get_text(): t.get_window_extent() for t in figure.findobj(Text) if t.get_text()}
    assert {"0.123", "3 %", "2", "10 %", "worst", "25.2 dB", "Title"} <= set(texts)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0
    right = max(ax.get_window_extent().x1 for ax in figure.axes)
    assert texts["worst"].x0 > right


@pytest.mark.parametrize("spoil, error, message", [
    ({"before": {}}, ValueError, "before is empty"),
    ({"before": 3}, TypeError, "before is int"),
    ({"after": {"b": np.ones((3, 3))}}, ValueError, r"after has the names \['b'\], expected"),
    ({"after": {"a": np.ones((3, 4))}}, ValueError, r"after\['a'\] has shape \(3, 4\)"),
    ({"added": {"a": np.ones(3)}}, ValueError, "expected two axes"),
    ({"truth": np.full((3, 3), np.nan)}, ValueError, "truth"),
    ({"table": {"b": {}}}, ValueError, r"table has \['b'\]"),
    ({"table": {"a": 3}}, TypeError, r"table\['a'\] is int"),
    ({"captions": {"b": ""}}, ValueError, r"captions has \['b'\]"),
    ({"window": (1, 0)}, ValueError, r"window is \(1, 0\)"),
    ({"path": "no/such/a.png"}, FileNotFoundError, "is no folder"),
])  # fmt: skip
def test_wrong_arguments_of_perturbations_are_named(spoil, error, message, tmp_path):
    one = {"a": np.eye(3)}
    arguments = {"before": one, "after": one, "path": tmp_path / "a.png"} | spoil
    with pytest.raises(error, match=message):
        perturbations(**arguments)
