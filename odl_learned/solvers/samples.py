r"""Samples: one ODL element, or a batch of arrays with the samples along the first axis.

The iterations of this room are written once, for both. Numbers that belong to samples (norms, inner
products, steps, certificates) are numpy arrays of shape ``(size,)``, with ``size = 1`` for an
element; ``scale`` multiplies every sample with its number. Samples of a batch never mix, and a
sample has the same iterates alone and among others, to the last bit on the CPU, as long as the
operators keep them apart, too. What that rests on:

* Everything but inner products is entrywise, and IEEE arithmetic rounds an entry the same wherever
  it stands. Products and sums are separate steps: a fused one rounds once, and libraries fuse in
  full vector registers, but not in the remainder.
* Inner products are `row_products`, added up by numpy row by row, in blocks and then in pairs, in
  an order that depends on the length of the row alone. Dot products of BLAS depend on the kernel
  for the processor, the number of threads and, for some kernels, on where the row lies in memory.
"""


from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj, to_device
from numpy.typing import ArrayLike

from odl_learned.solvers.row_sums import euclidean, on_host
from odl_learned.solvers.types import Numbers, Point

#: What `Element` and `Batch` calculate with, each with its own: elements of a space, or arrays of a
#: library with Python's array API, which has no types, or tuples of them, also of tuples.
Points = Any
#: A functional, operator or problem.
Restricted = TypeVar("Restricted")


def samples_of(x: Point, space: object = None) -> "Element | Batch":
    """Return the arithmetic of an element or of a batch.

    Parameters
    ----------
    x : ODL element, or array or tuple of arrays of shape ``(size, ...)``
        Numpy arrays and torch tensors, real or complex.
    space : object, optional
        Of batches: ``space.inner(x, y)`` returns inner products as an array of shape ``(size,)``.
        Default: the Euclidean inner product. ODL elements bring their own.

    Returns
    -------
    samples : Element or Batch
    """
    is_batch = isinstance(x, tuple) or (is_array_api_obj(x) and not hasattr(x, "space"))
    return Batch(x, getattr(space, "inner", None)) if is_batch else Element()


class Element:
    """One element that knows ``+``, ``-``, multiplication by a number, ``inner`` and ``norm``."""

    size = 1

    def inner(self, x: Points, y: Points) -> np.ndarray:
        """``Re <x, y>``, of shape (1,)."""
        return np.array([float(np.real(x.inner(y)))])

    @np.errstate(over="ignore")
    def norm(self, x: Points) -> np.ndarray:
        """``|x|``, of shape (1,)."""
        size = float(x.norm())
        if SAFE[0] <= size <= SAFE[1]:
            return np.array([size])
        factor = _safe_factor(size, self.eps(x)).item()
        return np.array([size if factor == 1 else float((factor * x).norm()) / factor])

    def scale(self, t: Numbers, x: Points) -> Points:
        """``t x`` with a float or one number per sample."""
        return float(np.reshape(t, ())) * x

    def add(self, x: Points, t: Numbers, y: Points) -> Points:
        """``x + t y``, a new element."""
        return self.increase(self.scale(t, y), 1.0, x)

    def difference(self, x: Points, y: Points) -> Points:
        """``x - y``, a new element."""
        return x - y

    def extrapolate(self, x: Points, t: Numbers, previous: Points) -> Points:
        """``x + t (x - previous)``, a new element."""
        return self.increase(self.shrink(t, self.difference(x, previous)), 1.0, x)

    def increase(self, x: Points, t: Numbers, y: Points) -> Points:
        """``x + t y``, in the memory of ``x`` where that is known; use what is returned."""
        into, arrays = memory(x), memory(y)
        if into is None or arrays is None or [a.dtype for a in into] != [b.dtype for b in arrays]:
            return x + self.scale(t, y)
        t = float(np.reshape(t, ()))
        for a, b in zip(into, arrays, strict=True):
            if t == -1:
                a -= b
            else:
                a += b if t == 1 else t * b
        return x

    def shrink(self, t: Numbers, x: Points) -> Points:
        """``t x``, in the memory of ``x`` where that is known; use what is returned."""
        into = memory(x)
        if into is None:
            return self.scale(t, x)
        t = float(np.reshape(t, ()))
        for a in into:
            a *= t
        return x

    def ones(self, x: Points) -> Points:
        """The element of the space of ``x`` with all entries one."""
        return x.space.one()

    def eps(self, x: Points) -> float:
        """Distance of one to the next number in the precision of ``x``."""
        while not hasattr(x, "data") and hasattr(x, "__getitem__"):
            x = x[0]
        dtype = getattr(getattr(x, "data", None), "dtype", np.dtype(float))
        return 1.2e-7 if str(dtype).endswith(("float32", "complex64")) else 2.3e-16

    def take(self, x: Points, index: np.ndarray) -> Points:
        """The samples with these numbers; the element itself."""
        return x

    def put(self, x: Points, index: np.ndarray, part: Points) -> Points:
        """``x`` with these samples replaced; the part itself."""
        return part

    def subset(self, index: np.ndarray) -> "Element":
        """Arithmetic of these samples."""
        return self

    def number(self, values: ArrayLike) -> float:
        """Numbers of samples as the user sees them: a float."""
        return np.asarray(values).item()


