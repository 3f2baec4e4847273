"""Potentials ``phi_nu(t)`` of lengths ``t >= 0``, which replace the modulus by something smooth.

`Charbonnier`, ``sqrt(t^2 + nu^2)``, is that of smoothed total variation, `CubicAbsolute` a twice
differentiable one that is linear from ``nu`` on, `HuberPotential` one that is so with a jump of
the second derivative, `HalfSquare`, ``t^2 / 2``, that of the ``H^1``
seminorm. Each knows its derivatives and the constants of them.
"""

from odl_learned.energies.potentials.huber import HuberPotential
from odl_learned.energies.potentials.potential import Charbonnier, CubicAbsolute, HalfSquare

__all__ = [
    "Charbonnier",
    "CubicAbsolute",
    "HalfSquare",
    "HuberPotential",
]
