"""How reconstructions react to perturbed data, with a reference on the same data beside them."""

import textwrap
from collections.abc import Mapping
from os import PathLike

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
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
    checked_path,
    checked_window,
    largest,
    plane,
    require_kind,
)

#: Width of a letter of the table and of the labels of rows, in inches.
LETTER, LABEL = 0.068, 0.42


def perturbations(
    before: Mapping[str, ArrayLike],
    after: Mapping[str, ArrayLike],
    path: str | PathLike,
    *,
    added: Mapping[str, ArrayLike] | None = None,
    reference: Mapping[str, ArrayLike] | None = None,
    reference_name: str = "TV",
    truth: ArrayLike | None = None,
    window: tuple[float, float] | None = None,
    captions: Mapping[str, str] | None = None,
    table: Mapping[str, Mapping[str, str | float]] | None = None,
    title: str = "",
) -> Figure:
    r"""Draw reconstructions of data and of perturbed data, one column for each map.

    From above: ``Phi(y)``; the perturbation e of the data, another one for every map; ``Phi(y +
    e)``; the change ``Phi(y + e) - Phi(y)``, its modulus for complex images; and what a reference
    makes of the same ``y + e``: where it is calm, the perturbation is no image that was hidden in
    the data. Images have one gray window; perturbations, and changes, one range each for all maps.

    Parameters
    ----------
    before, after : dict, str -> ODL element, array or tensor of shape (nx, ny)
        ``Phi(y)`` and ``Phi(y + e)`` by map, in the orientation of ODL.
    path : str or Path
        File to write.
    added : dict, str -> array of two axes, optional
        What to show of the perturbations e by map: the data themselves, or their image under an
        inverse.
    reference : dict, str -> array of shape (nx, ny), optional
        Its reconstructions of the perturbed data of every map.
    reference_name : str, optional
        Of the reference.
    truth : array of shape (nx, ny), optional
        Drawn first.
    window : (float, float), optional
        Values that are drawn black and white; default: those of truth, or of all of ``before``.
    captions : dict, str -> str, optional
        Second lines below the names.
    table : dict, str -> dict of str -> str or number, optional
        Numbers by map and column, written beside the images; all with the same columns.
    title : str, optional

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If what should be a dict, a path or a string is none.
    ValueError
        If there are no maps, a dict has other names than ``before``, shapes differ, or values are
        not finite.
    FileNotFoundError
        If the folder of ``path`` does not exist.

    Source: the figures of Antun et al., On instabilities of deep learning in image reconstruction
    and the potential costs of AI (2020).
    """
    require_kind("before", before, dict, "a dict of names and reconstructions")
    if not before:
        raise ValueError("before is empty, expected at least one reconstruction by its name.")
    for name, text in (("title", title), ("reference_name", reference_name)):
        require_kind(name, text, str, "a string")
    names = list(before)
    shape = plane(f"before[{names[0]!r}]", before[names[0]]).shape
    rows = {"before": _planes("before", before, names, shape),
            "after": _planes("after", after, names, shape)}  # fmt: skip
    if added is not None:
        rows["added"] = _planes("added", added, names)
    if reference is not None:
        rows["reference"] = _planes("reference", reference, names, shape)
    rows["change"] = {n: _signed(rows["after"][n] - rows["before"][n]) for n in names}
    drawn = {kind: {n: _signed(x) for n, x in images.items()} for kind, images in rows.items()}
    truth = None if truth is None else _signed(plane("truth", truth, shape, "before"))
    shown = np.stack(list(drawn["before"].values())) if truth is None else truth
    window = checked_window(window, shown)
    captions = {} if captions is None else captions
    require_kind("captions", captions, dict, "a dict of names and lines")
    _require_names("captions", captions, names)
    table = {} if table is None else table
    require_kind("table", table, dict, "a dict of names and dicts of numbers")
    _require_names("table", table, names)
    for name, numbers in table.items():
        require_kind(f"table[{name!r}]", numbers, dict, "a dict of columns and numbers")
        if list(numbers) != list(table[next(iter(table))]):
            raise ValueError(f"table[{name!r}] has the columns {list(numbers)}, expected "
                             f"{list(table[next(iter(table))])} as the first.")
    path = checked_path(path)
    labels = {"before": "of the data", "added": "perturbation of the data",
              "after": "of perturbed data", "change": "change",
              "reference": f"{reference_name}, same perturbed data"}  # fmt: skip
    order = [kind for kind in labels if kind in drawn]
    figure = _draw(drawn, order, labels, names, truth, window, captions, table, title)
    figure.savefig(path, dpi=150)
    return figure


def _signed(x):
    return np.abs(x) if np.iscomplexobj(x) else x


def _planes(name, images, names, shape=None):
    require_kind(name, images, dict, "a dict of the names of before and images")
    if set(images) != set(names):
        raise ValueError(f"{name} has the names {sorted(images)}, expected those of before, "
                         f"{sorted(names)}.")
    return {n: plane(f"{name}[{n!r}]", images[n], shape, f"before[{names[0]!r}]") for n in names}


