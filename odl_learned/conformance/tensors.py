"""Elements as tensors, and tensors as vectors to compare, for the checks of modules."""

import numpy as np
import torch

from odl_learned.bridge.layout import layout_of
from odl_learned.bridge.nested import each
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


def require_same(got, expected, op, identity):
    """Raise ConformanceError unless vectors agree to the precision of ``op``, infinities too."""
    finite = np.isfinite(expected)
    require((np.isfinite(got) == finite).all(), f"{identity}: infinite where the other is not")
    if finite.any():
        difference = np.abs(got[finite] - expected[finite]).max()
        scale = positive(np.abs(expected[finite]).max())
        require_small(difference / scale, 10 * precision(op), identity)
