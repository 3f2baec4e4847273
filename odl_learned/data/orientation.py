"""The one orientation of images in the package, and the way to and from ordinary pictures.

Arrays follow ODL: axis 0 is x, from left to right, and axis 1 is y, from bottom to top. A picture
from a file or a screen has rows that run from top to bottom, and columns from left to right::

        ODL, array[x, y]                     picture, image[row, column]

      y ^                                      o------------------> column
        | [0,2] [1,2] [2,2] [3,2]              | [0,0] [0,1] [0,2] [0,3]
        | [0,1] [1,1] [2,1] [3,1]              | [1,0] [1,1] [1,2] [1,3]
        | [0,0] [1,0] [2,0] [3,0]              | [2,0] [2,1] [2,2] [2,3]
        o------------------------> x       row v

Both show the same image: ``array[x, y] = image[rows - 1 - y, x]``. `from_rows` turns pictures into
arrays, `to_rows` turns arrays into pictures, and ``element.show()`` shows what the picture shows.
"""

import numpy as np
from numpy.typing import ArrayLike


def _require_plane(name, array):
    if array.ndim < 2:
        raise ValueError(
            f"{name} has shape {array.shape}, expected at least two axes; the last two axes are "
            "the image, leading axes are kept."
        )


def from_rows(image: ArrayLike) -> np.ndarray:
    """Turn ordinary pictures into arrays in the orientation of ODL.

    ``array[..., x, y] = image[..., rows - 1 - y, x]``

    Parameters
    ----------
    image : array_like, shape (..., rows, columns)
        Pictures of any dtype; row 0 is at the top.

    Returns
    -------
    array : numpy.ndarray, shape (..., columns, rows)
        The same values in contiguous memory.

    Raises
    ------
    ValueError
        If there are fewer than two axes.

    Notes
    -----
    For pictures only. A Fourier transform that is centered at ``n // 2`` loses its center when it
    is turned, because for even n the point ``n // 2`` is not mapped to ``n // 2``: transform first,
    turn the image afterwards.
    """
    image = np.asarray(image)
    _require_plane("image", image)
    return np.ascontiguousarray(np.rot90(image, -1, axes=(-2, -1)))


def to_rows(array: ArrayLike) -> np.ndarray:
    """Turn arrays in the orientation of ODL into ordinary pictures; the inverse of `from_rows`.

    ``image[..., row, column] = array[..., column, rows - 1 - row]``

    Parameters
    ----------
    array : array_like, shape (..., columns, rows)
        Images of any dtype; axis -2 is x, axis -1 is y.

    Returns
    -------
    image : numpy.ndarray, shape (..., rows, columns)
        The same values in contiguous memory.

    Raises
    ------
    ValueError
        If there are fewer than two axes.
    """
    array = np.asarray(array)
    _require_plane("array", array)
    return np.ascontiguousarray(np.rot90(array, 1, axes=(-2, -1)))
