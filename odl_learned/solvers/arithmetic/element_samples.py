"""The arithmetic of `samples` for one ODL element."""

import numpy as np
from numpy.typing import ArrayLike

from odl_learned.solvers.arithmetic import updates
from odl_learned.solvers.arithmetic.safe_norms import SAFE, safe_factor
from odl_learned.solvers.types import Numbers, Points


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
        factor = safe_factor(size, self.eps(x)).item()
        return np.array([size if factor == 1 else float((factor * x).norm()) / factor])

    def scale(self, t: Numbers, x: Points) -> Points:
        """``t x`` with a float or one number per sample."""
        t = float(np.reshape(t, ()))
        return t * x if memory(x) is None else self.shrink(t, x.copy())

    def add(self, x: Points, t: Numbers, y: Points) -> Points:
        """``x + t y``, a new element."""
        return self.increase(self.scale(t, y), 1.0, x)

    def difference(self, x: Points, y: Points) -> Points:
        """``x - y``, a new element."""
        return x - y if memory(x) is None else self.increase(x.copy(), -1.0, y)

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
            elif t == 1:
                a += b
            elif not updates.increase(a[None], t, b[None]):
                a += t * b
        return x

    def blend(self, x: Points, t: Numbers, y: Points) -> Points:
        """``t x + y``, in the memory of ``x`` where that is known; use what is returned."""
        into, arrays = memory(x), memory(y)
        if into is None or arrays is None or [a.dtype for a in into] != [b.dtype for b in arrays]:
            return self.increase(self.shrink(t, x), 1.0, y)
        t = float(np.reshape(t, ()))
        for a, b in zip(into, arrays, strict=True):
            if not updates.blend(a[None], t, b[None]):
                a *= t
                a += b
        return x

    def shrink(self, t: Numbers, x: Points) -> Points:
        """``t x``, in the memory of ``x`` where that is known; use what is returned."""
        into = memory(x)
        if into is None:
            return float(np.reshape(t, ())) * x
        t = float(np.reshape(t, ()))
        for a in into if t != 1 else ():
            a *= t
        return x

    def reach(self, y: Points, s: Numbers, x: Points, t: Numbers, old: Points) -> Points:
        """``y + s (x + t (x - old))``, a new element."""
        result = self._fused(updates.reach, (y, s, x, t, old))
        return self.blend(self.extrapolate(x, t, old), s, y) if result is None else result

    def lack(
        self, x: Points, t: Numbers, old: Points, y: Points, before: Points
    ) -> Points:
        """``t (x - old) - (y - before)``, a new element."""
        result = self._fused(updates.lack, (x, t, old, y, before))
        if result is not None:
            return result
        rest = self.shrink(t, self.difference(x, old))
        return self.increase(rest, -1.0, self.difference(y, before))

    def _fused(self, update, values):
        """A new element by one pass over the memory of elements and numbers, or None."""
        first = memory(values[0])
        if first is None or not all(updates.is_worth_it(a) for a in first):
            return None
        result = values[0].copy()
        rows = [float(np.reshape(v, ())) if isinstance(v, (float, np.ndarray)) else memory(v)
                for v in (*values, result)]  # fmt: skip
        for k in range(len(first)):
            parts = (v if isinstance(v, float) else None if v is None else v[k][None]
                     for v in rows)  # fmt: skip
            if not update(*parts):
                return None
        return result

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
