"""Differences of neighbors by compiled sweeps, for images in the plane on the CPU.

Up to signs of zeros they have the bits of the plain forms, whatever the threads.
"""

import numpy as np
import torch

from odl_learned import compiled


def can_sweep(x):
    """Whether compiled loops are there for images ``(B, R, W)``, or parts of their fields."""
    return (x.ndim == 3 and x.device.type == "cpu" and x.numel() > 0
            and x.dtype in (torch.float32, torch.float64, torch.complex64, torch.complex128)
            and not (x.requires_grad and torch.is_grad_enabled())
            and compiled.is_available())  # fmt: skip


def swept_forward(x):
    """``D x``, of shape ``(B, 2, R, W)``."""
    from odl_learned.compiled.variation.differences import forward

    return _swept(forward, (array(x),), (len(x), 2, *x.shape[1:]), x)


def swept_adjoint(p, weights=None):
    """``D^T w p`` with weights of shape ``(B, 1, R, W)`` or ``(B, 2, R, W)``, or without."""
    from odl_learned.compiled.variation.differences import adjoint

    w = np.empty((0, 0, 0, 0), array(p.real[:0]).dtype) if weights is None else array(weights)
    return _swept(adjoint, (w, array(p)), (len(p), *p.shape[2:]), p)


def swept_neighbors(u, weights):
    """``S D^T w D S u`` with the signs of a checkerboard."""
    from odl_learned.compiled.variation.differences import neighbors

    return _swept(neighbors, (array(u), array(weights)), u.shape, u)


def swept_hessian(p, z, scaled, bent, factor):
    """As `Transform.hessian`."""
    from odl_learned.compiled.variation.differences import hessian

    s, b, p = array(scaled), array(bent), array(p)
    z = p[:0] if z is None else array(z)
    return lambda v: _swept(hessian, (array(v), p, z, s, b, s.dtype.type(factor)), v.shape, v)


def swept_follow(d, p, z, weight, ratio, most):
    """As `Transform.followed`."""
    from odl_learned.compiled.variation.differences import follow

    w = array(weight)
    parts = array(d), array(p), array(z), w, array(ratio), w.dtype.type(most)
    return _swept(follow, parts, p.shape, p)


def swept_weighted(weights, factor):
    """Return ``v -> D^T w D v + f v`` with weights ``(B, 2, R, W)``."""
    from odl_learned.compiled.variation.differences import weighted

    w = array(weights)
    return lambda v: _swept(weighted, (array(v), w, w.dtype.type(factor)), v.shape, v)


def swept_follow_apart(d, p, z, weight, ratio, most):
    """As `Transform.followed` with components on their own, all of shape ``(B, 2, R, W)``."""
    from odl_learned.compiled.variation.differences import follow_apart

    w = array(weight)
    parts = array(d), array(p), array(z), w, array(ratio), w.dtype.type(most)
    return _swept(follow_apart, parts, p.shape, p)


def array(x):
    """The memory of a tensor, or a copy where it is no array as it is."""
    return x.contiguous().numpy(force=True)


def _swept(loop, parts, shape, like):
    out = torch.empty(shape, dtype=like.dtype)
    rows = shape[0] * shape[-2]
    compiled.run_all(loop, [(*parts, begin, end, out.numpy())
                            for begin, end in compiled.shares(rows, out.numel())])  # fmt: skip
    return out
