"""Functionals of images, parameters and data by name, over all kinds of operators and spaces."""

import numpy as np
import odl
import torch

from odl_learned import data, functionals, networks, operators, regularizers
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.functionals import Coordinate, Exponential, parameter_space, smoothed_length

F = odl.functionals


def plane(shape=(6, 7), cells=(1.0, 1.0), **options):
    """Images with given cell sides."""
    return odl.uniform_discr([0, 0], [n * h for n, h in zip(shape, cells, strict=True)], shape,
                             **options)  # fmt: skip


def blocks(space, size, measurements):
    """The blocks of a domain as operators, and exponentials of all parameters."""
    domain = odl.ProductSpace(space, parameter_space(space, size), measurements)
    x, theta, y = (odl.ComponentProjection(domain, i) for i in range(3))
    return x, y, [Exponential(Coordinate(domain[1], i)) @ theta for i in range(size)]


def variation(forward_op, xi=0.2):
    """``|A x - y|^2 / 2 + e^theta_0 int sqrt(|grad x|^2 + e^(2 theta_1)) + xi/2 |x|^2``."""
    space, target = forward_op.domain, forward_op.range
    x, y, (alpha, nu) = blocks(space, 2, target)
    return (0.5 * F.L2NormSquared(target) @ (forward_op @ x - y)
            + smoothed_length(operators.gradient(space) @ x, alpha, nu)
            + (xi / 2) * F.L2NormSquared(space) @ x)  # fmt: skip


def mask(space):
    rng = np.random.default_rng(1)
    return operators.mask_operator(space, rng.random(space.shape) < 0.6)


def coils(space):
    rng = np.random.default_rng(2)
    maps = data.simulated_sensitivities(space, 3)
    return operators.MultiCoilFourier(space, rng.random(space.shape) < 0.5, maps)


def blur(space):
    return operators.PeriodicConvolution(space, operators.gaussian_kernel(space, 1.0))


def fan_beam(space):
    return operators.fan_beam_ray_transform(space, 5, 12.0, 12.0)


def wavelet_scales():
    """Deblurring with a weight for the details of each of two levels and for the coarsest part."""
    space = plane((8, 8))
    forward_op, transform = blur(space), operators.OrthogonalWavelet(space, "db1", 2)
    x, y, (*alphas, weight) = blocks(space, 4, space)
    levels = np.zeros(space.shape)
    levels[4:, :] = levels[:, 4:] = 2
    levels[:4, :4] = 1
    levels[:2, :2] = 0
    energy = F.FunctionalProduct(weight, 0.5 * F.L2NormSquared(space) @ (forward_op @ x - y))
    for level, alpha in enumerate(alphas):
        part = transform.range.element((levels == level).astype(float))
        scale = odl.MultiplyOperator(part, domain=transform.range, range=transform.range)
        energy = energy + smoothed_length(scale @ transform @ x, alpha, 0.1)
    return energy + 0.1 * F.L2NormSquared(space) @ x


def fixed_data():
    """Weighted data that are part of the functional, and a factor inside of a square."""
    space = plane(cells=(0.5, 0.5))
    target = odl.rn(space.shape, weighting=3.0)
    domain = odl.ProductSpace(space, parameter_space(space, 2))
    x, theta = (odl.ComponentProjection(domain, i) for i in range(2))
    scale, nu = (Exponential(Coordinate(domain[1], i)) @ theta for i in range(2))
    rng = np.random.default_rng(3)
    matrix = odl.MatrixOperator(rng.standard_normal((6, 6)), domain=space,
                                range=odl.rn((6, 7), weighting=3.0))  # fmt: skip
    values = target.element(rng.standard_normal(target.shape))
    inner = 0.5 * F.L2NormSquared(target).translated(values) @ matrix
    return (inner @ x + 2.0 * F.L2NormSquared(space) @ operators.FunctionalMultiple(scale, x)
            + smoothed_length(x, 0.5, nu) + 1.5)  # fmt: skip


def emission():
    """The likelihood of Poisson counts with total variation of learned weight and smoothing."""
    space = plane(dtype="float32")
    forward_op = operators.parallel_ray_transform(space, 5)
    domain = odl.ProductSpace(space, parameter_space(space, 2), forward_op.range)
    x, theta, y = (odl.ComponentProjection(domain, i) for i in range(3))
    alpha, nu = (Exponential(Coordinate(domain[1], i)) @ theta for i in range(2))
    likelihood = functionals.PoissonLikelihood(0.5 * forward_op.range.one(), 20.0)
    return (likelihood @ odl.BroadcastOperator(forward_op @ x, y)
            + smoothed_length(operators.gradient(space) @ x, alpha, nu)
            + 0.2 * F.L2NormSquared(space) @ x)  # fmt: skip


def experts():
    """Fields of experts, the squared gradient and Huber's functional with learned factors."""
    space = plane(cells=(0.5, 2.0))
    x, y, (first, second) = blocks(space, 2, space)
    bank = np.random.default_rng(4).standard_normal((2, 3, 3))
    fields = functionals.FieldsOfExperts(space, bank, [0.5, 0.2], 0.3)
    huber = F.Huber(space**2, 0.7) @ operators.FunctionalMultiple(second, operators.gradient(
        space) @ x)  # fmt: skip
    return (0.5 * F.L2NormSquared(space) @ (x - y) + F.FunctionalProduct(first, fields @ x)
            + 0.3 * functionals.H1Seminorm(plane(cells=(0.5, 2.0))) @ x + 0.1 * huber)


