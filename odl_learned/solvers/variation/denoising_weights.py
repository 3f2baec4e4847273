r"""Regularization parameters of a batch: one number, one per sample, or one per pixel.

Divided by the largest of its image, ``alpha = a w`` with weights ``0 < w <= 1``, and what is true
of dual variables ``|p| <= 1`` is true of ``|p| <= w``.
"""

import numpy as np
from array_api_compat import is_array_api_obj, to_device

from odl_learned.validation import real_numbers, shown

#: Smallest weight: squares of its inverse are far from overflow in single precision.
SMALLEST = 1e-6


def parameters(name, values, shape, one_per_sample=True):
    """Return the largest parameter of every image, and the weights of its pixels.

    Parameters
    ----------
    name : str
        What to call them in messages.
    values : float, array or element
        One number, one per sample of shape ``(size,)``, or one per pixel, of the shape of an image
        or of the batch.
    shape : tuple of int
        Of the batch, ``(size, *shape)``.
    one_per_sample : bool, optional
        Whether samples may differ.

    Returns
    -------
    largest : numpy.ndarray of shape ``(size,)``
    weights : numpy.ndarray of shape ``(size, *shape)``, or None
        None where all of them are one.

    Raises
    ------
    TypeError
        If they are no real numbers.
    ValueError
        If they are not positive, differ by more than a factor of a million in an image, or have
        another shape.
    """
    values = values.data if hasattr(values, "space") else values
    values = real_numbers(name, to_device(values, "cpu") if is_array_api_obj(values) else values)
    size, positive = shape[:1], (np.isfinite(values) & (values > 0)).all()
    if positive and values.shape in ((), size if one_per_sample else ()):
        return np.broadcast_to(values, size), None
    if not positive or values.shape not in (shape[1:], shape):
        some = f" or one per sample, of shape {size}," if one_per_sample else ""
        found = shown(values) if values.ndim else values.item()
        raise ValueError(f"{name} is {found}, expected a positive number{some} or one per pixel, "
                         f"of shape {shape[1:]} or {shape}.")
    values = np.broadcast_to(values, shape)
    largest = values.max(axis=tuple(range(1, len(shape))))
    weights = values / largest.reshape(-1, *[1] * (len(shape) - 1))
    if weights.size and weights.min() < SMALLEST:
        raise ValueError(f"{name} has numbers from {values.min():.3g} to {values.max():.3g}, "
                         f"expected none below {SMALLEST:.0e} times the largest of an image.")
    return largest, weights


def radii(xp, weights, where, like):
    """Weights of some samples beside images of shape ``(size, channels, *shape)``, or None."""
    if weights is None:
        return None
    return xp.asarray(np.ascontiguousarray(weights[where]), dtype=like.dtype, device=like.device)
