"""Energies of filtered images: fields of experts and convex ridge regularizers.

``1/2 |x - y|^2 + sum_k psi_k(w_k * x)`` with filters ``w_k`` that reflect at the boundary.
`ExpertsEnergy` has weights and filters that depend on the parameters as a function says, such as
`fixed_filters` of the cosines `dct_filters`; the parameters of a `RidgeEnergy` are its filters and
the logarithms of its weights.
"""

from odl_learned.energies.filters.experts import ExpertsEnergy
from odl_learned.energies.filters.fixed_filters import fixed_filters
from odl_learned.energies.filters.reflecting_filters import dct_filters
from odl_learned.energies.filters.ridge_energy import RidgeEnergy

__all__ = [
    "ExpertsEnergy",
    "RidgeEnergy",
    "dct_filters",
    "fixed_filters",
]
