"""Hypergradients of iterations that have not converged: what exactly they are derivatives of."""

import dataclasses

import pytest
import torch
from hypergradient_problems import PROBLEMS, denoising, derivative, penalty, step, twin

from odl_learned.learning.bilevel.hypergradients import Direct, Implicit, JacobianFree, Unrolled
from odl_learned.learning.bilevel.hypergradients.unrolled import accelerated, plain
from odl_learned.learning.bilevel.lower import LowerLevel


def fixed(scheme):
    """The same steps for all parameters near ``params``: what unrolling differentiates."""
    return lambda lipschitz, strong_convexity: scheme


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("scheme", [accelerated, plain])
def test_unrolled_agrees_with_differences_of_its_value(scheme, name, rng):
    """After seven steps, far from the solution; the steps are the same for all parameters."""
    problem, params = PROBLEMS[name](rng)
    energy = problem.energy
    steps = scheme(energy.lipschitz(params), energy.strong_convexity(params))
    mode = Unrolled(7, scheme=fixed(steps))
    gradient = mode(LowerLevel(problem), params, 1.0, 1.0).gradient
    exact = Direct()(LowerLevel(problem), params, 1e-8, 1e-8).gradient
    assert float((gradient - exact).norm()) > 1e-4 * float(exact.norm())
    for v in (gradient / gradient.abs().max(), torch.as_tensor(rng.standard_normal(params.shape))):

        def value(t, v=v):
            return mode(LowerLevel(problem), params + t * v, 1.0, 1.0).value

        error = abs(float(gradient @ v) - derivative(value, step(problem) / 4))
        assert error <= 1e-6 * float(gradient.norm())


@pytest.mark.parametrize("name", ["denoising", "sampling", "denoising, autograd"])
@pytest.mark.parametrize("scheme", [accelerated, plain])
@pytest.mark.parametrize("niter, every", [(1, None), (7, 1), (7, 3), (16, None), (5, 40)])
def test_unrolled_differentiates_its_iterates(name, scheme, niter, every, rng):
    """Few steps, far from the solution: backpropagation through the loop by autograd agrees."""
    problem, params = PROBLEMS[name](rng)
    energy = twin(problem.energy)
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


@pytest.mark.parametrize("name", PROBLEMS)
def test_jacobian_free_is_a_step_of_the_fixed_point_map(name, rng):
    """``(d_theta T)^T grad l`` with ``T(x) = x - tau d_x E``, dense, from differences of ``T``."""
    problem, params = PROBLEMS[name](rng)
    energy = twin(problem.energy)
    tau = 1 / problem.energy.lipschitz(params)
    found = JacobianFree()(LowerLevel(problem), params, 1e-10, 1.0)

    def fixed_point(theta):
        return found.x - tau * energy.gradient(found.x, theta, problem.data)

    units = torch.eye(len(params), dtype=params.dtype)
    columns = [derivative(lambda t, u=u: fixed_point(params + t * u), 1e-2) for u in units]
    slope = problem.loss.gradient(found.x)
    expected = torch.stack([(c * slope.conj()).real.sum() for c in columns]) + 0.2 * params
    torch.testing.assert_close(found.gradient, expected, rtol=1e-9, atol=1e-9)
    half = JacobianFree(tau / 2)(LowerLevel(problem), params, 1e-10, 1.0)
    torch.testing.assert_close(half.adjoint, found.adjoint / 2, rtol=1e-12, atol=0)
