"""Gradients and divergences in the plane by one compiled pass, times a number.

Within a few roundings of the plain forms in `differences`.
"""

import torch

from odl_learned import compiled

#: Of tensors whose loops are compiled.
DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)


def swept_gradient(x, factors):
    """Return ``c_i d_i x`` with side one, ``(*batch, 2, R, W)``, or None where no loop fits."""
    if not _can_sweep(x, factors):
        return None
    from odl_learned.compiled.variation.gradients import gradient

    out = x.new_empty((*x.shape[:-2], 2, *x.shape[-2:]))
    _sweep(gradient, _array(x, x.shape[-2:]), factors, _array(out, out.shape[-3:]), x)
    return out


def swept_divergence(p, factors):
    """Return the sum of ``c_i`` times backward differences, ``(*batch, R, W)``, or None."""
    if p.ndim < 3 or p.shape[-3] != 2 or not _can_sweep(p, factors):
        return None
    from odl_learned.compiled.variation.gradients import divergence

    out = p.new_empty((*p.shape[:-3], *p.shape[-2:]))
    _sweep(divergence, _array(p, p.shape[-3:]), factors, _array(out, out.shape[-2:]), out)
    return out


def _can_sweep(x, factors):
    return (len(factors) == 2 and x.device.type == "cpu" and x.dtype in DTYPES and x.numel() > 0
            and compiled.is_available())  # fmt: skip


def _array(x, shape):
    """The memory of a batch, or a copy where it is no array as it is, with one axis for samples."""
    return x.contiguous().numpy(force=True).reshape(-1, *shape)


def _sweep(loop, given, factors, out, images):
    factors = [given.real.dtype.type(factor) for factor in factors]
    rows = images.numel() // images.shape[-1]
    compiled.run_all(loop, [(given, *factors, begin, end, out) for begin, end in
                            compiled.shares(rows, given.size)])  # fmt: skip
