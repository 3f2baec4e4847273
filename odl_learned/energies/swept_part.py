"""The potential part of energies in closed form by one compiled sweep, for differences of images.

As `variation_part`, up to the roundings of sums, for potentials and transforms that the loops know.
"""

import numpy as np
import torch

from odl_learned import compiled
from odl_learned.energies.potentials.potential import Charbonnier, CubicAbsolute
from odl_learned.energies.transforms.differences import ForwardDifferences
from odl_learned.energies.transforms.separate import Separate
from odl_learned.energies.transforms.swept_differences import (
    array,
    can_sweep,
    swept_hessian,
    swept_weighted,
)
from odl_learned.energies.variation_part import VariationPart

KINDS = {Charbonnier: 0, CubicAbsolute: 1}
#: Rows that are summed up one by one.
HEIGHT = 32


def can_sweep_part(energy, x):
    """Whether the compiled loops compute the potential part of an energy at ``x``."""
    transform = energy.transform
    is_apart = type(transform) is Separate
    inner = transform.transform if is_apart else transform
    return (type(inner) is ForwardDifferences and type(energy.potential) in KINDS
            and not (is_apart and x.is_complex()) and can_sweep(x))  # fmt: skip


def swept_exact_part(energy, c, x):
    """As `exact_part`."""
    return _Sweep(energy, c, x).part(None, None, None)


def swept_following_part(energy, c, x, state):
    """As `following_part`; the state consists of ``x`` and the dual variable."""
    sweep = _Sweep(energy, c, x)
    z = torch.empty(sweep.field_shape, dtype=x.dtype)
    before, last = (None, None) if state is None else state
    return sweep.part(before, last, z), (x, z)


class _Sweep:
    """What loops are given and what they return."""

    def __init__(self, energy, c, x):
        self._x, self._is_apart = x, type(energy.transform) is Separate
        self.field_shape = (len(x), 2, *x.shape[1:])
        real = x.real.dtype
        self._kind = KINDS[type(energy.potential)]
        self._numbers = np.array(
            [c.nu, c.alpha, energy.potential.constants(c.nu).slope, torch.finfo(real).tiny ** 0.5,
             0.5 if x.is_complex() else 1.0], dtype=array(x.real[:0]).dtype)  # fmt: skip

    def part(self, before, last, z):
        """The `VariationPart` along ``z``, which is computed, or without."""
        x = array(self._x)
        nothing = np.empty((0, 2, *x.shape[1:]), x.dtype)
        rests = np.zeros(len(x), dtype=bool)
        if before is None:
            before, last = x[:0], nothing
        else:
            before, last = array(before), array(last)
            rests = (x == before).all((1, 2))
        start = (x, before, last, rests, self._kind, self._numbers, HEIGHT)
        z = nothing if z is None else z.numpy()
        return (self._apart if self._is_apart else self._together)(start, z)

    def _together(self, start, z):
        from odl_learned.compiled.variation.curved import together

        x = self._x
        p, slope = torch.empty(self.field_shape, dtype=x.dtype), torch.empty_like(x)
        scaled, bent = (torch.empty(x.shape, dtype=x.real.dtype) for _ in range(2))
        sums = self._run(together, start, p.numpy(), z, scaled.numpy(), bent.numpy(), slope.numpy())
        dual = torch.from_numpy(z) if len(z) else None
        return VariationPart(slope, lambda f: swept_hessian(p, dual, scaled, bent, f),
                             lambda: self._means(sums))  # fmt: skip

    def _apart(self, start, z):
        from odl_learned.compiled.variation.curved import apart

        slope = torch.empty_like(self._x)
        weights = torch.empty(self.field_shape, dtype=slope.dtype)
        sums = self._run(apart, start, z, weights.numpy(), slope.numpy())
        return VariationPart(slope, lambda f: swept_weighted(weights, f),
                             lambda: self._means(sums)[:, None])

    def _run(self, loop, start, *results):
        count, rows, columns = self._x.shape
        blocks = count * -(-rows // HEIGHT)
        sums = np.empty((blocks, 2, columns))
        compiled.run_all(loop, [(*start, begin, end, *results, sums) for begin, end in
                                compiled.shares(blocks, 2 * self._x.numel())])  # fmt: skip
        return sums

    def _means(self, sums):
        """Mean curvatures of samples, ``(B, 2, 1, 1)``, in an order that the shape fixes."""
        rows = sums.reshape(len(self._x), -1, *sums.shape[1:]).swapaxes(1, 2)
        rows = np.ascontiguousarray(rows.reshape(len(self._x), 2, -1))
        means = np.add.reduce(rows, axis=-1) / self._x[0].numel()
        return torch.from_numpy(means).to(self._x.real.dtype)[:, :, None, None]
