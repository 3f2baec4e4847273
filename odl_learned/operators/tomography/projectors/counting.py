r"""How many entries the matrix of a projector has, from the chords of the rays.

A ray crosses the image along a chord that spans ``a`` columns and ``b`` rows of pixels. ASTRA's
projector ``linear`` interpolates between two pixels in every row, or in every column, of which the
ray crosses more: ``2 max(a, b)`` entries. Its projector ``line_fanflat`` weighs every pixel that
the ray meets: one and another for each line between pixels that it crosses, about ``a + b``.
"""

import numpy as np
from odl.applications.tomo.backends import astra_setup


def expected_entries(geometry):
    """Return about how many entries the matrix has, from the chords of the rays.

    Parameters
    ----------
    geometry : RayGeometry
        In the plane, with a projector of ASTRA that runs on the CPU.
    """
    rays, window = geometry.rays, geometry.volume["option"]
    vectors = rays["Vectors"] if "Vectors" in rays else (
        astra_setup.astra.functions.geom_2vec(rays)["Vectors"])
    directions, middle, step = np.split(np.asarray(vectors, dtype=float)[:, None], 3, axis=2)
    bins = np.arange(rays["DetectorCount"]) - (rays["DetectorCount"] - 1) / 2
    points = middle + bins[:, None] * step  # (views, bins, 2)
    if rays["type"].startswith("fanflat"):
        directions = points - directions  # from the source
    least = np.array([window["WindowMinX"], window["WindowMinY"]])
    most = np.array([window["WindowMaxX"], window["WindowMaxY"]])
    width = (window["WindowMaxX"] - window["WindowMinX"]) / geometry.volume["GridColCount"]
    columns, rows = _spans(points, directions, least, most) / width
    if geometry.kind == "linear":
        return int(np.ceil(2 * np.maximum(columns, rows).sum()))
    return int(np.ceil((columns + rows).sum()))


def _spans(points, directions, least, most):
    """Extent along both axes of the part of every line inside of a box, zero where it misses."""
    directions = np.broadcast_to(directions, points.shape)
    slope = np.where(directions == 0, np.finfo(float).tiny, directions)
    with np.errstate(over="ignore"):
        first, second = (least - points) / slope, (most - points) / slope
    start, end = np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)
    length = np.where(end > start, end - start, 0.0)
    return np.moveaxis(np.abs(directions) * length[..., None], -1, 0)