def learned_ridge():
    """Deblurring with a weakly convex learned ridge and a learned factor."""
    space = plane(cells=(0.5, 2.0))
    x, y, (alpha,) = blocks(space, 1, space)
    filters = regularizers.ComposedFilters((1, 2, 5), 3, networks.Reflecting(), dimension=2)
    ridge = regularizers.RidgeRegularizer(
        regularizers.Ridge(filters, regularizers.LogCosh(), regularizers.LogCosh()), space, 0.3)
    return (0.5 * F.L2NormSquared(space) @ (blur(space) @ x - y) + 0.6 * F.L2NormSquared(space) @ x
            + F.FunctionalProduct(alpha, ridge @ x))  # fmt: skip


def ridge_of_splines():
    """A convex ridge with splines, whose second derivative jumps, of responses inside."""
    space = plane()
    x, y, (alpha,) = blocks(space, 1, space)
    filters = regularizers.ComposedFilters((1, 4), 3, networks.Inside(), dimension=2)
    splines = networks.ConvexSpline(4, 3, 1.5)
    ridge = regularizers.RidgeRegularizer(regularizers.Ridge(filters, splines), space, 0.3)
    return (0.5 * F.L2NormSquared(space) @ (mask(space) @ x - y) + 0.1 * F.L2NormSquared(space) @ x
            + F.FunctionalProduct(alpha, ridge @ x))  # fmt: skip


def affine_parts():
    """What does not change second derivatives: linear functionals, translations and constants."""
    space = plane(cells=(2.0, 0.5))
    x, y, (alpha,) = blocks(space, 1, space)
    rng = np.random.default_rng(5)
    u, weight = (space.element(rng.random(space.shape)) for _ in range(2))
    square, huber = F.L2NormSquared(space), F.Huber(space, 0.4)
    return (0.5 * square @ (x - y) + (huber.translated(u) @ blur(space) + 1.5) @ x
            + F.QuadraticForm(operator=odl.MultiplyOperator(weight), vector=u, constant=2.0) @ x
            + F.FunctionalProduct(alpha, F.QuadraticForm(vector=u) @ x)
            + square.bregman(u, square.gradient(u)) @ x
            + F.FunctionalProduct(alpha, F.FunctionalQuadraticPerturb(huber, 0.0, u, 1.0) @ x)
            + F.SeparableSum(square, huber) @ odl.BroadcastOperator(x, blur(space) @ x)
            )  # fmt: skip


def linear():
    """A linear functional with a learned factor."""
    space = plane(cells=(2.0, 0.5))
    x, y, (alpha,) = blocks(space, 1, space)
    u = space.element(np.random.default_rng(6).random(space.shape))
    return (0.5 * F.L2NormSquared(space) @ (x - y)
            + F.FunctionalProduct(alpha, F.QuadraticForm(vector=u) @ x))  # fmt: skip


def filtered_lengths():
    """Smoothed lengths of wavelets and of a convolution."""
    space = plane((8, 8))
    x, y, (alpha, beta, nu) = blocks(space, 3, space)
    return (0.5 * F.L2NormSquared(space) @ (x - y)
            + smoothed_length(operators.OrthogonalWavelet(space, "db1", 2) @ x, alpha, nu)
            + smoothed_length(blur(space) @ x, beta, nu))  # fmt: skip


SINGLE = {"dtype": "float32"}
EXPRESSIONS = {
    "denoising": lambda: variation(odl.IdentityOperator(plane()), 0.0),
    "parallel beam": lambda: variation(operators.parallel_ray_transform(plane(**SINGLE), 5)),
    "fan beam": lambda: variation(fan_beam(plane(**SINGLE))),
    "convolution": lambda: variation(blur(plane())),
    "mask": lambda: variation(mask(plane())),
    "complex images": lambda: variation(mask(plane(dtype="complex128"))),
    "one coil": lambda: variation(operators.SampledFourier(
        plane(dtype="complex128"), np.arange(42).reshape(6, 7) % 3 > 0)),
    "several coils": lambda: variation(coils(plane(dtype="complex128"))),
    "large cells": lambda: variation(blur(plane(cells=(12.0, 12.0)))),
    "small, anisotropic cells": lambda: variation(mask(plane(cells=(0.01, 0.05)))),
    "points on the boundary": lambda: variation(mask(plane(nodes_on_bdry=True))),
    "wavelet scales": wavelet_scales,
    "fixed data": fixed_data,
    "emission": emission,
    "experts and Huber": experts,
    "learned ridge": learned_ridge,
    "ridge of splines": ridge_of_splines,
    "affine parts": affine_parts,
    "linear functional": linear,
    "wavelets and convolution": filtered_lengths,
}


def draw(functional, rng, size=3, scale=1.0):
    """Random images, parameters and data in double precision; counts where they are counts."""
    x, params, *rest = (layout_of(space) for space in functional.domain)
    batch = [torch.as_tensor(scale * rng.standard_normal((size, *part.shape))) for part in (
        x, *rest)]  # fmt: skip
    for i, part in enumerate((x, *rest)):
        if part.dtype.is_complex:
            batch[i] = torch.complex(batch[i], torch.as_tensor(
                scale * rng.standard_normal(batch[i].shape)))  # fmt: skip
    theta = torch.as_tensor(rng.uniform(-1.5, 0.0, params.shape))
    data = batch[1] if rest else torch.zeros(size, 1).double()
    if "PoissonLikelihood" in repr(functional):
        data = torch.as_tensor(rng.poisson(4.0, data.shape)).double().clamp_max(20)
    return batch[0], theta, data
