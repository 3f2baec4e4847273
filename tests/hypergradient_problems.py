"""Small bilevel problems of every kind, for comparisons of hypergradients with differences."""

import dataclasses
import itertools

import numpy as np
import odl
import torch
from instances.spaces import plane
from odl.applications import tomo

from odl_learned import functionals, operators
from odl_learned.bridge import as_energy, as_module
from odl_learned.energies import AutogradEnergy, Denoising, FourierSampling, VariationEnergy
from odl_learned.energies.coefficients import decimal, natural, odds_weights, squared_weights
from odl_learned.energies.potentials import Charbonnier, CubicAbsolute
from odl_learned.energies.transforms import BackwardDifferences, ForwardDifferences, Separate
from odl_learned.functionals import Coordinate, Exponential, parameter_space
from odl_learned.learning.bilevel import BilevelProblem, SquaredError


def pictures(shape, count, rng, dtype=torch.float64):
    """An edge and noise."""
    edge = (np.arange(shape[0]) > 1).reshape(-1, *[1] * (len(shape) - 1))
    x = edge + 0.1 * rng.standard_normal((count, *shape))
    if dtype.is_complex:
        x = x + 0.3j * rng.standard_normal((count, *shape))
    return torch.as_tensor(x, dtype=dtype)


def penalty(params):
    return 0.1 * (params**2).sum()


def noisy(x, rng, level=0.1):
    return x + level * pictures(x.shape[1:], len(x), rng, x.dtype)


def denoising(rng):
    truth = pictures((4, 5), 3, rng)
    data = noisy(truth, rng)
    transform = Separate(ForwardDifferences((4, 5)))
    energy = VariationEnergy(Denoising(), transform, Charbonnier(), natural)
    params = torch.tensor([-2.0, -1.5], dtype=torch.float64)
    return BilevelProblem(energy, data, SquaredError(truth, 0.5), data, penalty), params


def signals(rng):
    truth = pictures((12,), 3, rng)
    data = noisy(truth, rng)
    energy = VariationEnergy(Denoising(), BackwardDifferences(12), Charbonnier(), decimal)
    params = torch.tensor([-1.0, -1.0, -1.5], dtype=torch.float64)
    return BilevelProblem(energy, data, SquaredError(truth), data, penalty), params


def sampling(rng):
    """Complex images, a weight for every frequency and alpha."""
    truth = pictures((4, 5), 2, rng, torch.complex128)
    data = noisy(torch.fft.fftn(truth, dim=(1, 2), norm="ortho"), rng)
    energy = VariationEnergy(FourierSampling(), ForwardDifferences((4, 5)), CubicAbsolute(),
                             squared_weights((4, 5), 0.5, 0.1))
    params = torch.as_tensor(np.append(rng.uniform(0.3, 0.9, 20), 0.05))
    problem = BilevelProblem(energy, data, SquaredError(truth, 1.3), truth, penalty, 0.0, 1.0)
    return problem, params


def odds(rng):
    """Complex signals, weights ``c / (1 - c)``."""
    truth = pictures((10,), 2, rng, torch.complex128)
    data = noisy(torch.fft.fft(truth, dim=1, norm="ortho"), rng)
    energy = VariationEnergy(FourierSampling(), ForwardDifferences((10,)), Charbonnier(),
                             odds_weights(1e-1, 0.2, 1e-2))
    params = torch.as_tensor(rng.uniform(0.2, 0.8, 10))
    return BilevelProblem(energy, data, SquaredError(truth), truth, penalty, 0.001, 0.99), params


def differences(x, transform):
    """Differences with the boundary of a transform, in groups or on their own, written anew."""
    if isinstance(transform, BackwardDifferences):
        return torch.diff(x, dim=1, prepend=torch.zeros_like(x[:, :1]))[:, None]
    parts = []
    for axis in range(1, x.ndim):
        last = torch.zeros_like(x.narrow(axis, 0, 1))
        parts.append(torch.cat([torch.diff(x, dim=axis), last], axis))
    p = torch.stack(parts, 1)
    return p[:, None] if isinstance(transform, Separate) else p


def length(squares, nu, potential):
    """The potentials, with derivatives at zero."""
    if isinstance(potential, Charbonnier):
        return torch.sqrt(squares + nu**2)
    t = torch.sqrt(torch.where(squares > 0, squares, 1.0)) * (squares > 0)
    return torch.where(t <= nu, squares / nu - squares * t / (3 * nu**2), t - nu / 3)


def twin(energy):
    """The same energy through autograd; one that goes there already, as it is."""
    if isinstance(energy, AutogradEnergy):
        return energy

    def function(x, params, data):
        c = energy.coefficients(params)
        r, p = energy.fidelity.forward(x) - data, differences(x, energy.transform)
        weights = 1.0 if c.weights is None else c.weights
        squares = (p.real**2 + p.imag**2 if p.is_complex() else p**2).sum(1)
        norms = ((r * r.conj()).real * weights).flatten(1).sum(1) / 2
        return (norms + c.alpha * length(squares, c.nu, energy.potential).flatten(1).sum(1)
                + 0.5 * c.xi * (x * x.conj()).real.flatten(1).sum(1))

    return AutogradEnergy(function, energy.lipschitz, energy.strong_convexity)


