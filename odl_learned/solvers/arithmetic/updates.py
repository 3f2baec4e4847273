"""Multiples and sums of arrays in one pass, compiled, where their memory is at hand.

Each function returns whether it did what it says. It does not for small arrays, for which a call
costs more than the passes, on accelerators, for arrays that are not contiguous, and where gradients
are followed. The plain form, in `batch_samples` and `element_samples`, has the same bits, but for
signs of zeros of complex numbers and what is not finite.
"""

import numpy as np

from odl_learned import compiled

#: Bytes of all samples below which the plain form is as fast.
LEAST = 2**18


def increase(x, t, y):
    """``x_b + t_b y_b``, in the memory of ``x``."""
    return _run("increase", x, t, y)


def blend(x, t, y):
    """``t_b x_b + y_b``, in the memory of ``x``."""
    return _run("blend", x, t, y)


def add(x, t, y, out):
    """``x_b + t_b y_b``, into ``out``."""
    return _run("add", x, t, y, out)


def extrapolate(x, t, y, out):
    """``x_b + t_b (x_b - y_b)``, into ``out``."""
    return _run("extrapolate", x, t, y, out)


def reach(y, s, x, t, old, out):
    """``s_b (x_b + t_b (x_b - old_b)) + y_b``, into ``out``."""
    return _run("reach", y, s, x, t, old, out, factors=(1, 3))


def lack(x, t, old, y, before, out):
    """``t_b (x_b - old_b) - (y_b - before_b)``, into ``out``."""
    return _run("lack", x, t, old, y, before, out)


def is_worth_it(x):
    """Whether arrays of the shape of ``x`` are large enough."""
    return getattr(x, "nbytes", 0) >= LEAST and compiled.is_available()


def _run(name, *values, factors=(1,)):
    """Run a loop on arrays and, at some positions, floats or one number for each sample."""
    if not is_worth_it(values[0]):
        return False
    like, parts = _rows(values[0]), []
    if like is None:
        return False
    for position, value in enumerate(values):
        if position in factors:
            part = np.empty(len(like), like.dtype)
            part[:] = value
        else:
            part = _rows(value) if position else like
            if part is None or part.shape != like.shape or part.dtype != like.dtype:
                return False
        parts.append(part)
    from odl_learned.compiled import vectors

    compiled.run_all(getattr(vectors, name), [
        (*parts, begin, end) for begin, end in compiled.shares(like.shape[1], like.size)])
    return True


def _rows(x):
    """The samples of an array as rows of real numbers on the same memory, or None."""
    if hasattr(x, "resolve_conj"):
        try:  # not on other devices, with a graph, conjugate by a flag, or within forward mode
            x = x.numpy()
        except (RuntimeError, TypeError):
            return None
    if not isinstance(x, np.ndarray) or x.dtype.char not in "fdFD" or not x.flags.carray:
        return None
    return x.reshape(len(x), -1).view(x.real.dtype)
