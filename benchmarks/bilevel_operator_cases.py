"""Small problems over all kinds of operators: do bounds hold, and are hypergradients right?"""

import math

import numpy as np
import odl
import torch
from bilevel_operators import functional

from odl_learned import data, functionals, operators
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.energies import energy_of
from odl_learned.functionals import Coordinate, Exponential, parameter_space, smoothed_length
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import Direct, Implicit, check_hypergradient
from odl_learned.learning.bilevel.lower import LowerLevel

F = odl.functionals
SHAPE = (8, 9)


def plane(cells=(1.0, 1.0), dtype="float64"):
    return odl.uniform_discr([0, 0], [n * h for n, h in zip(SHAPE, cells)], SHAPE, dtype=dtype)


def some(share):
    return np.random.default_rng(0).random(SHAPE) < share


def coils():
    space = plane(dtype="complex128")
    return operators.MultiCoilFourier(space, some(0.5), data.simulated_sensitivities(space, 3))


def blur(space):
    return operators.PeriodicConvolution(space, operators.gaussian_kernel(space, 1.0))


def emission():
    """Counts through a ray transform, with total variation."""
    forward_op = operators.parallel_ray_transform(plane(dtype="float32"), 6)
    space = forward_op.domain
    domain = odl.ProductSpace(space, parameter_space(space, 2), forward_op.range)
    u, theta, y = (odl.ComponentProjection(domain, i) for i in range(3))
    alpha, nu = (Exponential(Coordinate(domain[1], i)) @ theta for i in range(2))
    likelihood = functionals.PoissonLikelihood(0.5 * forward_op.range.one(), 30.0)
    return (likelihood @ odl.BroadcastOperator(forward_op @ u, y)
            + smoothed_length(operators.gradient(space) @ u, alpha, nu)
            + 0.1 * F.L2NormSquared(space) @ u)  # fmt: skip


def wavelets():
    """Deblurring with one weight for each of three scales."""
    space = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    transform, levels = operators.OrthogonalWavelet(space, "db1", 2), np.full((8, 8), 2)
    levels[:4, :4], levels[:2, :2] = 1, 0
    domain = odl.ProductSpace(space, parameter_space(space, 3), space)
    u, theta, y = (odl.ComponentProjection(domain, i) for i in range(3))
    energy = 0.5 * F.L2NormSquared(space) @ (blur(space) @ u - y) + 0.1 * F.L2NormSquared(space) @ u
    for i in range(3):
        part = odl.MultiplyOperator(transform.range.element(levels == i))
        alpha = Exponential(Coordinate(domain[1], i)) @ theta
        energy = energy + smoothed_length(part @ transform @ u, alpha, 0.1)
    return energy


CASES = {
    "parallel beam": lambda: functional(
        operators.parallel_ray_transform(plane(dtype="float32"), 6), 0.2),
    "fan beam": lambda: functional(
        operators.fan_beam_ray_transform(plane(dtype="float32"), 6, 15.0, 15.0), 0.2),
    "convolution": lambda: functional(blur(plane()), 0.2),
    "mask": lambda: functional(operators.mask_operator(plane(), some(0.6)), 0.2),
    "several coils": lambda: functional(coils(), 0.2),
    "complex images": lambda: functional(
        operators.mask_operator(plane(dtype="complex128"), some(0.6)), 0.2),
    "large cells": lambda: functional(blur(plane((10.0, 10.0))), 0.2),
    "anisotropic cells": lambda: functional(
        operators.mask_operator(plane((0.01, 0.05)), some(0.6)), 0.2),
    "emission": emission,
    "three wavelet scales": wavelets,
}


def drawn(name, rng):
    """The energy of a case, random truth, parameters and data."""
    f = CASES[name]()
    x, params, y = (layout_of(space) for space in f.domain)
    truth, measured = (_normal(rng, (2, *part.shape), part.dtype.is_complex) for part in (x, y))
    if name == "emission":
        measured = torch.as_tensor(rng.poisson(4.0, measured.shape)).double().clamp_max(30)
    return energy_of(f), truth, torch.as_tensor(rng.uniform(-3.0, 0.5, params.shape)), measured


def _normal(rng, shape, is_complex):
    real = torch.as_tensor(rng.standard_normal(shape))
    return torch.complex(real, torch.as_tensor(rng.standard_normal(shape))) if is_complex else real


def violations(cases=200):
    """Number of bounds, of 4 for every random case, that do not hold, and of infinite ones."""
    rng, found, infinite = np.random.default_rng(7), 0, 0
    for case in range(cases):
        energy, truth, params, measured = drawn(list(CASES)[case % len(CASES)], rng)
        problem = BilevelProblem(energy, measured, SquaredError(truth), truth)
        exact = Direct()(LowerLevel(problem), params, 1e-11, 1e-11)
        lower, accuracy = LowerLevel(problem), float(10 ** rng.uniform(-5, -1))
        rough = lower.solve(params, accuracy)
        distance = (rough.x - exact.x).abs().square().flatten(1).sum(1).sqrt().numpy()
        found += int((distance > rough.error_bound + 1e-9).any())
        at = Implicit()(lower, params, accuracy, accuracy)
        for error, bound in (
            (abs(at.value - exact.value), at.value_bound + exact.value_bound),
            (abs(at.corrected_value - exact.value), at.corrected_value_bound + exact.value_bound),
            (float((at.gradient - exact.gradient).norm()),
             at.gradient_bound + exact.gradient_bound),
        ):  # fmt: skip
            found += not error <= bound
            infinite += not math.isfinite(bound)
    return {"operator_violations": found, "operator_infinite_bounds": infinite}


def hypergradient_error():
    """Largest relative distance of hypergradients from extrapolated differences over all cases."""
    rng, worst = np.random.default_rng(8), {}
    for name in CASES:
        energy, truth, params, measured = drawn(name, rng)
        problem = BilevelProblem(energy, measured, SquaredError(truth), truth)
        found = check_hypergradient(problem, params, Implicit(), rng, 1e-6)
        worst[name] = float(found.errors.max())
    print("hypergradients against differences", worst, flush=True)
    return {"hypergradient_operators_error": max(worst.values())}
