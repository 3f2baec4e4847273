"""Instances of equivariant layers and networks, each with an example of one sample."""

import torch

from instances.shaking import shaken
from odl_learned import networks
from odl_learned.networks import equivariant as eq

Z4 = eq.Cyclic(4)
REGULAR = eq.regular(Z4, 2)
GENERATOR = torch.Generator().manual_seed(0)
IMAGE = torch.randn(2, 6, 6, dtype=torch.float64, generator=GENERATOR)
FIELDS = torch.randn(8, 6, 6, dtype=torch.float64, generator=GENERATOR)

EQUIVARIANT = {
    "GroupConvolution": lambda: (
        shaken(eq.GroupConvolution(REGULAR, eq.quotient(Z4, (2,), 2), 3)), FIELDS),
    "GroupConvolution, harmonics": lambda: (
        shaken(eq.GroupConvolution(eq.trivial(eq.Cyclic(8), 2), eq.regular(eq.Cyclic(8), 1), 5)),
        IMAGE),
    "GroupTransposedConvolution": lambda: (
        shaken(eq.GroupTransposedConvolution(REGULAR, REGULAR, 2, stride=2)), FIELDS),
    "FieldPReLU": lambda: (shaken(eq.FieldPReLU(REGULAR)), FIELDS),
    "NormNonlinearity": lambda: (shaken(eq.NormNonlinearity(REGULAR)), FIELDS),
    "FieldNormalization": lambda: (shaken(eq.FieldNormalization(REGULAR)), FIELDS),
    "FieldSum": lambda: (eq.FieldSum(REGULAR), FIELDS),
    "FieldMax": lambda: (eq.FieldMax(REGULAR), FIELDS),
    "FieldNorm": lambda: (eq.FieldNorm(REGULAR), FIELDS),
    "EquivariantCNN": lambda: (shaken(eq.EquivariantCNN(eq.Dihedral(4), 2, 1, 1, 3)), IMAGE),
    "EquivariantCNN, cube": lambda: (
        shaken(eq.EquivariantCNN(eq.CubeRotations(), 1, 1, 1, 2)), IMAGE[:1, :4, :4].expand(
            4, 4, 4)[None]),
    "EquivariantDnCNN": lambda: (shaken(eq.EquivariantDnCNN(Z4, 2, 1, 3)), IMAGE),
    "EquivariantUNet": lambda: (shaken(eq.EquivariantUNet(Z4, 2, 1, (1, 2))), IMAGE),
    "GroupAverage": lambda: (
        eq.GroupAverage(shaken(networks.CNN(2, 1, 2, 2, dimension=2)), eq.Dihedral(4)), IMAGE),
    # of a network of which all directions see the same, so that chance changes no bit
    "RandomElement": lambda: (
        eq.RandomElement(shaken(eq.FieldPReLU(eq.trivial(Z4, 2))), Z4), IMAGE),
    "OnHalfCircle": lambda: (
        eq.OnHalfCircle(shaken(eq.EquivariantCNN(eq.Dihedral(1), 2, 1, 2, 2)), 2), IMAGE),
}
