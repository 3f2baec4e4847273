"""Valid calls of reconstruction maps, of what they are made of, and of how far to trust them."""

import numpy as np
import torch
from instances.modules import ridge
from instances.spaces import X, plane
from torch import nn

from odl_learned import bridge, networks, reconstruction, regularizers
from wrong_inputs.calls_solvers import BOX, A
from wrong_inputs.calls_torch import T, image_net, net

STEP = {"memory_channels": 2, "step_size": 0.1, "dimension": 2}
OPERATOR = {"forward": bridge.as_module(A), "adjoint": bridge.as_module(A.adjoint)}
LINES = reconstruction.sampling_lines((5, 7), 1)
RIDGE = ridge(regularizers.LogCosh(), regularizers.LogCosh())


def norms(data):
    return 0.9 * torch.linalg.vector_norm(data.flatten(1), dim=1)


def generator():
    return torch.Generator().manual_seed(0)


def state(in_channels, out_channels):
    return reconstruction.StateStep(
        networks.CNN(in_channels, out_channels, 4, 2, dimension=2).double(), dimension=2)


def lines():
    return reconstruction.LearnedSampling(LINES, 3, generator=generator()).double()


def sampled():
    return reconstruction.Landweber(
        reconstruction.WeighedRows(OPERATOR["forward"], lines()), OPERATOR["adjoint"], 0.5, 2)


def maps(*start):
    return reconstruction.PositiveMaps(
        networks.CNN(1, len(start), 4, 2, dimension=2).double(), list(start), dimension=2)


MAPS = {
    "AdaptiveTGV": (reconstruction.AdaptiveTGV, lambda: dict(
        parameters_of=maps(0.1, 1.0), accuracy=1e-3, maxiter=50, smoothing=0.01,
        derivative=reconstruction.ImplicitDerivative(1e-2, 20))),
    "AdaptiveTV": (reconstruction.AdaptiveTV, lambda: dict(
        parameters_of=maps(0.1), accuracy=1e-3, maxiter=50, smoothing=0.01,
        derivative=reconstruction.ImplicitDerivative(1e-2, 20))),
    "AUTOMAP": (reconstruction.AUTOMAP, lambda: dict(
        data_shape=(5, 7), image_shape=(3, 4), width=2, data_parts=1, image_parts=1, largest=10**6,
        generator=generator())),
    "DeepEquilibrium": (reconstruction.DeepEquilibrium, lambda: dict(
        **OPERATOR, step=reconstruction.GradientStep(nn.Identity(), 0.5), dimension=2,
        initial=OPERATOR["adjoint"], accuracy=1e-3, backward_accuracy=1e-3, maxiter=20, memory=3,
        contraction=0.5)),
    "Landweber": (reconstruction.Landweber, lambda: dict(
        **OPERATOR, step_size=0.5, iterations=2, initial=OPERATOR["adjoint"],
        normal=bridge.as_module(A.adjoint @ A))),
    "LearnedLandweber": (reconstruction.LearnedLandweber, lambda: dict(
        **OPERATOR, step_size=0.5, noise_norm=norms, dimension=2, direction=OPERATOR["adjoint"],
        tau=1.1, maxiter=20, initial=OPERATOR["adjoint"])),
    "LearnedPrimalDual": (reconstruction.LearnedPrimalDual, lambda: dict(
        **OPERATOR, dual_steps=[state(4, 2)], primal_steps=[state(3, 2)], dual_memory=2,
        primal_memory=2, dimension=2, initial=OPERATOR["adjoint"])),
    "LearnedProximalGradient": (reconstruction.LearnedProximalGradient, lambda: dict(
        **OPERATOR, steps=[reconstruction.MemoryStep(net(), **STEP)])),
    "LearnedShrinkage": (reconstruction.LearnedShrinkage, lambda: dict(
        forward=OPERATOR["forward"], synthesis=OPERATOR["adjoint"],
        steps=[reconstruction.CoupledShrinkage(OPERATOR["adjoint"], 0.1, 0.5)])),
    "LeastSquares": (reconstruction.LeastSquares, lambda: dict(
        **OPERATOR, iterations=2, dimension=2, normal=bridge.as_module(A.adjoint @ A))),
    "Postprocessing": (reconstruction.Postprocessing, lambda: dict(
        initial=OPERATOR["adjoint"], net=image_net())),
    "FlowStep": (reconstruction.FlowStep, lambda: dict(
        regularizer=RIDGE, noise_level=0.5, step_size=0.1)),
    "WarmStart": (reconstruction.WarmStart, lambda: dict(initial=nn.Identity(), capacity=8)),
    "RegularizedLeastSquares": (reconstruction.RegularizedLeastSquares, lambda: dict(
        **OPERATOR, regularizer=RIDGE, noise_level=0.5, norm=1.0, dimension=2, coercivity=0.0,
        alpha=1.0, accuracy=1e-3, maxiter=50, derivative=reconstruction.LastSteps(1),
        initial=OPERATOR["adjoint"])),
    "SampledReconstruction": (reconstruction.SampledReconstruction, lambda: dict(
        sampling=lines(), model=sampled())),
    "Tikhonov": (reconstruction.Tikhonov, lambda: dict(
        **OPERATOR, alpha=0.1, dimension=2, accuracy=1e-5, maxiter=50,
        normal=bridge.as_module(A.adjoint @ A))),
    "tv_map": (reconstruction.tv_map, lambda: dict(
        forward_op=A, alpha=0.1, constraint=BOX, accuracy=1e-2, maxiter=50)),
}

