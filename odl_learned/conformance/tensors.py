"""Elements as tensors, and tensors as vectors to compare, for the checks of modules."""

import numpy as np
import torch

from odl_learned.bridge.layouts.layout import ScalarLayout, layout_of
from odl_learned.bridge.layouts.nested import each
from odl_learned.conformance.failure import require, require_small
from odl_learned.conformance.sampling import positive, precision


def as_tensor(op, x):
    """An element of the domain of ``op`` as a tensor of its own, or tuple of tensors."""
    return each(torch.clone, layout_of(op.domain).to_tensor(x))


def stack(*samples):
    """One batch of several samples."""
    return each(lambda *parts: torch.stack(parts), *samples)


def entries(x):
    """All entries of a tensor or tuple as one numpy vector."""
    if isinstance(x, tuple):
        return np.concatenate([entries(part) for part in x])
    return x.detach().numpy(force=True).ravel()


def leaves(x):
    """The tensors of a nested tuple, or the tensor itself, as one tuple."""
    return tuple(leaf for part in x for leaf in leaves(part)) if isinstance(x, tuple) else (x,)


def like(x, parts):
    """Tensors in the nested structure of ``x``: the inverse of :func:`leaves`."""
    parts = iter(parts)
    return each(lambda _: next(parts), x)


def dtypes_of_range(op):
    """The dtypes of the tensors of an element of the range; values of functionals are real."""
    layout = layout_of(op.range)
    if isinstance(layout, ScalarLayout):
        dtype = torch.empty((), dtype=layout_of(op.domain).dtype)
        return (dtype.dtype if op.is_linear else dtype.real.dtype,)
    return tuple(_dtypes(layout))


def _dtypes(layout):
    if not hasattr(layout, "parts"):
        return [layout.dtype]
    return [dtype for part in layout.parts for dtype in _dtypes(part)]


def require_same(got, expected, op, identity, hint=""):
    """Raise ConformanceError unless vectors agree to the precision of ``op``, infinities too."""
    finite = np.isfinite(expected)
    require((np.isfinite(got) == finite).all(), f"{identity}: infinite where the other is not")
    if finite.any():
        difference = np.abs(got[finite] - expected[finite]).max()
        scale = positive(np.abs(expected[finite]).max())
        require_small(difference / scale, 10 * precision(op), identity, hint)
