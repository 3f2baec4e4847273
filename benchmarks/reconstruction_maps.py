"""The maps of ``reconstruction.py``, each at a size for minutes of training on one core.

They begin at ``A^+ y`` (filtered backprojection, zero filling) and step along ``A^+ (A u - y)``:
this decides short training. The deep equilibrium steps along ``A^* (A u - y)``, ``|A| = 1``, which
is averaged, as its ridge is, so that there is a limit. Convolutions are trained in bfloat16, which
doubles the number of steps in a given time.
"""

import torch
from reconstruction_training import LowPrecision
from torch import nn

from odl_learned import bridge, networks, regularizers
from odl_learned.reconstruction import (
    AUTOMAP,
    CoupledShrinkage,
    DataResidual,
    DeepEquilibrium,
    FreeShrinkage,
    GradientStep,
    LearnedPrimalDual,
    LearnedProximalGradient,
    LearnedShrinkage,
    LearnedStepSize,
    MemoryStep,
    Postprocessing,
    StateStep,
    VariationalStep,
)

MEMORY, WIDTH, DEPTH = 4, 16, 3
#: The noise level at which the ridge of the deep equilibrium is learned, in units of the images.
RIDGE_NOISE = 0.05


class Parts:
    """The modules of a problem, and the number of real numbers of a pixel."""

    def __init__(self, problem):
        self.problem = problem
        self.forward = bridge.as_module(problem.forward_op)
        self.inverse = bridge.as_module(problem.inverse_op)
        self.adjoint = bridge.as_module(problem.forward_op.adjoint)
        self.channels = 2 if problem.forward_op.domain.is_complex else 1
        self.generator = torch.Generator().manual_seed(0)

    def cnn(self, before, after, width=WIDTH, depth=DEPTH):
        return LowPrecision(networks.CNN(before, after, width, depth, generator=self.generator))

    def unet(self, before, after, widths):
        return LowPrecision(networks.UNet(before, after, widths, dimension=2,
                                          generator=self.generator))

    def unrolled(self, steps):
        return LearnedProximalGradient(self.forward, self.inverse, steps, initial=self.inverse)


def learned_gradient(parts):
    """Eight gradient steps with a memory, in the place of a regularizer's."""
    c = parts.channels
    return parts.unrolled([MemoryStep(parts.cnn(2 * c + MEMORY, c + MEMORY), MEMORY, 1.0,
                                      dimension=2) for _ in range(8)])


def learned_proximal_gradient(parts):
    """Five gradient steps with a memory and U-Nets on two scales."""
    c = parts.channels
    return parts.unrolled([MemoryStep(parts.unet(2 * c + MEMORY, c + MEMORY, (16, 32)), MEMORY, 1.0,
                                      dimension=2) for _ in range(5)])


def primal_dual(parts):
    """Five primal-dual steps with four memories on both sides."""
    m, c = MEMORY, parts.channels
    dual, primal = ([StateStep(parts.cnn(c * (m + n), c * m), dimension=2) for _ in range(5)]
                    for n in (2, 1))  # fmt: skip
    return LearnedPrimalDual(parts.forward, parts.inverse, dual, primal, dual_memory=m,
                             primal_memory=m, dimension=2, initial=parts.inverse)


def learned_primal(parts):
    """Eight primal steps with four memories; the dual ones have no network."""
    m, c = MEMORY, parts.channels
    primal = [StateStep(parts.cnn(c * (m + 1), c * m), dimension=2) for _ in range(8)]
    return LearnedPrimalDual(parts.forward, parts.inverse, [DataResidual()] * 8, primal,
                             dual_memory=1, primal_memory=m, dimension=2, initial=parts.inverse)


def unet(parts):
    """A U-Net on three scales behind the analytical method."""
    net = LowPrecision(networks.Residual(networks.UNet(
        parts.channels, parts.channels, (16, 32, 64), dimension=2, generator=parts.generator)))
    return Postprocessing(parts.inverse, networks.OnImages(net, dimension=2))


def variational_network(parts):
    """Eight steps with 16 filters of 7 x 7 and 31 radial basis functions."""
    def step():
        activations = networks.RadialBasis(16, 31, 1.5, slope=0.01)
        return VariationalStep(16, 7, activations, LearnedStepSize(0.8), dimension=2,
                               parts=parts.channels, generator=parts.generator)

    return parts.unrolled([step() for _ in range(8)])


def lista(parts):
    """Eight coupled steps of convolutional sparse coding, 32 atoms of 7 x 7."""
    atoms = first_atoms(parts)

    def step():
        back = nn.Sequential(parts.inverse, Analysis(atoms))
        return CoupledShrinkage(back, torch.full((32, 1, 1), 2.5e-3), LearnedStepSize(1.0))

    return LearnedShrinkage(parts.forward, Synthesis(atoms, parts.channels == 2),
                            [step() for _ in range(8)])


