"""Linear transforms whose lengths an energy penalizes, such as differences and wavelets.

Entries of a transformed image come in groups, the components of a gradient, whose length is what a
potential sees; `Separate` makes every entry a group. `ForwardDifferences` is the gradient with
Neumann boundary of `operators.gradient`, `BackwardDifferences` that of signals which are zero
before they begin, `OrthogonalTransform` any orthogonal map, such as one to wavelets.
"""

from odl_learned.energies.transforms.differences import BackwardDifferences, ForwardDifferences
from odl_learned.energies.transforms.separate import Separate
from odl_learned.energies.transforms.transform import OrthogonalTransform

__all__ = [
    "BackwardDifferences",
    "ForwardDifferences",
    "OrthogonalTransform",
    "Separate",
]
