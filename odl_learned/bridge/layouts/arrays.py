"""Arrays to tensors and back: the one place that knows which arrays torch refuses."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from odl_learned.validation import require_unmasked


def tensor_of(array: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Return an array as a tensor, in its own memory where torch can use it.

    Torch has no negative strides (``image[::-1]``), no foreign byte order (files of scanners), no
    strides between bytes (fields of records) and no memory that must not be written (maps of
    files, broadcast arrays); such arrays are copied.

    Parameters
    ----------
    array : array_like or torch.Tensor
        Numbers of any shape; a tensor is returned as it is.

    Returns
    -------
    tensor : torch.Tensor
        Of the same shape and dtype.

    Raises
    ------
    TypeError
        If torch has no such numbers, for example extended precision or objects.
    ValueError
        If entries are masked.
    """
    if isinstance(array, torch.Tensor):
        return array
    require_unmasked("the array", array)
    array = np.asarray(array)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    odd = any(stride < 0 or stride % array.itemsize for stride in array.strides)
    if odd or not array.flags.writeable:
        array = array.copy()
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise TypeError(
            f"the array has dtype {array.dtype}, expected numbers that torch has; convert it with "
            "array.astype(float), or numpy.asarray(..., dtype=float)."
        ) from error


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor on any device, conjugate views included, as a numpy array."""
    return tensor.numpy(force=True)