class Batch:
    """Points of shape ``(size, ...)``, or tuples of them."""

    def __init__(self, x: Points, inner: Callable[..., Points] | None = None) -> None:
        first = x
        while isinstance(first, tuple):
            first = first[0]
        self.xp, self.size = array_namespace(first), first.shape[0]
        self._inner = inner

    def inner(self, x: Points, y: Points) -> np.ndarray:
        """``Re <x_b, y_b>`` for every sample ``b``."""
        if self._inner is not None:
            return self._host(self._inner(x, y))
        return euclidean(x, y)

    def norm(self, x: Points) -> np.ndarray:
        """``|x_b|`` for every sample ``b``."""
        if self._inner is None:  # never warns
            size = np.sqrt(np.maximum(self.inner(x, x), 0))
            if ((size >= SAFE[0]) & (size <= SAFE[1])).all():
                return size
        return self._scaled_norm(x)

    @np.errstate(over="ignore")
    def _scaled_norm(self, x):
        size = np.sqrt(np.maximum(self.inner(x, x), 0))
        factor = _safe_factor(size, self.eps(x))
        if (factor == 1).all():
            return size
        x = self.scale(factor, x)
        return np.sqrt(np.maximum(self.inner(x, x), 0)) / factor

    def scale(self, t: Numbers, x: Points) -> Points:
        """``t_b x_b`` with a float, or one number per sample."""
        if isinstance(x, tuple):
            return tuple(self.scale(t, part) for part in x)
        return self._factor(t, x) * x

    def add(self, x: Points, t: Numbers, y: Points) -> Points:
        """``x_b + t_b y_b``, new arrays."""
        if isinstance(x, tuple):
            return tuple(self.add(a, t, b) for a, b in zip(x, y, strict=True))
        result = self.scale(t, y)
        result += x
        return result

    def difference(self, x: Points, y: Points) -> Points:
        """``x_b - y_b``, new arrays."""
        if isinstance(x, tuple):
            return tuple(self.difference(a, b) for a, b in zip(x, y, strict=True))
        return x - y

    def extrapolate(self, x: Points, t: Numbers, previous: Points) -> Points:
        """``x_b + t_b (x_b - previous_b)``, new arrays."""
        if isinstance(x, tuple):
            return tuple(self.extrapolate(a, t, b) for a, b in zip(x, previous, strict=True))
        result = x - previous
        result *= self._factor(t, x)
        result += x
        return result

    def increase(self, x: Points, t: Numbers, y: Points) -> Points:
        """``x_b + t_b y_b``, in the memory of ``x``; use what is returned."""
        if isinstance(x, tuple):
            return tuple(self.increase(a, t, b) for a, b in zip(x, y, strict=True))
        if isinstance(t, float) and t == -1:
            x -= y
        else:
            x += y if isinstance(t, float) and t == 1 else self.scale(t, y)
        return x

    def shrink(self, t: Numbers, x: Points) -> Points:
        """``t_b x_b``, in the memory of ``x``; use what is returned."""
        if isinstance(x, tuple):
            return tuple(self.shrink(t, part) for part in x)
        x *= self._factor(t, x)
        return x

    def ones(self, x: Points) -> Points:
        """Points of the shape of ``x`` with all entries one."""
        return tuple(map(self.ones, x)) if isinstance(x, tuple) else self.xp.ones_like(x)

    def eps(self, x: Points) -> float:
        """Distance of one to the next number in the precision of ``x``."""
        while isinstance(x, tuple):
            x = x[0]
        return float(self.xp.finfo(x.dtype).eps)

    def take(self, x: Points, index: np.ndarray) -> Points:
        """The samples with these numbers."""
        if isinstance(x, tuple):
            return tuple(self.take(part, index) for part in x)
        return x[index, ...]

    def put(self, x: Points, index: np.ndarray, part: Points) -> Points:
        """``x`` with these samples replaced, in place."""
        if isinstance(x, tuple):
            return tuple(self.put(a, index, b) for a, b in zip(x, part, strict=True))
        x[index, ...] = part
        return x

    def subset(self, index: np.ndarray) -> "Batch":
        """Arithmetic of these samples."""
        part = object.__new__(Batch)
        part.xp, part.size, part._inner = self.xp, len(index), self._inner
        return part

    def number(self, values: ArrayLike) -> np.ndarray:
        """Numbers of samples as the user sees them: an array of shape (size,)."""
        return np.asarray(values)

    def _factor(self, t, x):
        """A number, or one per sample as an array that broadcasts against ``x``."""
        if isinstance(t, np.ndarray) and t.ndim:
            return t.item() if t.size == 1 else self._column(t, x)  # rounded alike
        return t if np.ndim(t) == 0 else self._column(t, x)

    def _column(self, t, x):
        """One number per sample as an array that broadcasts against ``x``, of its precision."""
        dtype = x.real.dtype if self.xp.isdtype(x.dtype, "complex floating") else x.dtype
        t = self.xp.asarray(np.asarray(t), dtype=dtype, device=x.device)
        return self.xp.reshape(t, (-1, *[1] * (x.ndim - 1)))

    def _host(self, values):
        host = on_host(values)
        host = np.asarray(to_device(values, "cpu")) if host is None else host
        return np.asarray(host, dtype=np.float64)