def by_autograd(build):
    def problem(rng):
        closed, params = build(rng)
        return dataclasses.replace(closed, energy=twin(closed.energy)), params

    return problem


def tomography(rng):
    """``|A u - y|^2 / 2 + exp(theta_0) R_nu(u) + exp(theta_1) |u|^2 / 2`` as an ODL expression."""
    X = odl.uniform_discr([-1, -1], [1, 1], (7, 7), dtype="float64")
    geometry = tomo.Parallel2dGeometry(odl.uniform_partition(0, np.pi, 5),
                                       odl.uniform_partition(-1.5, 1.5, 9))
    ray = tomo.RayTransform(X, geometry, impl="astra_cpu")
    theta = parameter_space(X, 2)
    space = odl.ProductSpace(X, theta, ray.range)
    u, p, y = (odl.ComponentProjection(space, i) for i in range(3))
    alpha, scale = (Exponential(Coordinate(theta, i)) @ p for i in (0, 1))
    F = odl.functionals
    functional = (0.5 * F.L2NormSquared(ray.range) @ (ray @ u - y)
                  + F.FunctionalProduct(alpha, functionals.SmoothedTV(X, 1, 0.5, 0) @ u)
                  + F.FunctionalProduct(scale, 0.5 * F.L2NormSquared(X) @ u))
    module, volume = as_energy(functional), X.cell_volume
    project = as_module(ray)
    matrix = project(torch.eye(49, dtype=torch.float64).reshape(49, 7, 7)).reshape(49, -1)
    width = ray.range.weighting.const * float(torch.linalg.matrix_norm(matrix, 2)) ** 2
    slopes = 8 / X.cell_sides[0] ** 2

    def lipschitz(params):
        return width + volume * (params[0].exp() * slopes / 0.5 + params[1].exp())

    energy = AutogradEnergy(module, lipschitz, lambda params: volume * params[1].exp())
    truth = pictures((7, 7), 2, rng)
    params = torch.tensor([-2.0, -1.0], dtype=torch.float64)
    data = noisy(project(truth), rng)
    return BilevelProblem(energy, data, SquaredError(truth), truth, penalty), params


def odl_sampling(rng):
    """Complex images in a weighted space, ``|w (F u - y)|^2 / 2 + R_nu(u)``, through the bridge."""
    X, scale = plane((4, 5), "complex128"), 3.0
    Y = odl.cn((4, 5), weighting=scale)
    space = odl.ProductSpace(X, Y, Y)
    u, w, y = (odl.ComponentProjection(space, i) for i in range(3))
    fourier = operators.SampledFourier(X, np.ones(X.shape), Y)
    pair = odl.BroadcastOperator(w, fourier @ u - y)
    F = odl.functionals
    functional = (0.5 * F.L2NormSquared(Y) @ operators.BlockProduct(pair.range) @ pair
                  + functionals.SmoothedTV(X, 0.3, 0.5, 0.2) @ u)
    module, volume = as_energy(functional), X.cell_volume

    def function(x, params, data):
        return module(x, params.reshape(4, 5), data)

    slopes = 4 * float((1 / X.cell_sides**2).sum())  # |gradient|^2; the transform is unitary
    energy = AutogradEnergy(
        function, lambda p: scale * p.square().max() + volume * (0.3 / 0.5 * slopes + 0.2),
        lambda p: scale * p.square().min() + volume * 0.2)
    truth = pictures((4, 5), 2, rng, torch.complex128)
    data = torch.stack([torch.as_tensor(fourier(X.element(t.numpy())).asarray()) for t in truth])
    params = torch.as_tensor(rng.uniform(0.3, 0.9, 20))
    return BilevelProblem(energy, noisy(data, rng), SquaredError(truth), truth, penalty), params


PROBLEMS = {
    "denoising": denoising,
    "signals": signals,
    "sampling": sampling,
    "odds": odds,
    "denoising, autograd": by_autograd(denoising),
    "sampling, autograd": by_autograd(sampling),
    "tomography": tomography,
    "sampling in a weighted space": odl_sampling,
}


def step(problem):
    """Small for potentials whose third derivative jumps, where extrapolation does not help."""
    return 1e-3 if problem.lower == 0.0 else 1e-2


def derivative(function, h):
    """``d function / dt`` at zero from central differences with ``h, h/2, h/4``, extrapolated."""
    first = [(function(t) - function(-t)) / (2 * t) for t in (h, h / 2, h / 4)]
    second = [(4 * fine - coarse) / 3 for coarse, fine in itertools.pairwise(first)]
    return (16 * second[1] - second[0]) / 15
