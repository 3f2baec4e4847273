"""Unrolled maps with equivariant networks: they turn with their data."""

import odl
import torch
from equivariant_checks import noise, relative
from instances.shaking import shaken

from odl_learned import bridge, networks, operators, reconstruction
from odl_learned.learning.files.model_recipes import build_model, describe_model
from odl_learned.networks import equivariant as eq

Z4 = eq.Cyclic(4)


def lowered(A):
    return bridge.as_module(A), bridge.as_module(A.adjoint)


def models(A):
    """Every unrolled map of the reconstruction room, with equivariant networks."""
    step = reconstruction.MemoryStep(eq.EquivariantCNN(Z4, 4, 3, 1, 3), 2, 0.5, dimension=2)
    proximal = networks.OnImages(eq.EquivariantDnCNN(Z4, 1, 1, 3), dimension=2)
    gradient = reconstruction.GradientStep(proximal, 0.5)
    primal = reconstruction.StateStep(eq.EquivariantCNN(Z4, 3, 2, 1, 2), dimension=2)
    dual = eq.OnHalfCircle(eq.EquivariantCNN(eq.Dihedral(1), 4, 2, 1, 2), 2)
    dual = reconstruction.StateStep(dual, dimension=2)
    forward, adjoint = lowered(A)
    return {
        "memory": reconstruction.LearnedProximalGradient(forward, adjoint, [step] * 2),
        "gradient": reconstruction.LearnedProximalGradient(forward, adjoint, [gradient] * 2),
        "checkpointed": reconstruction.LearnedProximalGradient(
            forward, adjoint, [reconstruction.Checkpointed(gradient)]),
        "post": reconstruction.Postprocessing(adjoint, proximal),
        "primal-dual": reconstruction.LearnedPrimalDual(
            forward, adjoint, [dual] * 2, [primal] * 2, dual_memory=2, primal_memory=2,
            dimension=2),
        "equilibrium": reconstruction.DeepEquilibrium(
            forward, adjoint, reconstruction.GradientStep(networks.OnImages(
                eq.EquivariantCNN(Z4, 1, 1, 1, 2), dimension=2), 0.5), dimension=2,
            accuracy=1e-5),
    }


def shaken_slightly(model):
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=source))
    return model.eval()


def test_all_unrolled_maps_take_equivariant_networks():
    X = odl.uniform_discr([-1, -1], [1, 1], (16, 16), dtype="float32")
    A = operators.parallel_ray_transform(X, 10)
    A = float(1 / operators.operator_norm(A)) * A
    forward = bridge.as_module(A)
    u = noise(1, 16, 16, dtype=torch.float32)
    for name, model in models(A).items():
        model = shaken_slightly(model)
        with torch.no_grad():
            for k in range(1, 4):
                got, expected = model(forward(Z4.act(k, u))), Z4.act(k, model(forward(u)))
                assert relative(got, expected) < 1e-4, name
        built = build_model(describe_model(model, A), A, model.state_dict())
        with torch.no_grad():
            assert torch.equal(built(forward(u)), model(forward(u))), name


def learned_gradient(A, inverse):
    """The learned proximal gradient of Celledoni et al. in small, all parameters at random."""
    seed = torch.Generator().manual_seed(0)
    steps = [reconstruction.MemoryStep(
        eq.EquivariantCNN(Z4, 4, 3, 3, 3, generator=seed), 2, 1.0, dimension=2) for _ in range(3)]
    for step in steps:
        with torch.no_grad():
            step.net.layers[-1].he_uniform(seed).weight.mul_(0.3)
    return reconstruction.LearnedProximalGradient(*lowered(A), steps, bridge.as_module(inverse))


def test_learned_proximal_gradient_commutes_before_and_after_training():
    """Through ASTRA's matrix up to 1e-4, through the symmetrized one up to 1e-6."""
    X = odl.uniform_discr([-1, -1], [1, 1], (32, 32), dtype="float32")
    ray = operators.parallel_ray_transform(X, 16)
    scale = float(1 / operators.operator_norm(ray))
    u = noise(4, 32, 32, dtype=torch.float32)
    for A, mark in ((scale * ray, 1e-4),
                    (scale * operators.SymmetrizedRayTransform(ray), 1e-6)):  # fmt: skip
        model = learned_gradient(A, operators.fbp(A))
        forward = bridge.as_module(A)
        y = forward(u)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        losses = []
        for step in range(4):
            with torch.no_grad():
                got, expected = model(forward(Z4.act(1, u))), Z4.act(1, model(y))
            assert relative(got, expected) < mark
            optimizer.zero_grad()
            losses.append((model(y) - u).square().mean())
            losses[-1].backward()
            optimizer.step()
        assert losses[-1] < losses[0]
    # the mean of the matrices is symmetric to the last bit, the filter in single precision only
    model, forward = learned_gradient(A, A.adjoint).double(), bridge.as_module(A).double()
    v = u.double()
    assert relative(model(forward(Z4.act(1, v))), Z4.act(1, model(forward(v)))) < 1e-12
    model.steps[1].net = shaken(networks.CNN(4, 3, 4, 2, dimension=2))
    assert relative(model(forward(Z4.act(1, v))), Z4.act(1, model(forward(v)))) > 1e-3