def _require_names(name, given, names):
    unknown = sorted(map(str, set(given) - set(names)))
    if unknown:
        raise ValueError(f"{name} has {unknown}, expected names among {names}.")


def _cells(table):
    """Header and rows of the table as strings."""
    if not table:
        return []
    columns = list(next(iter(table.values())))
    def written(value):
        return value if isinstance(value, str) else f"{value:.3g}"

    return [["", *columns], *([name, *(written(numbers[c]) for c in columns)]
                              for name, numbers in table.items())]  # fmt: skip


def _draw(drawn, order, labels, names, truth, window, captions, table, title):
    nx, ny = next(iter(drawn["before"].values())).shape
    side = WIDTH * ny / nx
    heights = {kind: WIDTH * 0.75 if kind == "added" else side for kind in order}
    columns = ([] if truth is None else [None]) + names
    lines = {n: textwrap.wrap("truth" if n is None else n, 24) or [""] for n in columns}
    below = {n: textwrap.wrap(captions.get(n, ""), 30) for n in columns}
    name_lines, caption_lines = (max(map(len, x.values())) for x in (lines, below))
    text_height = LINE * (name_lines + caption_lines) + 0.13
    cells = _cells(table)
    widths = [LETTER * (2 + max(map(len, column))) for column in zip(*cells)]
    bars = MARGIN + LABEL + len(columns) * (WIDTH + GAP)
    width = bars + BAR + BAR_LABEL + sum(widths) + MARGIN
    title_lines = textwrap.wrap(title, int(width * 10))
    top = MARGIN + 0.24 * len(title_lines)
    height = top + text_height + sum(heights.values()) + GAP * (len(order) - 1) + MARGIN
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)

    def write(x, y, text, size, **style):
        figure.text(x / width, 1 - y / height, text, size=size, **style)

    for i, line in enumerate(title_lines):
        write(width / 2, MARGIN + 0.24 * i, line, TITLE_SIZE, ha="center", va="top")
    for column, name in enumerate(columns):
        center = MARGIN + LABEL + column * (WIDTH + GAP) + WIDTH / 2
        for i, line in enumerate(lines[name] + below[name]):
            is_name = i < len(lines[name])
            down = i if is_name else name_lines + i - len(lines[name])
            write(center, top + 0.02 + LINE * down, line, LABEL_SIZE if is_name else CAPTION_SIZE,
                  ha="center", va="top", color="black" if is_name else "#333333")  # fmt: skip
    begin = top + text_height
    ranges = {kind: largest(drawn[kind].values()) for kind in order if kind in ("added", "change")}
    at = begin
    for kind in order:
        signed = kind in ranges
        images = dict(drawn[kind])
        if truth is not None and kind == "before":
            images = {None: truth, **images}
        negative = any(float(x.min()) < 0 for x in images.values())
        low, high = window if not signed else (-ranges[kind] if negative else 0, ranges[kind])
        style = {"cmap": "gray" if not signed else "RdBu_r" if negative else "magma"}
        for name, image in images.items():
            left = MARGIN + LABEL + columns.index(name) * (WIDTH + GAP)
            ax = figure.add_axes([left / width, 1 - (at + heights[kind]) / height, WIDTH / width,
                                  heights[kind] / height])  # fmt: skip
            ax.set(xticks=[], yticks=[])
            shown = ax.imshow(to_rows(image), vmin=low, vmax=high, aspect="auto",
                              interpolation="nearest", **style)  # fmt: skip
        write(MARGIN + LABEL / 2 + (0 if truth is None or kind == "before" else WIDTH + GAP),
              at + heights[kind] / 2, "\n".join(textwrap.wrap(labels[kind], 20)), CAPTION_SIZE + 1,
              ha="center", va="center", rotation=90, color="#333333")  # fmt: skip
        over = [float(x.min()) < low for x in images.values()], [
            float(x.max()) > high for x in images.values()]
        extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[
            any(over[0]), any(over[1])]
        cax = figure.add_axes([bars / width, 1 - (at + 0.96 * heights[kind]) / height, BAR / width,
                               0.92 * heights[kind] / height])  # fmt: skip
        bar = figure.colorbar(shown, cax=cax, extend=extend)
        bar.ax.tick_params(labelsize=CAPTION_SIZE, length=2)
        bar.ax.locator_params(nbins=5)
        bar.formatter.set_powerlimits((-2, 3))
        bar.ax.yaxis.get_offset_text().set(size=CAPTION_SIZE - 1, ha="left", x=0.0)
        at += heights[kind] + GAP
    for i, row in enumerate(cells):
        left = bars + BAR + BAR_LABEL
        for j, (cell, cell_width) in enumerate(zip(row, widths)):
            right = left + sum(widths[: j + 1]) - LETTER
            write(left + LETTER if j == 0 else right, begin + 0.05 + 0.2 * i, cell, CAPTION_SIZE,
                  ha="left" if j == 0 else "right", va="top",
                  weight="bold" if i == 0 else "normal")  # fmt: skip
    return figure
