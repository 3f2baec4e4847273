"""Small structures to put into images that no training has shown."""

from collections.abc import Sequence

import numpy as np
import odl

from odl_learned.odl_validation import require_array_space
from odl_learned.validation import is_finite_number, real_numbers, require_positive, shown

#: A letter that neither reflection nor quarter turn keeps, as rows of a picture.
_LETTER = np.array([list(row) for row in ("###", "#..", "##.", "#..", "#..")]) == "#"


def small_disc(
    space: odl.DiscretizedSpace, center: Sequence[float], radius: float, contrast: float
) -> odl.core.set.space.LinearSpaceElement:
    """Return ``contrast`` where ``|p - center| <= radius``, zero elsewhere; in 3D a ball.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        A `uniform_discr` space, of any dimension, real or complex.
    center : sequence of float, one for each axis
    radius : float
        Both in the units of the space.
    contrast : float
        Not zero; negative for a hole.

    Returns
    -------
    disc : element of the space

    Raises
    ------
    ValueError
        If no grid point is inside, or numbers are out of bounds.
    TypeError
        If the space has no grid.
    """
    center = _point(space, center)
    require_positive("radius", radius)
    _require_contrast(contrast)
    squares = sum((x - c) ** 2 for x, c in zip(space.meshgrid, center, strict=True))
    inside = np.broadcast_to(squares <= radius**2, space.shape)
    return _mark(space, inside, contrast, f"a disc of radius {radius}")


def small_letter(
    space: odl.DiscretizedSpace, center: Sequence[float], height: float, contrast: float
) -> odl.core.set.space.LinearSpaceElement:
    """Return a letter F of strokes ``height / 5`` wide, axis 0 to the right and axis 1 upwards.

    Parameters
    ----------
    space : odl.DiscretizedSpace
        A `uniform_discr` space of two axes, real or complex.
    center : sequence of two floats
        Of its box, which is 3/5 of the height wide.
    height : float
        In the units of the space.
    contrast : float
        Not zero.

    Returns
    -------
    letter : element of the space

    Raises
    ------
    ValueError
        If a stroke is thinner than a pixel, numbers are out of bounds, or the letter is outside.
    TypeError
        If the space has no grid.
    """
    center = _point(space, center)
    require_positive("height", height)
    _require_contrast(contrast)
    if space.ndim != 2:
        raise ValueError(f"the space has {space.ndim} axes, expected 2 for a letter; use "
                         "small_disc.")
    stroke = height / len(_LETTER)
    pixel = max(float(side) for side in space.cell_sides)
    if stroke < pixel * (1 - 1e-6):
        raise ValueError(f"height is {height}, expected at least {5 * pixel:.4g}: five strokes of "
                         "at least one pixel.")
    rows, columns = _LETTER.shape
    x, y = space.meshgrid
    i = np.floor((x - center[0]) / stroke + columns / 2).astype(int)
    j = np.floor((center[1] - y) / stroke + rows / 2).astype(int)
    i, j = np.broadcast_arrays(i, j)
    box = (i >= 0) & (i < columns) & (j >= 0) & (j < rows)
    inside = np.zeros(space.shape, dtype=bool)
    inside[box] = _LETTER[j[box], i[box]]
    return _mark(space, inside, contrast, f"a letter of height {height}")


def _mark(space, inside, contrast, what):
    if not inside.any():
        raise ValueError(f"{what} holds no grid point of {shown(space)}; move it inside, or make "
                         f"it larger than the pixels of {tuple(map(float, space.cell_sides))}.")
    return space.element(np.where(inside, contrast, 0.0))


def _point(space, center):
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(f"space is {shown(space)}, expected odl.uniform_discr(...), whose points "
                        "have coordinates.")
    require_array_space("space", space)
    point = real_numbers("center", center).reshape(-1)
    if len(point) != space.ndim or not np.isfinite(point).all():
        raise ValueError(f"center is {shown(center)}, expected {space.ndim} finite numbers, one "
                         "for each axis.")
    return point


def _require_contrast(contrast):
    if not is_finite_number(contrast) or contrast == 0:
        raise ValueError(f"contrast is {contrast!r}, expected a finite number other than zero.")