def memory(x):
    """The numpy arrays that an ODL element, or one of a product space, lives in; None elsewhere."""
    data = getattr(x, "data", None)
    if isinstance(data, np.ndarray):
        return [data] if hasattr(x, "space") else None
    parts = getattr(x, "parts", None)
    if parts is None or data is not None:
        return None
    arrays = [memory(part) for part in parts]
    return None if None in arrays else [array for part in arrays for array in part]


# Squares of numbers below the root of the smallest one vanish, those above the root of the largest
# one overflow, and a certificate must do neither. Multiplied by a power of two, numbers keep their
# digits. In single precision a norm below 2^-50 may come from entries down to 2^-149, whose squares
# with the factor 2^100 are 2^-98; one above 2^60 from entries up to 2^128, with 2^-80 at most 2^96.
SAFE = 2.0**-50, 2.0**60  # in every precision


def _safe_factor(size, eps):
    """Powers of two by which to multiply before squares are summed; one where no need."""
    small, up, large, down = (-50, 100, 60, -80) if eps > 1e-10 else (-500, 900, 500, -600)
    tiny = (size < 2.0**small) & (size == size)
    return np.where(tiny, 2.0**up, np.where(size > 2.0**large, 2.0**down, 1.0))


def numbers_of(values):
    """Numbers of samples, of Python, numpy or tensors on any device, as an array of float64."""
    array = on_host(values) if hasattr(values, "device") else np.asarray(values)
    array = values.cpu().numpy() if array is None else array
    return np.atleast_1d(array).astype(np.float64)


def restricted(problem: Restricted, index: ArrayLike) -> Restricted:
    """Return a functional, operator or problem for some of the samples.

    What belongs to samples, such as data, knows how to ``take(index)``; what does not is the same
    for all of them, and stays as it is.
    """
    take = getattr(problem, "take", None)
    return problem if take is None else take(index)
