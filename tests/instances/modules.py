"""Instances of torch modules, by name, each with an example of what it is applied to."""

import torch

from instances.equivariant import EQUIVARIANT
from instances.generative import GENERATIVE
from instances.shaking import shaken
from instances.spaces import GRAD, X, mask
from odl_learned import networks, operators, reconstruction, regularizers
from odl_learned.bridge import as_module
from odl_learned.networks.noise_levels import AtLevel

MASK = operators.mask_operator(X, mask((5, 7)))


def unrolled(step):
    """A learned proximal gradient for a mask, from one step module."""
    return reconstruction.LearnedProximalGradient(
        as_module(MASK), as_module(MASK.adjoint), [step, step])


def primal_dual(*duals):
    """A learned primal-dual method for a mask, with two memories on both sides."""
    return reconstruction.LearnedPrimalDual(
        as_module(MASK), as_module(MASK.adjoint), list(duals), [state_step(3, 2) for _ in duals],
        dual_memory=2, primal_memory=2, dimension=2)


def shrinkage(*steps):
    """Sparse coding of pixels behind a mask."""
    return reconstruction.LearnedShrinkage(
        as_module(MASK), as_module(MASK.adjoint), list(steps)).double()


def coupled():
    """A step of it."""
    return reconstruction.CoupledShrinkage(as_module(MASK.adjoint), 0.1, 0.5)


def state_step(in_channels, out_channels):
    """A step with random weights."""
    return reconstruction.StateStep(
        shaken(networks.CNN(in_channels, out_channels, 4, 2)), dimension=2)


def lines_sampling():
    """A pattern of three of seven lines."""
    return reconstruction.LearnedSampling(
        reconstruction.sampling_lines((5, 7), 1), 3, generator=torch.Generator()).double()


def weighed(weights):
    """Landweber's iteration with weighed rows."""
    return reconstruction.Landweber(reconstruction.WeighedRows(as_module(MASK), weights),
                                    reconstruction.WeighedRowsAdjoint(as_module(MASK), weights),
                                    0.5, 3)  # fmt: skip


def most_of_it(data):
    """Norms of a noise that is nine tenths of the data, much of which lies behind the mask."""
    return 0.9 * torch.linalg.vector_norm(data.flatten(1), dim=1)


def ridge(potential, subtracted=None, channels=(1, 4), dimension=2):
    """A small ridge with filters of width three."""
    filters = regularizers.ComposedFilters(channels, 3, networks.Reflecting(), dimension=dimension)
    return regularizers.Ridge(filters, potential, subtracted, sharpness=0.5).double()


def deep_variation():
    """Two macro blocks of two scales."""
    return regularizers.TotalDeepVariation(
        2, 2, 2, networks.Reflecting(), dimension=2,
        generator=torch.Generator().manual_seed(0)).double()


def net(in_channels, out_channels):
    """A small network in double precision."""
    torch.manual_seed(0)
    return networks.ResidualCNN(in_channels, out_channels, width=4, depth=3).double()


