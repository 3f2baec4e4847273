"""Hypergradients of every mode against differences, dense matrices, and each other."""

import copy
import dataclasses
import os
from pathlib import Path

import instances
import numpy as np
import odl
import pytest
import torch
from odl.applications import tomo

from odl_learned import functionals, operators
from odl_learned.bridge import as_energy, as_module
from odl_learned.functionals import Coordinate, Exponential, parameter_space
from odl_learned.learning.bilevel.bounds import sample_norms
from odl_learned.learning.bilevel.checks import check_hypergradient
from odl_learned.learning.bilevel.coefficients import (
    Coefficients,
    decimal,
    natural,
    odds_weights,
    squared_weights,
)
from odl_learned.learning.bilevel.energy import AutogradEnergy, FixedEnergy
from odl_learned.learning.bilevel.fidelities import Denoising, FourierSampling
from odl_learned.learning.bilevel.hypergradient import (
    AdjointOperator,
    Direct,
    Implicit,
    JacobianFree,
)
from odl_learned.learning.bilevel.lower_level import LowerLevel
from odl_learned.learning.bilevel.potentials import Charbonnier, CubicAbsolute
from odl_learned.learning.bilevel.problem import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.transforms import (
    BackwardDifferences,
    ForwardDifferences,
    Separate,
)
from odl_learned.learning.bilevel.unrolled import Piggyback, Unrolled, accelerated, plain
from odl_learned.learning.bilevel.variation_energy import VariationEnergy


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
    """Forward differences with Neumann boundary, in groups or on their own, written anew."""
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
    """The same energy through autograd."""
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
    X = instances.plane((4, 5), "complex128")
    Y = odl.cn((4, 5), weighting=3.0)
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

    energy = AutogradEnergy(function, lambda p: 1e4, lambda p: 0.2 * volume)
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
LONG = 3000
MODES = {
    "unrolled": Unrolled(600),
    "piggyback": Piggyback(LONG),
}


def step(problem):
    """Small for potentials whose third derivative jumps, where extrapolation does not help."""
    return 1e-3 if problem.lower == 0.0 else 1e-2


@pytest.mark.parametrize("name", PROBLEMS)
def test_implicit_agrees_with_differences(name, rng):
    problem, params = PROBLEMS[name](rng)
    check_hypergradient(problem, params, Implicit(), rng, 1e-6, step(problem))


@pytest.mark.parametrize("name", ["denoising", "sampling"])
@pytest.mark.parametrize("mode", ["unrolled", "piggyback"])
def test_iterations_agree_with_differences(mode, name, rng):
    problem, params = PROBLEMS[name](rng)
    check_hypergradient(problem, params, MODES[mode], rng, 1e-6, step(problem))


