"""The arithmetic of `samples` for one ODL element."""

import numpy as np

from odl_learned.solvers import updates
from odl_learned.solvers.safe_norms import SAFE, safe_factor


class Element:
    """One element that knows ``+``, ``-``, multiplication by a number, ``inner`` and ``norm``."""

    size = 1

    def inner(self, x, y):
        """``Re <x, y>``, of shape (1,)."""
        return np.array([float(np.real(x.inner(y)))])

    @np.errstate(over="ignore")
    def norm(self, x):
        """``|x|``, of shape (1,)."""
        size = float(x.norm())
        if SAFE[0] <= size <= SAFE[1]:
            return np.array([size])
        factor = safe_factor(size, self.eps(x)).item()
        return np.array([size if factor == 1 else float((factor * x).norm()) / factor])

    def scale(self, t, x):
        """``t x`` with a float or one number per sample."""
        t = float(np.reshape(t, ()))
        return t * x if memory(x) is None else self.shrink(t, x.copy())

    def add(self, x, t, y):
        """``x + t y``, a new element."""
        return self.increase(self.scale(t, y), 1.0, x)

    def difference(self, x, y):
        """``x - y``, a new element."""
        return x - y if memory(x) is None else self.increase(x.copy(), -1.0, y)

    def extrapolate(self, x, t, previous):
        """``x + t (x - previous)``, a new element."""
        return self.increase(self.shrink(t, self.difference(x, previous)), 1.0, x)

    def increase(self, x, t, y):
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

    def blend(self, x, t, y):
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

    def shrink(self, t, x):
        """``t x``, in the memory of ``x`` where that is known; use what is returned."""
        into = memory(x)
        if into is None:
            return float(np.reshape(t, ())) * x
        t = float(np.reshape(t, ()))
        for a in into if t != 1 else ():
            a *= t
        return x

    def reach(self, y, s, x, t, old):
        """``y + s (x + t (x - old))``, a new element."""
        result = self._fused(updates.reach, (y, s, x, t, old))
        return self.blend(self.extrapolate(x, t, old), s, y) if result is None else result

    def lack(self, x, t, old, y, before):
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

    def ones(self, x):
        """The element of the space of ``x`` with all entries one."""
        return x.space.one()

    def eps(self, x):
        """Distance of one to the next number in the precision of ``x``."""
        while not hasattr(x, "data") and hasattr(x, "__getitem__"):
            x = x[0]
        dtype = getattr(getattr(x, "data", None), "dtype", np.dtype(float))
        return 1.2e-7 if str(dtype).endswith(("float32", "complex64")) else 2.3e-16

    def take(self, x, index):
        """The samples with these numbers; the element itself."""
        return x

    def put(self, x, index, part):
        """``x`` with these samples replaced; the part itself."""
        return part

    def subset(self, index):
        """Arithmetic of these samples."""
        return self

    def number(self, values):
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
