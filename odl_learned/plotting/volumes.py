"""Figures that compare volumes: three orthogonal slices through a point, and their errors."""

import textwrap
from collections.abc import Mapping
from os import PathLike

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from odl_learned.data.orientation import to_rows
from odl_learned.metrics import as_array
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
)
from odl_learned.validation import is_finite_number, require_finite, require_shape, shown

#: Names of the rows, and for each the axis that is cut; what remains is (right, up).
CUTS = (("x, y", 2), ("x, z", 1), ("y, z", 0))
_SIDE = 0.3  # inches for the names of the rows
_FRAME = "#ffb000"


def volume_comparison(
    images: Mapping[str, ArrayLike], truth: ArrayLike, path: str | PathLike,
    window: tuple[float, float] | None = None, point: tuple[int, int, int] | None = None,
    title: str = "", captions: dict[str, str] | None = None, reference: str = "truth",
    unit: str = "", sides: tuple[float, float, float] | None = None,
) -> Figure:  # fmt: skip
    """Draw three orthogonal slices of reconstructed volumes next to the truth, and save the figure.

    Rows one to three: the slices through a point across the third, the second and the first axis,
    in one gray window; thin lines mark on the truth where the other two are. Rows four to six:
    ``truth - x`` there, in one symmetric range of colors, the largest 99.5 percent quantile of
    ``|truth - x|`` in the slices of a reconstruction. As in `data.to_rows`, of the two axes of a
    slice the first runs to the right and the second up.

    Parameters
    ----------
    images : dict, str -> ODL element, array or tensor of shape (nx, ny, nz)
        Reconstructions by name; magnitudes are drawn of complex ones.
    truth : ODL element, array or tensor of shape (nx, ny, nz)
        Ground truth.
    path : str or Path
        File to write, for example .png (200 dots per inch) or .pdf.
    window : (float, float), optional
        Values that are drawn black and white; minimum and maximum of the truth if left away.
    point : (int, int, int), optional
        Indices of the voxel through which slices are cut; the middle if left away.
    title : str
        Above the figure.
    captions : dict, str -> str, optional
        Second line below the names; "truth" may have one.
    reference : str, optional
        What the first volume is called, where it is no ground truth but the best that is known.
    unit : str, optional
        Of the values, for the color bars.
    sides : (float, float, float), optional
        Of voxels, for the proportions; those of the space of the truth, or cubes, if left away.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If images or captions are no dict, the path no path, or a title no string.
    ValueError
        If there are no images or one is called "truth", shapes differ or have not three axes,
        values are not finite, a caption belongs to no image, or window, point or sides are wrong.
    FileNotFoundError
        If the folder of ``path`` does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import data, plotting
    >>> X = odl.uniform_discr([-1] * 3, [1] * 3, (16, 16, 8))
    >>> truth = data.random_trunk(X, np.random.default_rng(0))
    >>> figure = plotting.volume_comparison({"half": 0.5 * truth}, truth, "volumes.png")
    """
    captions = checked_captions(images, captions, title=title, reference=reference, unit=unit)
    sides = _checked_sides(sides, truth)
    truth = _volume("truth", truth)
    drawn = {name: _volume(name, x, truth.shape) for name, x in images.items()}
    point = _checked_point(point, truth.shape)
    window, path = checked_window(window, truth), checked_path(path)
    errors = [_cuts(truth - x, point) for x in drawn.values()]
    names = [reference, *drawn]
    texts = [[*(textwrap.wrap(name, 24) or [""]), *textwrap.wrap(captions.get(key, ""), 30)]
             for name, key in zip(names, ["truth", *drawn], strict=True)]  # fmt: skip
    columns = [_cuts(x, point) for x in (truth, *drawn.values())]
    ends = min(map(np.min, [truth, *drawn.values()])), max(map(np.max, [truth, *drawn.values()]))
    figure = _draw(columns, errors, texts, point, window, ends, title, unit, sides)
    figure.savefig(path, dpi=200)
    return figure


def _volume(name, x, shape=None):
    array = as_array(x, name)
    if array.ndim != 3:
        raise ValueError(f"{name} has shape {array.shape}, expected three axes; pass one volume "
                         "without batch or channel axes, and images to plotting.comparison.")
    if shape is not None:
        require_shape(name, array, shape, "This is the shape of truth; crop or resample it.")
    require_finite(name, array)
    return np.abs(array) if np.iscomplexobj(array) else array.astype(np.float64)


