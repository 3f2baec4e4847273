"""Norms whose squares neither vanish nor overflow."""

import numpy as np

# Squares of numbers below the root of the smallest one vanish, those above the root of the largest
# one overflow, and a certificate must do neither. Multiplied by a power of two, numbers keep their
# digits. In single precision a norm below 2^-50 may come from entries down to 2^-149, whose squares
# with the factor 2^100 are 2^-98; one above 2^60 from entries up to 2^128, with 2^-80 at most 2^96.
SAFE = 2.0**-50, 2.0**60  # in every precision


def safe_factor(size, eps):
    """Powers of two by which to multiply before squares are summed; one where no need."""
    small, up, large, down = (-50, 100, 60, -80) if eps > 1e-10 else (-500, 900, 500, -600)
    tiny = (size < 2.0**small) & (size == size)
    return np.where(tiny, 2.0**up, np.where(size > 2.0**large, 2.0**down, 1.0))
