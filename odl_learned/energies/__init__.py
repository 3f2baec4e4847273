"""Parametric energies: what a reconstruction minimizes, with all derivatives that learning needs.

An energy ``E(x, theta, y)`` has an image ``x``, parameters ``theta`` and data ``y``; the
reconstruction is ``x^(theta) = argmin_x E(x, theta, y)``. A `ParametricEnergy` acts on batches of
tensors and knows gradients, Hessians and mixed derivatives, and constants from which solvers and
bilevel learning compute certificates.

`energy_of` makes an energy of any ODL functional on ``X``, ``X x Theta`` or ``X x Theta x Y`` whose
nodes it knows, with all derivatives and constants: this is where to begin. The rules are in
`energies.expressions`.

`VariationEnergy` has formulas for the most common form: a fidelity, `Denoising` or
`FourierSampling`, differences or wavelets (`transforms`) under a potential (`potentials`), and
coefficients that depend on the parameters (`coefficients`). Fields of experts and convex ridges
are in `filters`. `AutogradEnergy` makes an energy of any differentiable function, with constants of
your own, and `check_energy` holds an energy against its claims. A `FixedEnergy` is an energy whose
parameters and data are given: what a solver sees.
"""

from odl_learned.energies import coefficients, filters, potentials, transforms
from odl_learned.energies.checks import check_energy
from odl_learned.energies.energy import AutogradEnergy, ParametricEnergy
from odl_learned.energies.expressions.lowering import energy_of
from odl_learned.energies.fidelities import Denoising, FourierSampling
from odl_learned.energies.fixed_energy import FixedEnergy
from odl_learned.energies.variation_energy import VariationEnergy

__all__ = [
    "AutogradEnergy",
    "Denoising",
    "FixedEnergy",
    "FourierSampling",
    "ParametricEnergy",
    "VariationEnergy",
    "check_energy",
    "coefficients",
    "energy_of",
    "filters",
    "potentials",
    "transforms",
]
