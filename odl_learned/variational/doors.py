"""Checks at the door of problems."""

import numpy as np


def require_numbers(name, values, or_zero=False):
    """Raise ValueError unless all numbers, one or one per sample, are finite and positive."""
    array = np.asarray(values)
    is_real = array.dtype.kind in "iuf"
    if not (is_real and np.all(np.isfinite(array)) and np.all(array >= 0) and (
            or_zero or np.all(array > 0))):
        expected = "of at least zero" if or_zero else "greater than zero"
        raise ValueError(f"{name} is {values!r}; expected a finite number {expected}.")


def require_element(name, element, op, side):
    """Raise TypeError unless this is an element of the domain or the range of L."""
    if element not in getattr(op, side):
        raise TypeError(
            f"{name} is not an element of L.{side}, {getattr(op, side)!r}; start from "
            f"L.{side}.zero(), or pass L.{side}.element(...)."
        )
