"""Every kind of reconstruction map at tiny size, behind a ray transform and a Fourier transform."""

import numpy as np
import odl
import torch

from odl_learned import bridge, networks, operators
from odl_learned import reconstruction as R

X = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="float32")
XC = odl.uniform_discr([-1, -1], [1, 1], (8, 8), dtype="complex64")
CT = operators.normalized(operators.parallel_ray_transform(X, num_angles=6))
MRI = operators.SampledFourier(XC, np.random.default_rng(0).random((8, 8)) < 0.6)
FORWARD, INVERSE = bridge.as_module(CT), bridge.as_module(operators.fbp(CT))
ADJOINT = bridge.as_module(CT.adjoint)


def gradient(seed, wrap=lambda step: step):
    steps = [wrap(R.MemoryStep(networks.CNN(4, 3, 4, 2, generator=seed), 2, 1.0, dimension=2))
             for _ in range(2)]  # fmt: skip
    return R.LearnedProximalGradient(FORWARD, INVERSE, steps, initial=INVERSE)


def primal_dual(seed):
    dual, primal = ([R.StateStep(networks.CNN(2 + n, 2, 4, 2, generator=seed), dimension=2)
                     for _ in range(2)] for n in (2, 1))  # fmt: skip
    return R.LearnedPrimalDual(FORWARD, ADJOINT, dual, primal, dual_memory=2, primal_memory=2,
                               dimension=2, initial=INVERSE)  # fmt: skip


def variational(seed):
    step = R.VariationalStep(2, 3, networks.RadialBasis(2, 5, 1.5, slope=0.01),
                             R.LearnedStepSize(0.5), dimension=2, generator=seed)  # fmt: skip
    return R.LearnedProximalGradient(FORWARD, ADJOINT, [step, step], initial=INVERSE)


def shrinkage(seed):
    wavelet = operators.OrthogonalWavelet(X, "db2", 2)
    synthesis, analysis = bridge.as_module(wavelet.adjoint), bridge.as_module(wavelet)
    back = torch.nn.Sequential(ADJOINT, analysis)
    return R.LearnedShrinkage(FORWARD, synthesis, [
        R.CoupledShrinkage(back, 0.01, R.LearnedStepSize(1.0)) for _ in range(2)])


def equilibrium(seed):
    net = networks.ResidualCNN(1, 1, 4, 2, generator=seed)
    step = R.GradientStep(networks.OnImages(net, dimension=2), R.LearnedStepSize(0.5))
    return R.DeepEquilibrium(FORWARD, ADJOINT, step, dimension=2, initial=INVERSE, maxiter=15,
                             accuracy=1e-2, backward_accuracy=1e-2)  # fmt: skip


def unet(seed):
    net = networks.Residual(networks.UNet(1, 1, (4, 4), dimension=2, generator=seed))
    return R.Postprocessing(INVERSE, networks.OnImages(net, dimension=2))


def automap(seed):
    return R.AUTOMAP(CT.range.shape, X.shape, 4, generator=seed)


def complex_gradient(seed):
    adjoint = bridge.as_module(MRI.adjoint)
    steps = [R.MemoryStep(networks.CNN(6, 4, 4, 2, generator=seed), 2, 1.0, dimension=2)]
    return R.LearnedProximalGradient(bridge.as_module(MRI), adjoint, steps, initial=adjoint)


MAPS = {
    "LearnedProximalGradient": gradient,
    "Checkpointed": lambda seed: gradient(seed, R.Checkpointed),
    "LearnedPrimalDual": primal_dual,
    "VariationalStep": variational,
    "LearnedShrinkage": shrinkage,
    "DeepEquilibrium": equilibrium,
    "Postprocessing": unet,
    "AUTOMAP": automap,
    "complex": complex_gradient,
}


def problem(name):
    """The map, and six pairs for it."""
    rng, op = np.random.default_rng(0), MRI if name == "complex" else CT
    images = rng.random((6, 8, 8)) + (1j * rng.random((6, 8, 8)) if name == "complex" else 0)
    truths = [op.domain.element(image.astype(op.domain.dtype)) for image in images]
    pairs = [(op(u).asarray(), u.asarray()) for u in truths]
    return MAPS[name](torch.Generator().manual_seed(0)), pairs