@pytest.mark.parametrize("name", PROBLEMS)
def test_implicit_is_direct(name, rng):
    problem, params = PROBLEMS[name](rng)
    implicit, direct = (mode(LowerLevel(problem), params, 1e-8, 1e-12)
                        for mode in (Implicit(), Direct()))
    torch.testing.assert_close(implicit.adjoint, direct.adjoint, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(implicit.gradient, direct.gradient, rtol=1e-9, atol=1e-9)
    assert implicit.value == direct.value


def test_the_checker_finds_wrong_gradients(rng):
    problem, params = denoising(rng)

    def wrong(lower, params, accuracy, adjoint_accuracy):
        found = Implicit()(lower, params, accuracy, adjoint_accuracy)
        return found._replace(gradient=found.gradient * torch.tensor([1 + 1e-4, 1]))

    with pytest.raises(AssertionError, match="hypergradient has the slope"):
        check_hypergradient(problem, params, wrong, rng)
    with pytest.raises(AssertionError, match="pass a smaller step"):
        check_hypergradient(problem, params, Implicit(), rng, 1e-14, directions=1)


def test_the_checker_stays_inside_of_the_bounds(rng):
    problem, params = odds(rng)
    params[:3] = 0.99
    check_hypergradient(problem, params, Implicit(), rng)
    with pytest.raises(ValueError, match="on their bounds"):
        check_hypergradient(problem, torch.full_like(params, 0.99), Implicit(), rng)


def fixed(scheme):
    """The same steps for all parameters near ``params``: what unrolling differentiates."""
    return lambda lipschitz, strong_convexity: scheme


@pytest.mark.parametrize("name", ["denoising", "sampling", "denoising, autograd"])
@pytest.mark.parametrize("scheme", [accelerated, plain])
@pytest.mark.parametrize("niter, every", [(1, None), (7, 1), (7, 3), (16, None), (5, 40)])
def test_unrolled_differentiates_its_iterates(name, scheme, niter, every, rng):
    """Few steps, far from the solution: backpropagation through the loop by autograd agrees."""
    problem, params = PROBLEMS[name](rng)
    energy = twin(problem.energy) if isinstance(problem.energy, VariationEnergy) else problem.energy
    tau, beta = scheme(energy.lipschitz(params), energy.strong_convexity(params))
    theta = params.clone().requires_grad_()
    x = before = problem.x0.clone().requires_grad_()
    for _ in range(niter):
        y = x + beta * (x - before)
        value = energy._function(y, theta, problem.data).sum()
        (slope,) = torch.autograd.grad(value, y, create_graph=True)
        x, before = y - tau * slope, x
    value = (problem.loss.factor * (x - problem.loss.truth).abs() ** 2).sum() + penalty(theta)
    (expected,) = torch.autograd.grad(value, theta)
    mode = Unrolled(niter, every, fixed((tau, beta)))
    found = mode(LowerLevel(problem), params, 1.0, 1.0)
    torch.testing.assert_close(found.gradient, expected, rtol=1e-10, atol=1e-12)
    assert found.value == pytest.approx(float(value.detach()), rel=1e-12)
    torch.testing.assert_close(found.x, x.detach(), rtol=1e-12, atol=1e-13)


def test_unrolled_tends_to_implicit(rng):
    problem, params = denoising(rng)
    exact = Implicit()(LowerLevel(problem), params, 1e-12, 1e-12)
    errors = [float((Unrolled(n)(LowerLevel(problem), params, 1.0, 1.0).gradient
                     - exact.gradient).norm()) for n in (5, 20, 40, 80)]
    assert all(b < a / 100 for a, b in zip(errors, errors[1:]))
    assert errors[-1] < 1e-9 * float(exact.gradient.norm())


def test_unrolled_keeps_few_iterates_and_repeats_each_step_once(rng):
    problem, params = denoising(rng)
    lower = LowerLevel(problem)
    found = Unrolled(100)(lower, params, 1.0, 1.0)
    batch = len(problem.x0)
    # 100 steps, each repeated once, one linearization each, and the certificate.
    assert found.work.gradients == (100 + 100 + 100 + 1) * batch
    assert found.work.hessian_products == 100 * batch


def test_unrolled_starts_where_told(rng):
    problem, params = denoising(rng)
    start = problem.x0 + 1
    moved = dataclasses.replace(problem, x0=start)
    found = Unrolled(3, start=start)(LowerLevel(problem), params, 1.0, 1.0)
    expected = Unrolled(3)(LowerLevel(moved), params, 1.0, 1.0)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=0, atol=0)
    with pytest.raises(ValueError, match="start has shape"):
        Unrolled(3, start=start[:1])(LowerLevel(problem), params, 1.0, 1.0)


