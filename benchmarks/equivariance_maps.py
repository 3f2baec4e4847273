"""Layers and maps that `equivariance.py` measures, with random weights everywhere."""

import itertools

import numpy as np
import odl
import peers
import torch

from odl_learned import bridge, conformance, networks, operators, reconstruction
from odl_learned.networks import equivariant as eq

#: The name of deepinv's denoiser among those of `denoiser_errors`.
DEEPINV = "in deepinv's EquivariantDenoiser, as it comes"


def awake(module, generator):
    """The module with random weights also where they begin at zero."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, eq.GroupConvolution) and not layer.weight.any():
                layer.he_uniform(generator).weight.mul_(0.3)
    return module


def commutation_error(module, source, target, x):
    """The largest relative error of ``module(g x) = g module(x)`` over the group."""
    with torch.no_grad():
        value = module(x)
        return max(float((module(source.act(g, x)) - target.act(g, value)).norm() / value.norm())
                   for g in range(source.group.order))


def layer_errors(group):
    """Yield names and errors of layers and networks in single precision."""
    generator = torch.Generator().manual_seed(0)
    n = 9 if group.dimension == 2 else 5
    kinds = {"images": eq.trivial(group, 2), "regular fields": eq.regular(group, 2)}

    def noise(fields, n):
        return torch.randn(2, fields.channels, *[n] * group.dimension, generator=generator)

    for (into, source), (out, target) in itertools.product(kinds.items(), repeat=2):
        for text, length, options in (("", n, {"size": 3}),
                                      (", stride 2", n, {"size": 3, "stride": 2}),
                                      (", dilation 2", n, {"size": 3, "dilation": 2})):
            layer = eq.GroupConvolution(source, target, generator=generator, **options)
            yield (f"convolution, {into} to {out}{text}",
                   commutation_error(layer, source, target, noise(source, length)))
        layer = eq.GroupTransposedConvolution(source, target, 2, stride=2, generator=generator)
        yield (f"transposed, {into} to {out}",
               commutation_error(layer, source, target, noise(source, 4)))
    fields = kinds["regular fields"]
    for layer in (eq.FieldPReLU(fields), eq.NormNonlinearity(fields),
                  eq.FieldNormalization(fields)):
        yield (type(layer).__name__, commutation_error(layer, fields, fields, noise(fields, n)))
    for layer in (eq.FieldSum(fields), eq.FieldMax(fields), eq.FieldNorm(fields)):
        yield (type(layer).__name__,
               commutation_error(layer, fields, layer.target, noise(fields, n)))
    images = eq.trivial(group, 1)
    for net in (eq.EquivariantCNN(group, 1, 1, 2, 3, generator=generator),
                eq.EquivariantDnCNN(group, 1, 2, 3, generator=generator),
                eq.EquivariantUNet(group, 1, 1, (1, 2), generator=generator)):
        yield (type(net).__name__, commutation_error(awake(net, generator), images, images,
                                                     noise(images, 8)))


def smooth_error(group, angle, n, seed):
    """Relative error of a network with random weights on a smooth image, within a disk."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n))
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    x, y = space.meshgrid
    value = np.zeros(space.shape)
    for _ in range(6):
        radius, phi = 0.45 * np.sqrt(rng.random()), 2 * np.pi * rng.random()
        squares = (x - radius * np.cos(phi)) ** 2 + (y - radius * np.sin(phi)) ** 2
        width = 5.12 / n  # 2.56 pixels
        value += rng.standard_normal() * np.exp(-squares / (2 * width**2))
    net = awake(eq.EquivariantCNN(group, 1, 1, 4, 3, size=5, generator=generator), generator)
    N = bridge.as_operator(networks.OnImages(net.double(), dimension=2), space, space)
    turn, u = operators.Rotation(space, angle), space.element(value)
    inside = space.element((x**2 + y**2 < 0.75**2).astype(float))
    expected = turn(N(u)) * inside
    return float((N(turn(u)) * inside - expected).norm() / expected.norm())


def denoiser_errors(n):
    """Yield names and `conformance.EquivarianceErrors` of denoisers with random weights.

    On four images of white noise, under turns and flips. What deepinv's class averages over is
    drawn anew in each evaluation: as it comes one element of the group, with ``random=False``
    quarter turns and two sets of mirrors.
    """
    generator, group = torch.Generator().manual_seed(0), eq.Dihedral(4)
    net = networks.DnCNN(1, 32, 5, dimension=2, generator=generator)
    cases = {"ordinary": net, "in GroupAverage": eq.GroupAverage(net, group),
             "EquivariantDnCNN": eq.EquivariantDnCNN(group, 1, 4, 5, generator=generator)}
    deepinv = peers.deepinv()
    if deepinv is not None:
        wrapped = deepinv.models.EquivariantDenoiser
        cases |= {DEEPINV: wrapped(net), "the same, random=False": wrapped(net, random=False)}
    x = torch.randn(4, 1, n, n, generator=generator)
    for name, module in cases.items():
        yield name, conformance.equivariance_error(module.eval(), group, x)


def unrolled_errors(name, n, symmetrized, steps):
    """Relative errors of a map through the ray transform on white noise.

    Before and after training steps, the rounding of its values in single precision beside them, and
    the error in double precision.
    """
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.parallel_ray_transform(space, 30)
    A = operators.SymmetrizedRayTransform(A) if symmetrized else A
    A = float(1 / operators.operator_norm(A)) * A
    forward, adjoint = bridge.as_module(A), bridge.as_module(A.adjoint)
    generator = torch.Generator().manual_seed(0)
    Z4, mirror = eq.Cyclic(4), eq.Dihedral(1)

    def cnn(group, into, out, fields):
        return awake(eq.EquivariantCNN(group, into, out, fields, 3, generator=generator),
                     generator)  # fmt: skip

    if name == "learned proximal gradient":  # five memory channels, as in the paper
        steps_of_map = [reconstruction.MemoryStep(cnn(Z4, 7, 6, 8), 5, 1.0, dimension=2)
                        for _ in range(4)]  # fmt: skip
        model = reconstruction.LearnedProximalGradient(
            forward, adjoint, steps_of_map, bridge.as_module(operators.fbp(A)))
    else:
        duals = [reconstruction.StateStep(eq.OnHalfCircle(cnn(mirror, 5, 3, 8), 3), dimension=2)
                 for _ in range(3)]  # fmt: skip
        primals = [reconstruction.StateStep(cnn(Z4, 4, 3, 4), dimension=2) for _ in range(3)]
        model = reconstruction.LearnedPrimalDual(
            forward, adjoint, duals, primals, dual_memory=3, primal_memory=3, dimension=2)

    u = torch.randn(1, n, n, generator=generator)
    y = forward(u)

    def error(model, forward, u):
        with torch.no_grad():
            value = model(forward(u))
            return max(float((model(forward(Z4.act(k, u))) - Z4.act(k, value)).norm()
                             / value.norm()) for k in range(1, 4))  # fmt: skip

    before = error(model, forward, u)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(y) - u).square().mean().backward()
        optimizer.step()
    after = error(model, forward, u)
    with torch.no_grad():
        single = model(y)
        double, precise = model.double(), bridge.as_module(A).double()
        rounding = float((double(y.double()) - single).norm() / single.norm())
    return before, after, rounding, error(double, precise, u.double())
