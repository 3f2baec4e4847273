"""The arithmetic of `samples` for batches of arrays, on any device."""

from collections.abc import Callable

import numpy as np
from array_api_compat import array_namespace, to_device
from numpy.typing import ArrayLike

from odl_learned.solvers.arithmetic import updates
from odl_learned.solvers.arithmetic.row_sums import euclidean, on_host
from odl_learned.solvers.arithmetic.safe_norms import SAFE, safe_factor
from odl_learned.solvers.types import Numbers, Points


class Batch:
    """Arrays of shape ``(size, ...)``, or tuples of them."""

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
        factor = safe_factor(size, self.eps(x))
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
        if updates.is_worth_it(x):
            result = self.xp.empty_like(x)
            if updates.add(x, t, y, result):
                return result
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
        if updates.is_worth_it(x):
            result = self.xp.empty_like(x)
            if updates.extrapolate(x, t, previous, result):
                return result
        result = x - previous
        result *= self._factor(t, x)
        result += x
        return result

    def increase(self, x: Points, t: Numbers, y: Points) -> Points:
        """``x_b + t_b y_b``, in the memory of ``x``; use what is returned."""
        if isinstance(x, tuple):
            return tuple(self.increase(a, t, b) for a, b in zip(x, y, strict=True))
        if updates.increase(x, t, y):
            return x
        if isinstance(t, float) and t == -1:
            x -= y
        else:
            x += y if isinstance(t, float) and t == 1 else self.scale(t, y)
        return x

    def blend(self, x: Points, t: Numbers, y: Points) -> Points:
        """``t_b x_b + y_b``, in the memory of ``x``; use what is returned."""
        if isinstance(x, tuple):
            return tuple(self.blend(a, t, b) for a, b in zip(x, y, strict=True))
        if not updates.blend(x, t, y):
            x *= self._factor(t, x)
            x += y
        return x

    def shrink(self, t: Numbers, x: Points) -> Points:
        """``t_b x_b``, in the memory of ``x``; use what is returned."""
        if isinstance(x, tuple):
            return tuple(self.shrink(t, part) for part in x)
        x *= self._factor(t, x)
        return x

    def reach(self, y: Points, s: Numbers, x: Points, t: Numbers, old: Points) -> Points:
        """``y_b + s_b (x_b + t_b (x_b - old_b))``, new arrays."""
        if isinstance(x, tuple):
            return tuple(self.reach(*parts) for parts in (
                (a, s, b, t, c) for a, b, c in zip(y, x, old, strict=True)))
        if updates.is_worth_it(x):
            result = self.xp.empty_like(x)
            if updates.reach(y, s, x, t, old, result):
                return result
        return self.blend(self.extrapolate(x, t, old), s, y)

    def lack(
        self, x: Points, t: Numbers, old: Points, y: Points, before: Points
    ) -> Points:
        """``t_b (x_b - old_b) - (y_b - before_b)``, new arrays."""
        if isinstance(x, tuple):
            return tuple(self.lack(*parts) for parts in (
                (a, t, b, c, d) for a, b, c, d in zip(x, old, y, before, strict=True)))
        if updates.is_worth_it(x):
            result = self.xp.empty_like(x)
            if updates.lack(x, t, old, y, before, result):
                return result
        rest = self.shrink(t, self.difference(x, old))
        return self.increase(rest, -1.0, self.difference(y, before))

    def ones(self, x: Points) -> Points:
        """Arrays of the shape of ``x`` with all entries one."""
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