class Half(torch.nn.Module):
    """A contraction with one parameter."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, u):
        return self.factor * u


IMAGE = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

MODULES = {
    "CNN": lambda: (networks.CNN(2, 2, width=4, depth=2).double(), IMAGE.expand(2, 5, 7)),
    "ResidualCNN": lambda: (net(2, 2), IMAGE.expand(2, 5, 7)),
    "UNet": lambda: (shaken(networks.UNet(2, 2, (4, 4), dimension=2)), IMAGE.expand(2, 5, 7)),
    "Residual": lambda: (
        networks.Residual(shaken(networks.UNet(2, 2, (4,), dimension=2))), IMAGE.expand(2, 5, 7)),
    "DnCNN": lambda: (shaken(networks.DnCNN(2, 4, 3, dimension=2)), IMAGE.expand(2, 5, 7)),
    "NoiseLevelUNet": lambda: (
        AtLevel(shaken(networks.NoiseLevelUNet(2, (3, 4), 1, dimension=2)), 0.2),
        IMAGE.expand(2, 5, 7)),
    "PreconditionedDenoiser": lambda: (
        AtLevel(networks.PreconditionedDenoiser(
            shaken(networks.CNN(3, 2, 4, 2, dimension=2)), 0.1, 0.7).double(), 0.2),
        IMAGE.expand(2, 5, 7)),
    "NoiseLevelOnImages": lambda: (
        AtLevel(networks.NoiseLevelOnImages(
            shaken(networks.NoiseLevelUNet(1, (3, 4), 1, dimension=2)), dimension=2), 0.2), IMAGE),
    "RadialBasis": lambda: (
        networks.RadialBasis(2, 5, 2.0, slope=0.5).double(), IMAGE.expand(2, 5, 7)),
    "NormalizedConvolution": lambda: (
        networks.NormalizedConvolution(2, 3, 3, networks.Reflecting(), dimension=2).double(),
        IMAGE.expand(2, 5, 7)),
    "NormalizedConvolution, even": lambda: (
        networks.NormalizedConvolution(2, 1, 2, networks.Circular(), dimension=2).double(),
        IMAGE.expand(2, 5, 7)),
    "OrthogonalConvolution": lambda: (
        networks.OrthogonalConvolution(2, 3, 3, networks.Zero(), dimension=2).double(),
        IMAGE.expand(2, 5, 7)),
    "GroupSort": lambda: (networks.GroupSort(2), torch.stack([IMAGE, IMAGE.flip(0)])),
    "ConvexSpline": lambda: (
        shaken(networks.ConvexSpline(2, 4, 1.5)), IMAGE.expand(2, 5, 7)),
    "Averaged": lambda: (networks.Averaged(net(2, 2)), IMAGE.expand(2, 5, 7)),
    "InputConvex": lambda: (regularizers.InputConvex(
        2, 2, 3, networks.Reflecting(), dimension=2,
        generator=torch.Generator().manual_seed(0)).double(), IMAGE),
    "TotalDeepVariation": lambda: (deep_variation(), IMAGE),
    "Sum": lambda: (regularizers.Sum([deep_variation(), ridge(regularizers.LogCosh())]), IMAGE),
    "FlowStep": lambda: (
        unrolled(reconstruction.FlowStep(ridge(regularizers.LogCosh()), 0.5, 0.3)), IMAGE),
    "GradientStepDenoiser": lambda: (regularizers.GradientStepDenoiser(
        networks.OnImages(net(1, 1), dimension=2), dimension=2), IMAGE),
    "OnImages": lambda: (networks.OnImages(net(1, 1), dimension=2), IMAGE),
    "OnImages complex": lambda: (
        networks.OnImages(net(2, 2), dimension=2), torch.complex(IMAGE, IMAGE)),
    "GradientStep": lambda: (
        unrolled(reconstruction.GradientStep(networks.OnImages(net(1, 1), dimension=2), 0.5)),
        IMAGE),
    "Postprocessing": lambda: (
        reconstruction.Postprocessing(as_module(MASK.adjoint),
                                      networks.OnImages(net(1, 1), dimension=2)), IMAGE),
    "LearnedPrimalDual": lambda: (primal_dual(state_step(4, 2)), IMAGE),
    "StateStep": lambda: (primal_dual(state_step(4, 2), state_step(4, 2)), IMAGE),
    "DataResidual": lambda: (
        reconstruction.LearnedPrimalDual(
            as_module(MASK), as_module(MASK.adjoint), [reconstruction.DataResidual()],
            [state_step(3, 2)], dual_memory=1, primal_memory=2, dimension=2), IMAGE),
    "VariationalStep": lambda: (
        unrolled(shaken(reconstruction.VariationalStep(
            2, 3, networks.RadialBasis(2, 5, 2.0), 0.5, dimension=2))), IMAGE),
    "LearnedShrinkage": lambda: (shrinkage(coupled()), IMAGE),
    "CoupledShrinkage": lambda: (shrinkage(coupled(), coupled()), IMAGE),
    "FreeShrinkage": lambda: (
        shrinkage(reconstruction.FreeShrinkage(as_module(MASK.adjoint), as_module(MASK), 0.1)),
        IMAGE),
    "AUTOMAP": lambda: (shaken(reconstruction.AUTOMAP((5, 7), (3, 4), 2)), IMAGE),
    "RegularizedLeastSquares": lambda: (
        reconstruction.RegularizedLeastSquares(
            torch.nn.Identity(), torch.nn.Identity(),
            ridge(regularizers.LogCosh(), regularizers.LogCosh()), noise_level=0.5, norm=1.0,
            coercivity=1.0, dimension=2, accuracy=1e-13, maxiter=2000,
            derivative=reconstruction.ImplicitDerivative(1e-13)), IMAGE),
    "AdaptiveTGV": lambda: (
        reconstruction.AdaptiveTGV(
            reconstruction.PositiveMaps(
                shaken(networks.CNN(1, 2, 4, 3, dimension=2)).double(), [3.0, 1.0], dimension=2),
            accuracy=1e-8, maxiter=10000, smoothing=1e-6,
            derivative=reconstruction.ImplicitDerivative(1e-10, 5000)), IMAGE),
    "AdaptiveTV": lambda: (
        reconstruction.AdaptiveTV(
            reconstruction.PositiveMaps(net(1, 1), [0.1], dimension=2), accuracy=1e-14,
            maxiter=100000, smoothing=1e-6,
            derivative=reconstruction.ImplicitDerivative(1e-10, 2000)), IMAGE),
    "WarmStart": lambda: (reconstruction.WarmStart(torch.nn.Identity()), IMAGE),
    "DeepEquilibrium": lambda: (
        reconstruction.DeepEquilibrium(
            as_module(MASK), as_module(MASK.adjoint),
            reconstruction.GradientStep(Half(), 0.5), dimension=2, accuracy=1e-13), IMAGE),
    "Tikhonov": lambda: (
        reconstruction.Tikhonov(as_module(MASK), as_module(MASK.adjoint), 0.5, dimension=2,
                                accuracy=1e-13), IMAGE),
    "LeastSquares": lambda: (
        reconstruction.LeastSquares(as_module(GRAD), as_module(GRAD.adjoint), 3, dimension=2),
        torch.stack([IMAGE, IMAGE.flip(0)])),
    "Landweber": lambda: (
        reconstruction.Landweber(as_module(MASK), as_module(MASK.adjoint), 0.5, 3), IMAGE),
    "LearnedLandweber": lambda: (
        reconstruction.LearnedLandweber(
            as_module(MASK), as_module(MASK.adjoint), 0.5, most_of_it, dimension=2), IMAGE),
    "PositiveFilter": lambda: (shaken(reconstruction.PositiveFilter((5, 7))), IMAGE),
    "KeptRows": lambda: (weighed(reconstruction.KeptRows()), IMAGE),
    "WeighedRows": lambda: (
        reconstruction.WeighedRows(as_module(MASK), lines_sampling()), IMAGE),
    "WeighedRowsAdjoint": lambda: (
        reconstruction.WeighedRowsAdjoint(as_module(MASK.adjoint), lines_sampling()), IMAGE),
    "SampledReconstruction": lambda: (
        reconstruction.SampledReconstruction(lines_sampling(), weighed(lines_sampling())), IMAGE),
    "LearnedSampling": lambda: (weighed(lines_sampling()), IMAGE),
    "Checkpointed": lambda: (
        unrolled(reconstruction.Checkpointed(reconstruction.GradientStep(
            networks.OnImages(net(1, 1), dimension=2), 0.5))), IMAGE),
    "LearnedStepSize": lambda: (
        unrolled(reconstruction.GradientStep(
            torch.nn.Identity(), reconstruction.LearnedStepSize(0.5))).double(), IMAGE),
    "MemoryStep": lambda: (
        unrolled(reconstruction.MemoryStep(net(3, 2), memory_channels=1, step_size=0.5,
                                           dimension=2)), IMAGE),
} | EQUIVARIANT | GENERATIVE
