r"""Units in which images are denoised, whatever the scale of data and parameter.

The solution of ``min_x |x - y|^2 / 2 + alpha R(x)`` is ``k + a x`` with that for ``alpha / a`` and
``(y - k) / a`` in place of ``alpha`` and ``y``, for every ``k`` that ``R`` ignores and every ``a >
0``. With ``a = alpha`` nothing is left but the data, which squares must neither take below the
smallest nor above the largest number of their precision:

- For ``alpha`` far below the range ``s = max |y - k|``, the solution is ``y`` up to rounding. With
  ``x_hat = y - alpha D* p`` for a field ``|p| <= 1``, it is no farther away than ``alpha |D* p|``,
  and its value no more than half the square of that above the minimum.
- For ``alpha`` far above it, the solution is ``k``. A dual variable that proves this for ``a <
  alpha`` proves it for ``alpha``, since it does not matter for the gap at ``k``, which is ``|y - k
  - D* p|^2 / 2``; so ``a`` stays within bounds.
"""

import numpy as np
from array_api_compat import to_device

#: Largest ratio of parameter and range, and of range and parameter, by precision.
LIMITS = {"single": 2.0**40, "double": 2.0**330}


def in_units(xp, y, alpha, kernel):
    """Return the `Units` of images and the data in them.

    Parameters
    ----------
    xp : module
    y : array of shape ``(size, channels, *shape)``, real
    alpha : numpy.ndarray of shape ``(size,)``
    kernel : callable
        ``(xp, y) -> k``, what the regularizer ignores and is nearest to ``y``: `mean` or `affine`.

    Returns
    -------
    units : Units
    data : array of the shape of ``y``
        ``(y - k) / a``.
    """
    units, limit = Units(xp), LIMITS[_precision(xp, y)]
    units.unit = unit_of(xp, y)
    y = units.divided(y, units.unit)
    units.kernel = kernel(xp, y)
    rest = y - units.kernel
    span = _largest(xp, rest)
    with np.errstate(over="ignore", under="ignore"):
        wanted = alpha / units.unit
    units.scale = np.where(span > 0, np.clip(wanted, span / limit, span * limit), 1.0)
    units.is_data = (span > 0) & (wanted < span / limit)
    units.is_kernel = (span > 0) & (wanted > span * limit)
    return units, units.divided(rest, units.scale)


def unit_of(xp, y):
    """Powers of two by which to divide images, one per image: one for most units of life.

    Entries near the ends of the range of floats come near to one; powers of two change no digits.
    """
    largest = _largest(xp, y)
    power = np.where(largest > 0, np.round(np.log2(np.where(largest > 0, largest, 1.0))), 0)
    bound = {"single": 120, "double": 1000}[_precision(xp, y)]
    return 2.0 ** np.where(np.abs(power) > 40, np.clip(power, -bound, bound), 0)


class Units:
    """Scale ``a``, offset ``k`` and unit of images, see `in_units`.

    Attributes
    ----------
    is_data, is_kernel : numpy.ndarray of bool, shape ``(size,)``
        Where the solution is ``y``, or ``k``, by the arguments above.
    """

    def __init__(self, xp):
        self.xp = xp

    @property
    def factor(self):
        """``a`` in the units the images came in, by which roots of gaps are multiplied."""
        return self.scale * self.unit

    def image(self, x):
        """Images in the units they came in."""
        return self._multiplied(self._multiplied(x, self.scale) + self.kernel, self.unit)

    def dual(self, p):
        """Dual variables in the units the images came in."""
        return self._multiplied(self._multiplied(p, self.scale), self.unit)

    def field(self, v, weights):
        """Vector fields in the units the images came in, with the differences of ``k``."""
        differences = [self._difference(axis, c) for axis, c in enumerate(weights, 2)]
        rise = self.xp.stack(differences, axis=2)
        return self._multiplied(self._multiplied(v, self.scale) + rise, self.unit)

    def _difference(self, axis, factor):
        """Forward, zero at the last index."""
        k, n = self.kernel, self.kernel.shape[axis]
        here = [slice(None)] * k.ndim
        here[axis] = self.xp.asarray(np.minimum(np.arange(1, n + 1), n - 1), device=k.device)
        return (k[tuple(here)] - k) * factor

    def take(self, index):
        """The units of some of the images."""
        new = Units(self.xp)
        for name in ("unit", "scale", "is_data", "is_kernel"):
            setattr(new, name, getattr(self, name)[index])
        new.kernel = self.kernel[self.xp.asarray(index, device=self.kernel.device), ...]
        return new

    def divided(self, x, numbers):
        """Images divided by one number each."""
        return x if (numbers == 1).all() else x / self._column(numbers, x)

    def _multiplied(self, x, numbers):
        return x if (numbers == 1).all() else x * self._column(numbers, x)

    def _column(self, numbers, x):
        column = self.xp.asarray(numbers, dtype=x.dtype, device=x.device)
        return self.xp.reshape(column, (-1, *[1] * (x.ndim - 1)))


def mean(xp, y):
    """Constant images, of shape ``(size, channels, 1, ..., 1)``."""
    return _channelwise(xp, y, xp.mean)


def affine(xp, y):
    """Affine images nearest to ``y``, of its shape."""
    result = mean(xp, y)
    for axis in range(2, y.ndim):
        n = y.shape[axis]
        if n > 1:
            t = xp.arange(n, dtype=y.dtype, device=y.device) - (n - 1) / 2
            t = xp.reshape(t, [n if i == axis else 1 for i in range(2, y.ndim)])
            # The mean of t^2 over n points of distance one is (n^2 - 1) / 12.
            slope = _channelwise(xp, y, lambda c, t=t: xp.mean(c * t)) * (12 / (n**2 - 1))
            result = result + slope * t
    return result


def _channelwise(xp, y, reduce):
    """One number for every channel; they do not depend on how many samples there are."""
    values = xp.stack([reduce(channel) for sample in y for channel in sample])
    return xp.reshape(values, (*y.shape[:2], *[1] * (y.ndim - 2)))


def _precision(xp, y):
    return "double" if xp.finfo(y.dtype).bits == 64 else "single"


def _largest(xp, y):
    rows = xp.reshape(xp.abs(y), (y.shape[0], -1))
    return np.asarray(to_device(xp.max(rows, axis=1), "cpu"), dtype=np.float64)
