"""Figures that compare reconstructions: images, a zoomed region, and error maps."""

import numbers
import textwrap
from collections.abc import Mapping
from os import PathLike

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from odl_learned.data.orientation import to_rows
from odl_learned.plotting.panels import (
    BAR,
    BAR_LABEL,
    CAPTION_SIZE,
    GAP,
    LABEL_SIZE,
    LINE,
    MARGIN,
    TITLE_SIZE,
    WIDTH,
    checked_captions,
    checked_path,
    checked_window,
    largest,
    magnitude,
)
from odl_learned.validation import require_shape

#: Pixels along each axis below which a region shows no more than the whole image does.
FEWEST = 24


def _checked_zoom(zoom, shape):
    """Index ranges ((x0, x1), (y0, y1)) of the zoomed region, None for an image of few pixels."""
    if zoom is None:
        return (None if min(shape) < 4 * FEWEST
                else tuple((3 * n // 8, 5 * n // 8) for n in shape))  # fmt: skip
    try:
        (x0, x1), (y0, y1) = zoom
        whole = all(isinstance(i, numbers.Integral) for i in (x0, x1, y0, y1))
    except (TypeError, ValueError):
        whole = False
    if not (whole and 0 <= x0 < x1 <= shape[0] and 0 <= y0 < y1 <= shape[1]):
        raise ValueError(
            f"zoom is {zoom}, expected ((x0, x1), (y0, y1)), whole numbers with 0 <= x0 < x1 <= "
            f"{shape[0]} and 0 <= y0 < y1 <= {shape[1]}: index ranges of truth, y from below."
        )
    return (x0, x1), (y0, y1)


def comparison(
    images: Mapping[str, ArrayLike],
    truth: ArrayLike,
    path: str | PathLike,
    window: tuple[float, float] | None = None,
    zoom: tuple[tuple[int, int], tuple[int, int]] | None = None,
    title: str = "",
    captions: Mapping[str, str] | None = None,
    reference: str = "truth",
    unit: str = "",
    body: np.ndarray | None = None,
) -> Figure:
    """Draw reconstructions next to the ground truth and save the figure.

    First row: the truth and the reconstructions in one gray window. Second row: the region that
    the rectangle marks; images of fewer than 96 pixels along an axis have none, unless it is given.
    Last row: ``truth - x``, over the body, in one symmetric range of colors, the largest 99.5
    percent quantile of ``|truth - x|`` of a reconstruction there.

    Parameters
    ----------
    images : dict, str -> ODL element, array or tensor of shape (nx, ny)
        Reconstructions by name, in the orientation of ODL; magnitudes are drawn of complex ones,
        also in the error maps.
    truth : ODL element, array or tensor of shape (nx, ny)
        Ground truth.
    path : str or Path
        File to write, for example .png (200 dots per inch) or .pdf.
    window : (float, float), optional
        Values that are drawn black and white; minimum and maximum of the truth if left away.
    zoom : ((int, int), (int, int)), optional
        Index ranges (x0, x1), (y0, y1) of the zoomed region; the central quarter of each axis of
        a large image if left away.
    title : str
        Above the figure.
    captions : dict, str -> str, optional
        Second line below the names, for example "PSNR 31.2 dB, SSIM 0.91"; "truth" may have one.
    reference : str, optional
        What the first image is called, where it is no ground truth but the best that is known.
    unit : str, optional
        Of the values, such as "HU", for the color bars.
    body : array of bool, shape (nx, ny), optional
        Where errors matter, for example a patient without the table; everywhere if left away.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If images or captions are no dict, the path no path, a title no string or the body no mask.
    ValueError
        If there are no images or one is called "truth", shapes differ, values are not finite, a
        caption belongs to no image, or the window or the zoom is wrong.
    FileNotFoundError
        If the folder of ``path`` does not exist.
    """
    captions = checked_captions(images, captions, title=title, reference=reference, unit=unit)
    truth = magnitude("truth", truth)
    drawn = {name: magnitude(name, x, truth.shape) for name, x in images.items()}
    body = _checked_body(body, truth.shape)
    window = checked_window(window, truth)
    zoom = _checked_zoom(zoom, truth.shape)
    path = checked_path(path)
    figure = _draw(drawn, truth, window, zoom, title, captions, reference, unit, body)
    figure.savefig(path, dpi=200)
    return figure


def _labels(names, captions, reference):
    """Wrapped names and captions, one column each, and the largest number of their lines."""
    wrapped = {n: textwrap.wrap(reference if n == "truth" else n, 24) or [""] for n in names}
    below = {n: textwrap.wrap(captions.get(n, ""), 30) for n in names}
    return wrapped, below, max(map(len, wrapped.values())), max(map(len, below.values()))


def _checked_body(body, shape):
    """A mask with at least one pixel."""
    body = np.ones(shape, bool) if body is None else np.asarray(body)
    if body.dtype != bool:
        raise TypeError(f"body has dtype {body.dtype}, expected bool; compare it with a threshold.")
    require_shape("body", body, shape, "This is the shape of truth.")
    if not body.any():
        raise ValueError("body is False everywhere, expected pixels where errors are drawn.")
    return body


def _draw(drawn, truth, window, zoom, title, captions, reference, unit, body):
    nx, ny = truth.shape
    names = ["truth", *drawn]
    wrapped, below, name_lines, caption_lines = _labels(names, captions, reference)
    difference = "\n".join(textwrap.wrap(f"{reference} \N{MINUS SIGN} reconstruction", 28))
    full, detail = WIDTH * ny / nx, 0.0
    if zoom is not None:
        (x0, x1), (y0, y1) = zoom
        detail = WIDTH * (y1 - y0) / (x1 - x0) + GAP
    text_height = LINE * (name_lines + caption_lines) + 0.13
    width = 2 * MARGIN + len(names) * (WIDTH + GAP) + BAR + BAR_LABEL
    title_lines = textwrap.wrap(title, int(width * 10))
    title_height = 0.24 * len(title_lines)
    height = 2 * MARGIN + title_height + text_height + 2 * full + detail + GAP
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)

    def axes(column, bottom, axes_width, axes_height, left=None):
        left = MARGIN + column * (WIDTH + GAP) if left is None else left
        box = [left / width, bottom / height, axes_width / width, axes_height / height]
        return figure.add_axes(box)

    def show(column, bottom, axes_height, image, extent, limits, cmap):
        ax = axes(column, bottom, WIDTH, axes_height)
        ax.set(xticks=[], yticks=[])
        drawn_image = ax.imshow(
            to_rows(image), cmap=cmap, vmin=limits[0], vmax=limits[1], extent=extent,
            aspect="auto", interpolation="nearest",
        )  # fmt: skip
        return ax, drawn_image

    def colorbar(mappable, bottom, axes_height, extend, label):
        left = MARGIN + len(names) * (WIDTH + GAP)
        cax = axes(None, bottom + 0.03 * axes_height, BAR, 0.94 * axes_height, left)
        bar = figure.colorbar(mappable, cax=cax, extend=extend)
        bar.ax.tick_params(labelsize=CAPTION_SIZE, length=2)
        bar.ax.locator_params(nbins=5)
        bar.formatter.set_powerlimits((-2, 3))
        bar.ax.yaxis.get_offset_text().set(size=CAPTION_SIZE - 1, ha="left", x=0.0)
        bar.set_label(label, size=CAPTION_SIZE)

    third = MARGIN
    second = third + full + GAP
    first = second + detail
    errors = {name: np.where(body, truth - x, np.nan) for name, x in drawn.items()}
    inside = [error[body] for error in errors.values()]
    scale = largest(inside)
    frame = {"fill": False, "edgecolor": "#ffb000", "linewidth": 1.2}
    for column, name in enumerate(names):
        image = drawn.get(name, truth) if column else truth
        ax, gray = show(column, first, full, image, (0, nx, 0, ny), window, "gray")
        if column == 0 and zoom is not None:
            ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **frame))
        center = (MARGIN + column * (WIDTH + GAP) + WIDTH / 2) / width
        top = first + full + text_height - 0.03
        for i, line in enumerate(wrapped[name] + below[name]):
            is_name = i < len(wrapped[name])
            row = i if is_name else name_lines + i - len(wrapped[name])
            down = row * LINE + (0 if is_name else 0.03)
            figure.text(
                center, (top - down) / height, line, ha="center", va="top",
                size=LABEL_SIZE if is_name else CAPTION_SIZE,
                color="black" if is_name else "#333333",
            )  # fmt: skip
        if zoom is not None:
            show(column, second, detail - GAP, image[x0:x1, y0:y1], (x0, x1, y0, y1), window,
                 "gray")  # fmt: skip
        if column:
            _, colors = show(column, third, full, errors[name], (0, nx, 0, ny), (-scale, scale),
                             "RdBu_r")  # fmt: skip
    ends = [min(map(np.min, [truth, *drawn.values()])), max(map(np.max, [truth, *drawn.values()]))]
    beyond = (ends[0] < window[0], ends[1] > window[1])
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[beyond]
    colorbar(gray, first, full, extend, unit or "value")
    over = max(float(np.abs(error).max()) for error in inside) > scale
    colorbar(colors, third, full, "both" if over else "neither",
             f"{difference}\n{unit}" if unit else difference)
    figure.text(
        (MARGIN + WIDTH / 2) / width, (third + full / 2) / height,
        f"error\n{difference}", ha="center", va="center", size=CAPTION_SIZE + 1,
        color="#333333",
    )  # fmt: skip
    for i, line in enumerate(title_lines):
        figure.text(0.5, 1 - (MARGIN + 0.24 * i) / height, line, ha="center", va="top",
                    size=TITLE_SIZE)  # fmt: skip
    return figure