def _checked_point(point, shape):
    if point is None:
        return tuple(n // 2 for n in shape)
    whole = isinstance(point, tuple | list | np.ndarray) and len(point) == 3 and all(
        isinstance(i, int | np.integer) and not isinstance(i, bool) and 0 <= i < n
        for i, n in zip(point, shape, strict=True))  # fmt: skip
    if not whole:
        raise ValueError(f"point is {shown(point)}, expected indices of a voxel of a volume of the "
                         f"shape {shape}.")
    return tuple(int(i) for i in point)


def _checked_sides(sides, truth):
    if sides is None:
        space = getattr(truth, "space", None)
        sides = getattr(space, "cell_sides", (1.0, 1.0, 1.0))
    is_triple = isinstance(sides, tuple | list | np.ndarray) and len(sides) == 3
    if not (is_triple and all(is_finite_number(h) and h > 0 for h in sides)):
        raise ValueError(f"sides is {shown(sides)}, expected three positive numbers, the sides of "
                         "a voxel.")
    return tuple(float(h) for h in sides)


def _cuts(volume, point):
    """The slices of all rows, pictures with the first axis to the right and the second up."""
    return [to_rows(np.take(volume, point[axis], axis)) for _, axis in CUTS]


def _draw(columns, errors, texts, point, window, ends, title, unit, sides):
    shapes = [image.shape[::-1] for image in columns[0]]
    kept = [[i for i in range(3) if i != axis] for _, axis in CUTS]
    extents = [(nx * sides[a], ny * sides[b]) for (nx, ny), (a, b) in zip(shapes, kept)]
    scale = WIDTH / max(across for across, _ in extents)
    heights = [scale * up for _, up in extents]
    lines = max(map(len, texts))
    title_lines = textwrap.wrap(title, int((2 * MARGIN + len(columns) * (WIDTH + GAP)) * 10))
    width = 2 * MARGIN + _SIDE + len(columns) * (WIDTH + GAP) + BAR + BAR_LABEL
    above = 0.24 * len(title_lines) + LINE * lines + 0.1
    height = 2 * MARGIN + above + 2 * sum(heights) + 5 * GAP
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    limit = largest([np.concatenate([part.ravel() for part in cuts]) for cuts in errors])
    tops = np.cumsum([MARGIN + above, *(h + GAP for h in (*heights, *heights))])

    def panel(column, row, image, limits, cmap):
        across, up = extents[row % 3]
        left = MARGIN + _SIDE + column * (WIDTH + GAP) + (WIDTH - scale * across) / 2
        bottom = height - tops[row] - heights[row % 3]
        ax = figure.add_axes([left / width, bottom / height, scale * across / width,
                              scale * up / height])  # fmt: skip
        ax.set(xticks=[], yticks=[])
        return ax, ax.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto",
                             extent=(0, shapes[row % 3][0], 0, shapes[row % 3][1]),
                             interpolation="nearest")  # fmt: skip

    for column, cuts in enumerate(columns):
        middle = MARGIN + _SIDE + column * (WIDTH + GAP) + WIDTH / 2
        for i, line in enumerate(texts[column]):
            figure.text(middle / width, 1 - (MARGIN + above - LINE * (lines - i) - 0.05) / height,
                        line, ha="center", va="top", size=CAPTION_SIZE if i else LABEL_SIZE)
        for row, image in enumerate(cuts):
            ax, gray = panel(column, row, image, window, "gray")
            if column == 0:
                right, up = kept[row]
                ax.axvline(point[right] + 0.5, color=_FRAME, linewidth=0.6)
                ax.axhline(point[up] + 0.5, color=_FRAME, linewidth=0.6)
        if column:
            for row, error in enumerate(errors[column - 1]):
                _, colors = panel(column, 3 + row, error, (-limit, limit), "RdBu_r")
    for row, (name, _) in enumerate((*CUTS, *CUTS)):
        place = 1 - (tops[row] + heights[row % 3] / 2) / height
        left = MARGIN if row < 3 else MARGIN + WIDTH + GAP
        figure.text((left + 0.12) / width, place, name, rotation=90, ha="center", va="center",
                    size=CAPTION_SIZE)  # fmt: skip
    figure.text((MARGIN + _SIDE + WIDTH / 2) / width, 1 - (tops[3] + sum(heights) / 2) / height,
                f"error\n{texts[0][0]} \N{MINUS SIGN}\nreconstruction", ha="center", va="center",
                size=CAPTION_SIZE + 1, color="#333333")  # fmt: skip
    over = max(float(np.abs(part).max()) for cuts in errors for part in cuts) > limit
    beyond = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[
        ends[0] < window[0], ends[1] > window[1]]  # fmt: skip
    for mappable, row, extend, label in ((gray, 0, beyond, unit or "value"),
                                         (colors, 3, "both" if over else "neither",
                                          f"error, {unit}" if unit else "error")):  # fmt: skip
        left = MARGIN + _SIDE + len(columns) * (WIDTH + GAP)
        bar_height = 0.94 * heights[0]
        cax = figure.add_axes([left / width, 1 - (tops[row] + 0.97 * heights[0]) / height,
                               BAR / width, bar_height / height])  # fmt: skip
        bar = figure.colorbar(mappable, cax=cax, extend=extend)
        bar.ax.tick_params(labelsize=CAPTION_SIZE, length=2)
        bar.ax.locator_params(nbins=5)
        bar.set_label(label, size=CAPTION_SIZE)
    for i, line in enumerate(title_lines):
        figure.text(0.5, 1 - (MARGIN + 0.24 * i) / height, line, ha="center", va="top",
                    size=TITLE_SIZE)  # fmt: skip
    return figure