def free_lista(parts):
    """The same without the operator in the steps: two convolutions mix the coefficients."""
    atoms = first_atoms(parts)
    complex_images = parts.channels == 2

    def step():
        encode = nn.Sequential(parts.inverse, Analysis(atoms))
        mix = Mix(Synthesis(atoms, complex_images), Analysis(atoms))
        return FreeShrinkage(encode, mix, torch.full((32, 1, 1), 2.5e-3))

    return LearnedShrinkage(parts.forward, Synthesis(atoms, complex_images),
                            [step() for _ in range(8)])


def first_atoms(parts):
    size = (32, parts.channels, 7, 7)
    return torch.randn(size, generator=parts.generator) / (7 * 32**0.5)


class Mix(nn.Module):
    """``z -> z - e * (d * z)``, with atoms of its own."""

    def __init__(self, synthesis, analysis):
        super().__init__()
        self.synthesis, self.analysis = synthesis, analysis

    def forward(self, z):
        return z - self.analysis(self.synthesis(z))


class Synthesis(nn.Module):
    """Images ``sum_k d_k * z_k`` of coefficients ``(*batch, K, *shape)``."""

    def __init__(self, atoms, complex_images):
        super().__init__()
        self.atoms, self.complex_images = nn.Parameter(atoms.clone()), complex_images

    def forward(self, z):
        flat = z.reshape(-1, *z.shape[-3:])
        u = nn.functional.conv_transpose2d(flat, self.atoms, padding=3)
        u = torch.complex(u[:, 0], u[:, 1]) if self.complex_images else u[:, 0]
        return u.reshape(*z.shape[:-3], *u.shape[1:])


class Analysis(nn.Module):
    """The coefficients ``e_k`` correlated with an image."""

    def __init__(self, atoms):
        super().__init__()
        self.atoms = nn.Parameter(atoms.clone())

    def forward(self, u):
        z = nn.functional.conv2d(networks.to_channels(u, 2), self.atoms, padding=3)
        return z.reshape(*u.shape[:-2], *z.shape[1:])


class RidgeDenoiser(nn.Module):
    """``u -> u - grad R(u) / max(L, 1)`` of a convex ridge R: firmly nonexpansive by construction.

    So its fixed points with a gradient step in between are reached, whatever the weights; a free
    network becomes expansive in training, and then there is none.
    """

    def __init__(self):
        super().__init__()
        filters = regularizers.ComposedFilters((1, 4, 8, 24), 5, networks.Reflecting(), dimension=2)
        self.ridge = regularizers.Ridge(filters, regularizers.Huber(), sharpness=0.0, strength=1.0)

    def forward(self, u):
        slope = self.ridge.at(RIDGE_NOISE).gradient(u)
        return u - slope / max(self.ridge.constants()[0], 1.0)


def equilibrium_step(parts):
    """A gradient step and a proximal-like step of a learned ridge, the same in all iterations."""
    return GradientStep(RidgeDenoiser(), 1.0)


def unrolled_equilibrium(parts, step):
    """Six of these steps, on which the weights are trained before the limit is."""
    return LearnedProximalGradient(parts.forward, parts.adjoint, [step] * 6, initial=parts.inverse)


def deep_equilibrium(parts, step):
    """The limit of these steps."""
    return DeepEquilibrium(parts.forward, parts.adjoint, step, dimension=2, initial=parts.inverse,
                           accuracy=1e-3, backward_accuracy=1e-2, maxiter=50)


def automap(parts):
    """Dense layers from the data to the image."""
    op, c = parts.problem.forward_op, parts.channels
    return AUTOMAP(op.range.shape, op.domain.shape, 16, data_parts=c, image_parts=c,
                   generator=parts.generator)


#: Maps, with batch size and learning rate. Deep equilibria are trained in two stages.
MAPS = {
    "learned_gradient": (learned_gradient, 2, 2e-3),
    "learned_primal": (learned_primal, 2, 2e-3),
    "primal_dual": (primal_dual, 2, 2e-3),
    "learned_proximal_gradient": (learned_proximal_gradient, 2, 2e-3),
    "unet": (unet, 4, 2e-3),
    "variational_network": (variational_network, 2, 2e-3),
    "lista": (lista, 2, 2e-3),
    "free_lista": (free_lista, 2, 2e-3),
    "deep_equilibrium": (deep_equilibrium, 2, 2e-2),
    "automap": (automap, 16, 2e-4),
}
