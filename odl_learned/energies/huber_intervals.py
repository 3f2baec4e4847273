"""The rule for intervals of the potential of Huber, whose second derivative jumps."""

import math

import torch

from odl_learned.energies.intervals import Interval, interval
from odl_learned.energies.potentials.huber import HuberPotential


@interval.register
def _(potential: HuberPotential, nu, a, b, scalar):
    # Above nu the eigenvalues are 0 along and 1 / t across, and the third derivative is at most
    # 2 / (sqrt 3 t^2) as for the length itself, or zero for scalars; nothing depends on nu.
    below, above = b < nu, a > nu
    zero, jump = torch.zeros_like(a), torch.full_like(a, math.inf)
    outside = a.clamp_min(nu)
    far = zero if scalar else 2 / (math.sqrt(3) * outside.square())
    across, inside = zero if scalar else 1 / outside, torch.full_like(a, 1 / nu)
    return Interval(
        torch.where(above, across, inside),
        torch.where(below, zero, torch.where(above, far, jump)),
        torch.where(below, inside / nu, torch.where(above, zero, jump)),
        torch.where(below, inside, zero),
    )
