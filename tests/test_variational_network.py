"""The variational network: Landweber, fields of experts in ODL, its potential, adjoint filters."""

import numpy as np
import odl
import pytest
import torch
from test_unrolled import PROBLEMS, assert_same, tensor, unrolled

from odl_learned import operators
from odl_learned.bridge import as_operator
from odl_learned.networks import RadialBasis
from odl_learned.reconstruction import LearnedStepSize, VariationalStep

F64 = torch.float64


def step(dimension, parts=1, filters=3, size=3, tau=0.1, slope=0.0, radius=3.0, centers=21):
    activations = RadialBasis(filters, centers, radius, slope=slope)
    return VariationalStep(filters, size, activations, tau, dimension=dimension, parts=parts,
                           generator=torch.Generator().manual_seed(0)).double()  # fmt: skip


def learned(dimension, parts=1, seed=1):
    """A step with random activations."""
    result = step(dimension, parts, tau=LearnedStepSize(0.1))
    weights = result.activations.weights
    with torch.no_grad():
        weights.copy_(torch.randn(weights.shape, generator=torch.Generator().manual_seed(seed)))
    return result


def image(*shape, dtype=F64, seed=2):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("problem", PROBLEMS[1:])
def test_activations_at_zero_give_landweber(problem, rng):
    A, y = problem(rng)
    tau = 0.9 / float(odl.power_method_opnorm(A, maxiter=100)) ** 2
    parts = 2 if np.iscomplexobj(tensor(y).numpy()) else 1
    model = unrolled(A, [step(len(A.domain.shape), parts, tau=tau) for _ in range(4)])
    x, iterates = A.domain.zero(), [A.domain.zero().asarray()]
    odl.solvers.landweber(A, x, y, niter=4, omega=tau,
                          callback=lambda u: iterates.append(u.asarray().copy()))
    with torch.no_grad():
        assert_same(list(model.iterates(tensor(y))), iterates)


@pytest.mark.parametrize("shape", [(9,), (6, 7), (4, 5, 3)])
def test_linear_activations_give_filters_of_odl(shape):
    """With ``phi(t) = s t`` the gradient is ``s F* F u``, the filter bank of ODL."""
    X = odl.uniform_discr([0] * len(shape), [1] * len(shape), shape)
    network = step(len(shape), slope=0.7, radius=20.0, centers=41)
    u = 0.5 * image(*shape)
    bank = operators.FilterBank(X, network.filters.detach()[:, 0].numpy())
    expected = 0.7 * bank.adjoint(bank(X.element(u.numpy()))).asarray()
    found = network.regularizer_gradient(u).detach()
    # Gaussians of distance h sum up to a line but for 2 exp(-2 pi^2) of its slope, 5e-9
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-4 * np.abs(expected).max())


@pytest.mark.parametrize("shape, dtype", [
    ((9,), F64), ((6, 7), F64), ((6, 7), torch.complex128), ((4, 5, 3), F64)])  # fmt: skip
def test_it_is_the_gradient_of_its_regularizer(shape, dtype):
    network = learned(len(shape), 2 if dtype.is_complex else 1)
    u = image(2, *shape, dtype=dtype).requires_grad_()
    value = network.regularizer(u)
    assert value.shape == (2,) and value.dtype == F64
    (gradient,) = torch.autograd.grad(value.sum(), u)
    found = network.regularizer_gradient(u)
    # the slope of the cubics of the potential against the cubics of the slope: s^3 / (72 sqrt 3)
    size = network.activations.weights.abs().sum() * network.filters.abs().sum()
    assert (found - gradient).abs().max() <= 5**-3 * 1.4 / 124 * size
    torch.testing.assert_close(network.regularizer_gradient(u[1]), found[1])
    assert network.regularizer(u[0]).shape == ()


def test_filters_have_mean_zero_and_norm_one():
    for parts in (1, 2):
        network = step(2, parts, size=5)
        with torch.no_grad():
            network.raw_filters.mul_(7.0).add_(3.0)
        filters = network.filters.flatten(1)
        torch.testing.assert_close(filters.norm(dim=1), torch.ones(3, dtype=F64))
        assert filters.mean(1).abs().max() < 1e-15
    constant = torch.full((1, 6, 6), 0.3, dtype=F64)
    flat = step(2).eval()
    responses = flat._responses(flat._channels(constant), flat.filters)
    assert responses.abs().max() < 1e-15


def test_back_to_odl_with_derivatives(rng):
    A, y = PROBLEMS[4](rng)
    model = unrolled(A, [learned(2, parts=2, seed=k) for k in range(2)])
    R = as_operator(model, A.range, A.domain)
    h, g = A.range.element(y.asarray()[::-1].copy()), A.domain.element(y.asarray().T.reshape(6, 5))
    derivative = R.derivative(y)
    left, right = derivative(h).inner(g).real, h.inner(derivative.adjoint(g)).real
    assert left == pytest.approx(right, rel=1e-9)
    step_size = 1e-6
    quotient = (R(y + step_size * h) - R(y - step_size * h)) / (2 * step_size)
    assert (quotient - derivative(h)).norm() < 1e-6 * quotient.norm()


def test_training_reaches_all_parameters():
    network = learned(2)
    u, memory = network(image(2, 5, 6), image(2, 5, 6, seed=3), None)
    assert memory is None
    u.square().sum().backward()
    assert {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()
            } == {"raw_filters", "activations.weights", "step_size.log_step_size"}


def test_errors():
    two = RadialBasis(2, 5, 1.0)
    for mistake, error, message in (
        (lambda: VariationalStep(2, 4, two, 0.1, dimension=2), ValueError, "size is 4; expected"),
        (lambda: VariationalStep(3, 3, two, 0.1, dimension=2), ValueError, "has 2 channels"),
        (lambda: VariationalStep(2, 3, two, 0.1, dimension=2, parts=3), ValueError, "parts is 3"),
        (lambda: VariationalStep(2, 3, torch.relu, 0.1, dimension=2), TypeError, "RadialBasis"),
        (lambda: VariationalStep(2, 3, two, -1.0, dimension=2), ValueError, "step_size is -1.0"),
        (lambda: step(2).regularizer(image(4, 4) + 0j), ValueError, "u is complex.*parts=2"),
        (lambda: step(2, 2).regularizer(image(4, 4)), ValueError, "u is real.*parts=1"),
        (lambda: step(2, size=7).regularizer(image(8, 2)), ValueError, "expected at least 3"),
    ):
        with pytest.raises(error, match=message):
            mistake()