PARTS = {
    "Checkpointed": (reconstruction.Checkpointed, lambda: dict(
        step=reconstruction.GradientStep(nn.Identity(), 0.1))),
    "CoupledShrinkage": (reconstruction.CoupledShrinkage, lambda: dict(
        back=OPERATOR["adjoint"], threshold=0.1, step_size=0.5)),
    "FreeShrinkage": (reconstruction.FreeShrinkage, lambda: dict(
        encode=OPERATOR["adjoint"], mix=OPERATOR["forward"], threshold=torch.full((5, 7), 0.1))),
    "GradientStep": (reconstruction.GradientStep, lambda: dict(
        proximal=nn.Identity(), step_size=0.1)),
    "ImplicitDerivative": (reconstruction.ImplicitDerivative, lambda: dict(
        accuracy=1e-4, maxiter=20)),
    "KeptRows": (reconstruction.KeptRows().restricted, lambda: dict(
        model=sampled(), data=T, kept=torch.ones(5, 7))),
    "LastSteps": (reconstruction.LastSteps, lambda: dict(steps=2)),
    "LearnedSampling": (reconstruction.LearnedSampling, lambda: dict(
        members=LINES, kept=3, slope=5.0, fixed=np.arange(7) == 3, generator=generator())),
    "LearnedStepSize": (reconstruction.LearnedStepSize, lambda: dict(initial=0.1)),
    "MemoryStep": (reconstruction.MemoryStep, lambda: dict(net=net(), **STEP)),
    "PositiveMaps": (reconstruction.PositiveMaps, lambda: dict(
        net=networks.CNN(1, 1, 4, 2, dimension=2), start=[0.1], dimension=2, factor=30.0)),
    "PositiveFilter": (reconstruction.PositiveFilter, lambda: dict(shape=(5, 7))),
    "StateStep": (reconstruction.StateStep, lambda: dict(net=net(), dimension=2, components=2)),
    "VariationalStep": (reconstruction.VariationalStep, lambda: dict(
        filters=2, size=3, activations=networks.RadialBasis(2, 5, 2.0), step_size=0.5, dimension=2,
        parts=1, generator=generator())),
    "WeighedRows": (reconstruction.WeighedRows, lambda: dict(
        forward=OPERATOR["forward"], weights=lines())),
    "WeighedRowsAdjoint": (reconstruction.WeighedRowsAdjoint, lambda: dict(
        adjoint=OPERATOR["adjoint"], weights=lines())),
    "sampling_lines": (reconstruction.sampling_lines, lambda: dict(shape=(5, 7), axis=1)),
    "sampling_points": (reconstruction.sampling_points, lambda: dict(shape=(5, 7))),
}

TRUST = {
    "conformal_bands": (reconstruction.conformal_bands, lambda: dict(
        map=image_net(), forward_op=A, truths=T, data=T, groups=[0, 1], coverage=0.6,
        risk=reconstruction.missed_images(0.9), width=reconstruction.edge_width(X, 0.1))),
    "edge_width": (reconstruction.edge_width, lambda: dict(space=X, floor=0.1)),
    "local_lipschitz": (reconstruction.local_lipschitz, lambda: dict(
        map=image_net(), forward_op=A, data=T, generator=generator(), steps=2)),
    "missed_images": (reconstruction.missed_images, lambda: dict(pixels=0.9)),
    "missed_pixels": (reconstruction.missed_pixels, lambda: dict(scores=T)),
    "network_width": (reconstruction.network_width, lambda: dict(net=image_net(), floor=0.1)),
    "sample_deviation": (reconstruction.sample_deviation, lambda: dict(
        sample=image_net(), count=2, floor=0.1)),
    "small_disc": (reconstruction.small_disc, lambda: dict(
        space=X, center=(0.5, 1.0), radius=0.5, contrast=0.1)),
    "small_letter": (reconstruction.small_letter, lambda: dict(
        space=plane((16, 32)), center=(0.5, 1.0), height=0.9, contrast=0.1)),
    "stability_report": (reconstruction.stability_report, lambda: dict(
        maps={"network": image_net()}, forward_op=A, truths=T, data=T, epsilon=0.1,
        generator=generator(), structures={"box": X.one()}, steps=2, starts=1)),
    "worst_perturbation": (reconstruction.worst_perturbation, lambda: dict(
        map=image_net(), forward_op=A, data=T, epsilon=0.1, generator=generator(), steps=2,
        starts=1, candidates=[torch.ones_like(T)])),
}

WHOLE = {
    "adaptive variation": MAPS["AdaptiveTV"],
    "adaptive generalized variation": MAPS["AdaptiveTGV"],
    "an equilibrium": MAPS["DeepEquilibrium"],
    "an iteration that stops": MAPS["LearnedLandweber"],
    "learned steps": MAPS["LearnedProximalGradient"],
    "a primal-dual method": MAPS["LearnedPrimalDual"],
    "a minimizer": MAPS["RegularizedLeastSquares"],
    "sparse coding": MAPS["LearnedShrinkage"],
    "a dense network": MAPS["AUTOMAP"],
    "a sampled reconstruction": MAPS["SampledReconstruction"],
    "total variation": MAPS["tv_map"],
}

APPLIED = {f"{name}, applied": (make(**arguments()).double(), lambda: dict(data=T))
           for name, (make, arguments) in WHOLE.items()}
RECONSTRUCTION = {
    f"reconstruction.{name}": call for name, call in (MAPS | PARTS | TRUST | APPLIED).items()}
