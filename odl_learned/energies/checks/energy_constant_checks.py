"""Constants and variations that an energy claims against rates between sampled points."""

import numpy as np
import torch

from odl_learned.energies.checks.energy_point import require
from odl_learned.energies.hessian_variation import pencil_seen, variation
from odl_learned.energies.samples import sample_inner, sample_norms

POWERS = 20
EXACT = 1e-9
NODES, SHARES = np.polynomial.legendre.leggauss(4)


def check_constants(at, point):
    """Compare ``lipschitz`` and ``strong_convexity`` with pairs of points.

    Random ones and along extreme eigenvectors of the Hessian at ``point``.
    """
    L, mu = at.energy.lipschitz(at.params), at.energy.strong_convexity(at.params)
    hessian = at.linearize(point).hessian
    highest = lowest = _unit(at.direction())
    for _ in range(POWERS):
        highest = _toward(hessian(highest), highest)
        lowest = _toward(L * lowest - hessian(lowest), lowest)
    slope = at.gradient(point)
    for v in (highest, lowest, _unit(at.direction())):
        for length in (1e-3, 1.0, 1e2):
            change = at.gradient(point + length * v) - slope
            rounding = 1e-13 * (sample_norms(slope) + L * (sample_norms(point) + length)) / length
            rate = sample_norms(change) / length - rounding
            k = int(rate.argmax())
            require(float(rate[k]) <= L * (1 + EXACT), at, f"lipschitz(params) is {L:.10g}",
                    f"at least {float(rate[k]):.10g}, the rate at which gradients of sample {k} "
                    "change")  # fmt: skip
            rate = sample_inner(change, v) / length + rounding
            k = int(rate.argmin())
            require(float(rate[k]) >= mu * (1 - EXACT), at,
                    f"strong_convexity(params) is {mu:.10g}",
                    f"at most {float(rate[k]):.10g}, the rate at which gradients of sample {k} "
                    "change along a direction")  # fmt: skip


def check_curvature_constants(at):
    """Compare ``curvature_constants`` with random points and directions."""
    names = ("LA", "LB", "B")
    constants = dict(zip(names, at.energy.curvature_constants(at.params), strict=True))
    v, q = _unit(at.direction()), _unit(at.direction())
    single = _first_only(q)
    for length in (1e-2, 1.0):
        there = at.linearize(at.x + length * v)
        bent = sample_norms(there.hessian(q) - at.linear.hessian(q))
        mixed = (there.mixed_adjoint(single) - at.linear.mixed_adjoint(single)).norm()
        rates = (bent.max() / length, mixed / length, at.linear.mixed_adjoint(single).norm())
        for (name, constant), rate in zip(constants.items(), rates, strict=True):
            require(float(rate) <= constant * (1 + 1e-6) + EXACT, at,
                    f"{name} of curvature_constants(params) is {constant:.10g}",
                    f"at least {float(rate):.10g}, or infinity where it is unknown")  # fmt: skip


def check_variation(at):
    """Compare the `bounds.Variation` of the first sample with random points of two balls."""
    v, q = _unit(at.direction()), _unit(at.direction())
    single = _first_only(q)
    here, slope = at.linear.hessian(q), at.linear.mixed_adjoint(single)
    for length in (1e-3, 0.3):
        radius = torch.full((len(q),), length, dtype=torch.float64, device=q.device)
        claimed = variation(at.energy, at.x, at.params, at.data, radius, q)
        there = at.linearize(at.x + length * v)
        other = there.mixed_adjoint(single)
        mean = sum(share / 2 * at.linearize(at.x + (node + 1) / 2 * length * v).hessian(q)
                   for node, share in zip(NODES, SHARES, strict=True))  # fmt: skip
        found = {
            "hessian": sample_norms(there.hessian(q) - here)[0],
            "mean_hessian": sample_norms(mean - here)[0],
            "mixed": (other - slope).norm(),
            "jacobian": other.norm(),
            "pencil": pencil_seen(at.linear, there, length * v, q)[0],
        }
        for name, size in found.items():
            bound = float(getattr(claimed, name)[0])
            require(float(size) <= bound * (1 + 1e-6) + EXACT, at,
                    f"{name} of the variation on a ball of radius {length:g} is {bound:.10g}",
                    f"at least {float(size):.10g}, as at a random point; correct variation_bound "
                    "or curvature_constants")  # fmt: skip


def _first_only(q):
    single = torch.zeros_like(q)
    single[0] = q[0]
    return single


def _toward(v, before):
    """The unit vectors along ``v``; those before it where that vanishes, for multiples of one."""
    some = (sample_norms(v) > 0).reshape(-1, *[1] * (v.ndim - 1))
    return torch.where(some, _unit(v), before)


def _unit(v):
    norms = sample_norms(v).clamp_min(1e-300)
    return v / norms.reshape(-1, *[1] * (v.ndim - 1))
