"""Checks at the door: each names the value, what was expected, and what to do next."""

import inspect
import math
import numbers
import reprlib
import sys
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
from numpy.typing import ArrayLike

#: No count of anything here exceeds it.
MANY = 2**53
#: Largest number of entries of an image.
MOST_ENTRIES = 2**28


def require_finite(name: str, array: ArrayLike) -> None:
    """Raise ValueError if values are NaN, infinite or masked, TypeError if they are no numbers.

    Parameters
    ----------
    name : str
        What to call the value in the message.
    array : array_like
        Real or complex numbers of any shape.
    """
    require_unmasked(name, array)
    try:
        array = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged rows, tensors elsewhere
        raise TypeError(
            f"{name} is {shown(array)}, expected an array of numbers: {error}") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"{name} has dtype {array.dtype}, expected numbers; convert it with numpy.asarray(..., "
            "dtype=float)."
        )
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise ValueError(
            f"{name} contains {bad} NaN or infinite values among {np.size(array)}; expected finite "
            "numbers only. Find them with numpy.isfinite and mask or replace them first."
        )


def require_unmasked(name: str, array: object) -> None:
    """Raise ValueError if the array is a masked one of numpy with masked entries.

    ``numpy.asarray`` takes what is behind the mask for data, without a word.
    """
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ValueError(
            f"{name} is a masked array with {np.ma.count_masked(array)} masked entries among "
            f"{array.size}, expected an array without a mask, which would be dropped; fill them "
            "(array.filled(value)), or keep the others (array.compressed())."
        )


def require_shape(name: str, array: object, shape: Sequence[int], hint: str = "") -> None:
    """Raise ValueError if ``array.shape`` is not ``shape``; the hint says what to do next."""
    found = getattr(array, "shape", None)
    found = np.asarray(array).shape if found is None else tuple(found)
    if found != tuple(shape):
        hint = f" {hint}" if hint else ""
        raise ValueError(f"{name} has shape {found}, expected {tuple(shape)}.{hint}")


def require_real(name: str, array: ArrayLike) -> None:
    """Raise TypeError if the array is complex."""
    if np.iscomplexobj(array):
        raise TypeError(
            f"{name} is complex, of dtype {np.asarray(array).dtype}; expected real numbers. "
            "Pass its real part or its magnitude (numpy.real, numpy.abs)."
        )


def require_positive(name: str, value: object) -> None:
    """Raise ValueError unless the number is finite and greater than zero."""
    if not (is_finite_number(value) and value > 0):
        raise ValueError(f"{name} is {shown(value)}; expected a finite number greater than zero.")


def require_nonnegative(name: str, value: object) -> None:
    """Raise ValueError unless the number is finite and at least zero."""
    if not (is_finite_number(value) and value >= 0):
        raise ValueError(f"{name} is {shown(value)}; expected a finite number of at least zero.")


def is_finite_number(value: object) -> TypeGuard[float]:
    """Whether the value is a finite real number of Python or numpy, not an array.

    Whole numbers of Python that are beyond the range of floats are not.
    """
    try:
        return isinstance(value, numbers.Real) and math.isfinite(value)
    except OverflowError:
        return False


def real_numbers(name: str, value: ArrayLike) -> np.ndarray:
    """Return real numbers as an array of float64, or raise TypeError; one number has no axes."""
    try:
        array = np.asarray(value)
        is_real = array.dtype.kind in "iuf"
    except (TypeError, ValueError, RuntimeError):  # ragged rows, tensors elsewhere
        is_real = False
    if not is_real:
        raise TypeError(f"{name} is {shown(value)}; expected one real number, or an array of them.")
    return array.astype(np.float64)


def require_count(name: str, value: object, least: int = 1, most: int = MANY) -> None:
    """Raise ValueError unless the value is a whole number from ``least`` to ``most``."""
    if not (isinstance(value, numbers.Integral) and int(value) >= least):
        raise ValueError(
            f"{name} is {shown(value)}; expected a whole number of at least {least}.")
    if int(value) > most:
        raise ValueError(f"{name} is {shown(value)}; expected at most {most}.")


def shown(value: object) -> str:
    """A value in a message: its repr, at most a line of it."""
    return " ".join(reprlib.repr(value).split())


def require_image_shape(
    shape: object, axes: int | None = None, name: str = "shape"
) -> tuple[int, ...]:
    """Return the shape of an image as a tuple of positive whole numbers, or raise.

    Parameters
    ----------
    shape : tuple of int
    axes : int, optional
        How many there must be.
    name : str, optional
        What to call it in the message.

    Raises
    ------
    TypeError
        If it is no tuple.
    ValueError
        If it is empty, or a number is not positive and whole, or they are too large together.
    """
    if not isinstance(shape, tuple | list) or not shape:
        raise TypeError(f"{name} is {shown(shape)}, expected a tuple of whole numbers, the shape "
                        "of an image, such as (256, 256).")
    total = 1
    for n in shape:
        if not isinstance(n, numbers.Integral) or isinstance(n, bool) or n < 1:
            raise ValueError(f"{name} is {shown(shape)}, expected positive whole numbers.")
        total *= int(n)
    if total > MOST_ENTRIES:
        raise ValueError(f"{name} is {shown(shape)}, expected at most {MOST_ENTRIES} entries.")
    if axes is not None and len(shape) != axes:
        raise ValueError(f"{name} is {shown(shape)}, expected {axes} numbers.")
    return tuple(int(n) for n in shape)


def require_method(name: str, value: object, example: str, arguments: int | None = None) -> None:
    """Raise TypeError for what cannot be called, and for a class in place of its object.

    Parameters
    ----------
    name, value, example : str, object, str
        The example is code, for the message.
    arguments : int, optional
        With how many arguments it will be called, by position; functions that do not say what they
        take are believed.
    """
    if isinstance(value, type) or not callable(value):
        raise TypeError(
            f"{name} is {_named(value)}, expected an object to be called, such as {example}."
        )
    if arguments is None:
        return
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # written in C
        return
    try:
        signature.bind(*[None] * arguments)
    except TypeError:
        raise TypeError(
            f"{name} is {shown(value)} with the arguments {signature}, expected a function of "
            f"{arguments}, such as {example}."
        ) from None


def _named(value):
    return repr(value) if isinstance(value, type) else shown(value)


def require_rng(rng: object) -> None:
    """Raise TypeError unless ``rng`` is a numpy.random.Generator."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng is {rng!r}, expected a numpy.random.Generator; "
            "build one with numpy.random.default_rng(seed)."
        )


def level_outside(*packages: str) -> int:
    """Return the ``stacklevel`` at which a warning points at the code that called these packages.

    Parameters
    ----------
    packages : str
        Names at the top, such as ``"odl_learned"``; frames of them are passed over.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in packages:
        frame, level = frame.f_back, level + 1
    return level
