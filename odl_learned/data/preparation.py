"""From stored pictures to simulations: attenuation in physical units, and coarse grids."""

import numpy as np
from numpy.typing import ArrayLike

from odl_learned.validation import require_count, require_finite, require_real


def hounsfield_to_attenuation(hu: ArrayLike) -> np.ndarray:
    """Linear attenuation coefficient of Hounsfield units.

    ``mu = max(0, 0.2 (hu / 1000 + 1))`` in 1/cm; 0.2 / cm is water at about 65 keV.

    Parameters
    ----------
    hu : array_like, any shape
        Real Hounsfield units.

    Returns
    -------
    mu : numpy.ndarray
        Of the same shape, in 1/cm; floating dtypes are kept, integers become float32.

    Raises
    ------
    TypeError
        If the values are complex.
    ValueError
        If values are not finite.
    """
    hu = np.asarray(hu)
    require_real("hu", hu)
    require_finite("hu", hu)
    if not np.issubdtype(hu.dtype, np.floating):
        hu = hu.astype(np.float32)
    return np.maximum(0.2 * (hu / 1000 + 1), 0).astype(hu.dtype)


def downsample(array: ArrayLike, factor: int, dimension: int = 2) -> np.ndarray:
    """Mean over blocks of factor x factor pixels, or factor x factor x factor voxels.

    Simulate measurements on the fine grid and compare with the means: then the data do not come
    from the discretization that inverts them.

    Parameters
    ----------
    array : array_like, shape (..., n0, n1)
        Real or complex images; all sides divisible by the factor.
    factor : int
        At least one.
    dimension : int, optional
        How many of the last axes are those of an image: 3 for volumes ``(..., n0, n1, n2)``.

    Returns
    -------
    coarse : numpy.ndarray, shape (..., n0 / factor, n1 / factor)

    Raises
    ------
    ValueError
        If the factor is no positive int or does not divide the sides, or values are not finite.
    TypeError
        If the values are no numbers.
    """
    array = np.asarray(array)
    require_finite("array", array)
    require_count("factor", factor)
    require_count("dimension", dimension)
    if array.ndim < dimension or 0 in array.shape or any(
            side % factor for side in array.shape[-dimension:]):  # fmt: skip
        sides = ", ".join(f"n{i}" for i in range(min(dimension, 4)))
        raise ValueError(
            f"array has shape {array.shape}, expected (..., {sides}) with sides that are multiples "
            f"of the factor {factor}; crop the array first."
        )
    lead, sides = array.shape[:-dimension], array.shape[-dimension:]
    blocks = array.reshape(*lead, *(n for side in sides for n in (side // factor, factor)))
    return blocks.mean(axis=tuple(range(-2 * dimension + 1, 0, 2)))
