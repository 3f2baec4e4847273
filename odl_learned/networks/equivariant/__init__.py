"""Networks that commute with rotations and reflections, ``N(g x) = g N(x)``, by construction.

A group is a value: `Cyclic`, `Dihedral`, `CubeRotations`. Its elements are exact where they map the
grid of pixels to itself (quarter turns, flips, the rotations of the cube), and approximate, for
smooth images, elsewhere. The channels of a network are `Fields`, `trivial`, `regular` or
`quotient`, which say how the group acts on them.

`GroupConvolution` lifts images to fields, maps fields to fields and projects them; with
`GroupTransposedConvolution` it goes between scales. `FieldSum`, `FieldMax` and `FieldNorm` project
without weights. Pointwise functions of torch are equivariant as they are; `FieldPReLU`,
`NormNonlinearity` and `FieldNormalization` have parameters, one for each field.

The maps are `EquivariantCNN`, `EquivariantDnCNN` and `EquivariantUNet`, and `OnHalfCircle` for the
data of parallel beams; they have the interface of `networks.CNN`, so that everything that takes one
of these takes them. `exported` makes ordinary networks of them. `GroupAverage` makes any network
equivariant, at the price of one evaluation for each element, and `RandomElement` on average, at
that of one.
"""

from odl_learned.networks.equivariant.averaging import GroupAverage, RandomElement
from odl_learned.networks.equivariant.convolutions import (
    GroupConvolution,
    GroupTransposedConvolution,
)
from odl_learned.networks.equivariant.exporting import exported
from odl_learned.networks.equivariant.fields import Fields, quotient, regular, trivial
from odl_learned.networks.equivariant.groups import CubeRotations, Cyclic, Dihedral, Group
from odl_learned.networks.equivariant.maps import EquivariantCNN, EquivariantDnCNN
from odl_learned.networks.equivariant.pointwise import (
    FieldNormalization,
    FieldPReLU,
    NormNonlinearity,
)
from odl_learned.networks.equivariant.projections import FieldMax, FieldNorm, FieldSum
from odl_learned.networks.equivariant.sinograms import OnHalfCircle
from odl_learned.networks.equivariant.unet import EquivariantUNet

__all__ = [
    "CubeRotations",
    "Cyclic",
    "Dihedral",
    "EquivariantCNN",
    "EquivariantDnCNN",
    "EquivariantUNet",
    "FieldMax",
    "FieldNorm",
    "FieldNormalization",
    "FieldPReLU",
    "FieldSum",
    "Fields",
    "Group",
    "GroupAverage",
    "GroupConvolution",
    "GroupTransposedConvolution",
    "NormNonlinearity",
    "OnHalfCircle",
    "RandomElement",
    "exported",
    "quotient",
    "regular",
    "trivial",
]
