"""Deep equilibria: limits of classical methods, implicit against unrolled derivatives, warnings."""

import warnings

import numpy as np
import odl
import pytest
import torch
from test_unrolled import PROBLEMS, tensor
from torch import nn

from odl_learned import operators
from odl_learned.bridge import as_module, as_operator, as_proximal_module
from odl_learned.learning import train
from odl_learned.networks import CNN, OnImages, ResidualCNN
from odl_learned.reconstruction import (
    DeepEquilibrium,
    GradientStep,
    LearnedProximalGradient,
    LearnedStepSize,
)

F64 = torch.float64


def convolutional(dimension=2, scale=0.15, parts=1):
    """A network with random weights and a small Lipschitz constant, plus half of the identity."""
    net = CNN(parts, parts, 4, 2, dimension=dimension)
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=source))
    return Averaged(OnImages(net.double(), dimension=dimension))


class Averaged(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, u):
        return 0.5 * u + 0.3 * self.net(u)


def equilibrium(A, step, **options):
    options = {"dimension": len(A.domain.shape), "accuracy": 1e-12, "backward_accuracy": 1e-12,
               "maxiter": 500} | options
    return DeepEquilibrium(as_module(A), as_module(A.adjoint), step, **options)


def blurred(dtype="float64", shape=(6, 7)):
    X = odl.uniform_discr([0] * len(shape), [1] * len(shape), shape, dtype=dtype)
    kernel = np.array([0.25, 0.5, 0.25]).reshape(3, *(1 for _ in shape[1:]))
    return operators.PeriodicConvolution(X, kernel)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_limit_of_landweber_solves_the_normal_equations(problem, rng):
    A, y = problem(rng)
    tau = 1 / float(odl.power_method_opnorm(A, maxiter=100)) ** 2
    model = equilibrium(A, GradientStep(nn.Identity(), tau), accuracy=1e-10, maxiter=2000)
    x = A.domain.element(model(tensor(y)).numpy())
    assert A.adjoint(A(x) - y).norm() < 1e-6 * A.adjoint(y).norm() and x.norm() > 0.01