def test_jacobian_free_is_the_step_of_the_fixed_point_map(rng):
    """``q = tau grad l``, and the default step is ``1 / L``."""
    problem, params = denoising(rng)
    found = JacobianFree()(LowerLevel(problem), params, 1e-10, 1.0)
    tau = 1 / problem.energy.lipschitz(params)
    x = found.x.requires_grad_()
    theta = params.clone().requires_grad_()
    (slope,) = torch.autograd.grad(
        twin(problem.energy)._function(x, theta, problem.data).sum(), x, create_graph=True)
    step = (x - tau * slope) * problem.loss.gradient(x).detach()
    (expected,) = torch.autograd.grad(step.sum() + penalty(theta), theta)
    torch.testing.assert_close(found.gradient, expected, rtol=1e-10, atol=1e-12)
    half = JacobianFree(tau / 2)(LowerLevel(problem), params, 1e-10, 1.0)
    torch.testing.assert_close(half.adjoint, found.adjoint / 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("mode", [Implicit(), Piggyback(LONG)], ids=["implicit", "piggyback"])
def test_accuracies_are_reached_for_every_sample(mode, rng):
    problem, params = signals(rng)
    asked = np.array([1e-2, 1e-4, 1e-7]), np.array([1e-6, 1e-2, 1e-4])
    found = mode(LowerLevel(problem), params, *asked)
    f = FixedEnergy(problem.energy, params, problem.data)
    slope = f.linearize(found.x)
    error = sample_norms(slope.gradient) / f.strong_convexity
    residual = sample_norms(slope.hessian(found.adjoint) - problem.loss.gradient(found.x))
    assert (error.numpy() <= asked[0]).all() and (residual.numpy() <= asked[1]).all()


def test_the_adjoint_starts_warm_and_the_state_keeps_it(rng):
    problem, params = denoising(rng)
    lower = LowerLevel(problem)
    first = Implicit()(lower, params, 1e-9, 1e-9)
    again = Implicit()(lower, params, 1e-9, 1e-9)
    assert again.work.hessian_products < first.work.hessian_products / 3
    other = LowerLevel(problem)
    other.restore(copy.deepcopy(lower.state()))
    results = [Implicit()(level, params + 1e-3, 1e-9, 1e-9) for level in (lower, other)]
    assert torch.equal(results[0].gradient, results[1].gradient)
    assert results[0].work.hessian_products == results[1].work.hessian_products


def test_a_useless_adjoint_is_not_used(rng):
    problem, params = denoising(rng)
    lower, fresh = LowerLevel(problem), LowerLevel(problem)
    lower.adjoint = 1e6 * torch.ones_like(problem.x0)
    found, expected = (Implicit()(level, params, 1e-9, 1e-9) for level in (lower, fresh))
    assert torch.equal(found.gradient, expected.gradient)


@pytest.mark.parametrize("name", ["denoising", "sampling", "denoising, autograd"])
@pytest.mark.parametrize("mode", [Implicit(), Piggyback(60)], ids=["implicit", "piggyback"])
def test_a_sample_alone_is_the_sample_in_the_batch(mode, name, rng):
    problem, params = PROBLEMS[name](rng)
    batch = mode(LowerLevel(problem), params, 1e-6, 1e-6)
    for i in range(len(problem.x0)):
        alone = mode(LowerLevel(problem.take([i])), params, 1e-6, 1e-6)
        torch.testing.assert_close(alone.x[0], batch.x[i], rtol=0, atol=1e-14)
        torch.testing.assert_close(alone.adjoint[0], batch.adjoint[i], rtol=0, atol=1e-12)


def test_parts_of_the_adjoint_operator_are_its_parts(rng):
    problem, params = sampling(rng)
    data = problem.data.repeat(3, 1, 1) * torch.arange(1, 7)[:, None, None]
    x = pictures((4, 5), 6, rng, torch.complex128)
    v = pictures((4, 5), 6, rng, torch.complex128)
    f = FixedEnergy(problem.energy, params, data)
    operator = AdjointOperator(f, x)
    whole, pre = operator(v), operator.precondition(v)
    index = np.arange(6)
    for take in ([0, 2, 3, 4, 5], [1, 2, 3], [0, 2]):
        operator, index = operator.take(np.array(take)), index[take]
        torch.testing.assert_close(operator(v[index]), whole[index], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(operator.precondition(v[index]), pre[index], rtol=1e-13,
                                   atol=1e-13)  # fmt: skip


def test_work_is_counted(rng):
    problem, params = denoising(rng)
    lower = LowerLevel(problem)
    total = [Implicit()(lower, params + t, 1e-6, 1e-6).work for t in (0.0, 0.1)]
    for name in ("solves", "values", "gradients", "hessian_products"):
        assert sum(getattr(work, name) for work in total) == getattr(lower.work, name)
    assert lower.work.solves == 2 and lower.work.hessian_products > 0


def test_single_precision(rng):
    problem, params = denoising(rng)
    exact = Implicit()(LowerLevel(problem), params, 1e-11, 1e-11)
    single = dataclasses.replace(problem, data=problem.data.float(), x0=problem.x0.float(),
                                 loss=SquaredError(problem.loss.truth.float(), 0.5))
    found = Implicit()(LowerLevel(single), params, 1e-9, 1e-9)
    assert found.x.dtype == torch.float32 and found.gradient.dtype == torch.float64
    error = float((found.gradient - exact.gradient).norm())
    # Data and truth are rounded to 2^-24, and so is every step; the condition is below 1e2.
    assert error <= 1e-4 * float(exact.gradient.norm())
    assert found.gradient_bound >= error


@pytest.mark.parametrize("build, match", [
    (lambda: Implicit(0), "maxiter"), (lambda: Unrolled(0), "niter"),
    (lambda: Unrolled(3, 0), "every"), (lambda: JacobianFree(-1.0), "step"),
    (lambda: Piggyback(0), "maxiter"), (lambda: Direct(0), "largest"),
])  # fmt: skip
def test_bad_settings_are_named(build, match):
    with pytest.raises(ValueError, match=match):
        build()


def test_direct_refuses_large_problems(rng):
    problem, params = sampling(rng)
    with pytest.raises(ValueError, match="one sample has 40 real unknowns"):
        Direct(39)(LowerLevel(problem), params, 1e-3, 1e-3)


@pytest.mark.slow
def test_the_hypergradient_of_published_code():
    """192 x 192, computed by PDHG to 1e-10 and CG to 1e-6 with the code of Sherry et al. 2020."""
    folder = os.environ.get("ODL_LEARNED_DATA")
    if folder is None:
        pytest.skip("ODL_LEARNED_DATA is no folder with bilevel/mri_hypergradient_192_full.npz")
    file = np.load(Path(folder) / "bilevel" / "mri_hypergradient_192_full.npz")
    truth, data = (torch.as_tensor(file[name]) for name in ("truth", "data"))
    shape = tuple(truth.shape[1:])
    gamma, epsilon = float(file["gamma"]), float(file["epsilon"])
    beta = file["beta"]
    pixels = truth[0].numel()

    def sparsity(params):
        s = params[:-1]
        return (beta[0] * s.sum() + beta[1] * (s * (1 - s)).sum()) / pixels

    def coefficients(params):
        return Coefficients(params[-1], gamma, epsilon, params[:-1].reshape(shape) ** 2)

    energy = VariationEnergy(FourierSampling(), ForwardDifferences(shape), CubicAbsolute(),
                             coefficients)
    loss = SquaredError(truth, 1 / (2 * pixels))
    problem = BilevelProblem(energy, data, loss, torch.zeros_like(truth), sparsity)
    params = torch.as_tensor(np.append(file["weights"].ravel(), file["alpha"]))
    found = Implicit()(LowerLevel(problem), params, 1e-6, 1e-11)
    weights, alpha = found.gradient[:-1].reshape(shape).numpy(), float(found.gradient[-1])
    expected = file["hypergradient_weights"]
    assert np.linalg.norm(weights - expected) <= 1e-5 * np.linalg.norm(expected)
    assert alpha == pytest.approx(float(file["hypergradient_alpha"]), rel=1e-5)