def test_with_a_proximal_it_is_the_variational_solution(rng):
    A, y = PROBLEMS[1](rng)
    tau = 1 / operators.operator_norm(A) ** 2
    l1 = 0.1 * odl.functionals.L1Norm(A.domain)
    proximal = as_proximal_module(l1)
    model = equilibrium(A, GradientStep(lambda u: proximal(u, tau), tau), accuracy=1e-10)
    x = A.domain.zero()
    odl.solvers.accelerated_proximal_gradient(
        x, l1, 0.5 * odl.functionals.L2NormSquared(A.range).translated(y) @ A, tau, 600)
    np.testing.assert_allclose(model(tensor(y)).numpy(), x.asarray(), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_implicit_derivatives_are_those_of_the_unrolled_limit(dtype):
    A = blurred(dtype)
    parts = 2 if dtype == "complex128" else 1
    step = GradientStep(convolutional(parts=parts), 0.8)
    model = equilibrium(A, step)
    unrolled = LearnedProximalGradient(as_module(A), as_module(A.adjoint), [step] * 120)
    y = torch.randn(3, 6, 7, dtype=getattr(torch, dtype),
                    generator=torch.Generator().manual_seed(0))
    g = torch.randn(3, 6, 7, dtype=y.dtype, generator=torch.Generator().manual_seed(2))
    results = []
    for reconstruct in (model, unrolled):
        data = y.clone().requires_grad_()
        step.zero_grad()
        u = reconstruct(data)
        (u * g.conj()).real.sum().backward()
        results.append((u.detach(), data.grad, *(p.grad.clone() for p in step.parameters())))
    for implicit, explicit in zip(*results):
        scale = explicit.abs().max()
        assert scale > 1e-3 and (implicit - explicit).abs().max() < 1e-9 * scale
    R = as_operator(model, A.range, A.domain)
    derivative = R.derivative(A.range.element(y[0].numpy()))
    h, w = A.range.element(y[1].numpy()), A.domain.element(g[0].numpy())
    left, right = np.real(derivative(h).inner(w)), np.real(h.inner(derivative.adjoint(w)))
    assert left == pytest.approx(right, rel=1e-8)
    quotient = (R(A.range.element(y[0].numpy()) + 1e-6 * h) - R(A.range.element(y[0].numpy())
                                                                - 1e-6 * h)) / 2e-6
    assert (quotient - derivative(h)).norm() < 1e-4 * quotient.norm()


def test_acceleration_needs_half_of_the_iterations():
    A = blurred()
    y = torch.randn(4, 6, 7, dtype=F64, generator=torch.Generator().manual_seed(0))
    counts = [equilibrium(A, GradientStep(Averaged(nn.Identity()), 0.3), memory=m, accuracy=1e-8)
              .solve(y).niter for m in (0, 5)]
    assert np.all(counts[1] <= 0.5 * counts[0])


@pytest.mark.parametrize("shape", [(9,), (4, 5, 3)])
def test_signals_volumes_any_batch_axes_and_a_start(shape):
    A = blurred(shape=shape)
    model = equilibrium(A, GradientStep(convolutional(len(shape)), 0.8),
                        initial=as_module(A.adjoint))
    y = torch.randn(2, 3, *shape, dtype=F64, generator=torch.Generator().manual_seed(0))
    u = model(y)
    assert u.shape == y.shape and model(y[:0]).shape == (0, 3, *shape)
    torch.testing.assert_close(model(y[1, 2]), u[1, 2], rtol=1e-9, atol=1e-10)
    zero = equilibrium(A, model.step)
    torch.testing.assert_close(zero(y), u, rtol=1e-8, atol=1e-9)


def test_an_expansive_network_is_reported_with_its_residual():
    A = blurred()
    y = torch.ones(2, 6, 7, dtype=F64)

    class Expansion(nn.Module):
        def forward(self, u):
            return 1.5 * u + 1

    model = equilibrium(A, GradientStep(Expansion(), 0.1), maxiter=20, memory=0, accuracy=1e-6)
    with pytest.warns(RuntimeWarning, match="equilibrium was not reached in 2 of 2.*residual"):
        model(y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = model.solve(y)
    assert list(solution.reason) == ["maxiter"] * 2 and np.all(solution.residual > 0.1)


class Means(nn.Module):
    """Subtracts the mean over the batch, behind a weight that is zero at first."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=F64))

    def forward(self, u):
        return u - self.weight * u.mean(0)


def test_samples_are_compared_by_one_step():
    """Fresh networks have zeros, random numbers in their place need not have a limit; a limit stops
    at its residual in a batch and alone, not at rounding."""
    A = blurred()
    y = np.stack([A.range.element(np.outer(np.arange(6) + k, np.ones(7))).data for k in range(2)])
    step = GradientStep(OnImages(ResidualCNN(1, 1, 8, 4).double(), dimension=2),
                        LearnedStepSize(1.0))  # fmt: skip
    model = equilibrium(A, step, accuracy=1e-1, backward_accuracy=1e-1, maxiter=30).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    train(model, [(data, data) for data in y], steps=1, optimizer=optimizer, batch_size=2,
          progress=False)  # fmt: skip
    as_operator(model.eval(), A.range, A.domain)
    with pytest.raises(ValueError, match="DeepEquilibrium .* in a batch of two"):
        equilibrium(A, GradientStep(Means(), 0.5))


def test_an_error_bound_by_a_contraction(rng):
    """For ``P = 0.7 id`` and tau below two over the norm squared, T contracts by 0.7."""
    A = blurred()

    class Seven(nn.Module):
        def forward(self, u):
            return 0.7 * u

    step = GradientStep(Seven(), 0.9)
    y = torch.randn(2, 6, 7, dtype=F64, generator=torch.Generator().manual_seed(0))
    exact = equilibrium(A, step).solve(y).x
    for maxiter in (1, 3, 10):
        rough = equilibrium(A, step, contraction=0.7, maxiter=maxiter, memory=0).solve(y)
        error = torch.linalg.vector_norm((rough.x - exact).flatten(1), dim=1).numpy()
        assert np.all(error <= rough.error_bound * (1 + 1e-9))
        assert np.all(rough.error_bound <= 30 * error)
    with pytest.raises(ArithmeticError, match="contraction is 0.2, but two points"):
        equilibrium(A, step, contraction=0.2).solve(y)


def test_second_derivatives_are_an_error():
    model = equilibrium(blurred(), GradientStep(convolutional(), 0.8))
    y = torch.ones(1, 6, 7, dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(model(y).square().sum(), y, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative of a deep equilibrium"):
        slope.sum().backward()


def test_errors():
    A, step = blurred(), GradientStep(nn.Identity(), 0.5)
    for mistake, error, message in (
        (lambda: DeepEquilibrium(A, as_module(A.adjoint), step, dimension=2), TypeError,
         r"forward is an operator on spaces.*as_module\(op\)"),
        (lambda: equilibrium(A, torch.relu), TypeError, "step is .*expected a torch module"),
        (lambda: equilibrium(A, step, accuracy=0), ValueError, "accuracy is 0; expected"),
        (lambda: equilibrium(A, step, maxiter=0), ValueError, "maxiter is 0; expected"),
        (lambda: equilibrium(A, step, contraction=1.0), ValueError, "contraction is 1.0; expect"),
        (lambda: equilibrium(A, step, dimension=0), ValueError, "dimension is 0, expected"),
        (lambda: equilibrium(A, step).solve(torch.ones(6, 7, dtype=F64)), ValueError,
         "expected one batch axis"),
    ):
        with pytest.raises(error, match=message):
            mistake()
