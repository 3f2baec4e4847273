"""Radial basis activations: against the sum of Gaussians, derivatives, potential, doors."""

import math

import pytest
import torch

from odl_learned.networks import RadialBasis

F64 = torch.float64


def activation(channels=3, centers=7, radius=1.5, dtype=F64, seed=0):
    net = RadialBasis(channels, centers, radius).to(dtype)
    with torch.no_grad():
        weights = torch.randn(channels, centers, generator=torch.Generator().manual_seed(seed))
        net.weights.copy_(weights)
    return net


def gaussians(net, t, derivative=0):
    """The sum as it is written, and its derivatives."""
    channels, centers = net.weights.shape
    mu, h = torch.linspace(-net.radius, net.radius, centers, dtype=F64), 2 * net.radius / (
        centers - 1)
    s = (t[..., None] - mu) / h
    factor = {0: torch.ones_like(s), 1: -s / h, 2: (s**2 - 1) / h**2}[derivative]
    weights = net.weights.view(channels, *(1 for _ in t.shape[2:]), centers)
    return (weights * factor * torch.exp(-(s**2) / 2)).sum(-1)


def points(net, extent=3.0):
    """Numbers inside and outside of the centers, ``(N, K, n)``."""
    grid = torch.linspace(-extent, extent, 401, dtype=F64)
    return grid.expand(2, len(net.weights), -1).clone()


@pytest.mark.parametrize("centers, radius", [(7, 1.5), (31, 1.0), (2, 0.3)])
def test_values_within_the_error_of_the_table(centers, radius):
    net = activation(centers=centers, radius=radius)
    t = points(net, 2.5 * radius)
    size = net.weights.abs().sum(1)[:, None]
    error = ((net(t) - gaussians(net, t)).abs() / size).max()
    assert error <= 5**-4 / 128 + 2e-8  # of the cubics, and of the tail that is cut off
    # Two derivatives: s^3 / 72 sqrt(3) of the first and s^2 / 12 of the second, times 3 / h^4 h^4
    h = 2 * radius / (centers - 1)
    inside = t.abs() < radius
    for order, bound in ((1, 5**-3 / (24 * math.sqrt(3)) / h), (2, 5**-2 / 4 / h**2)):
        slope = t.clone().requires_grad_()
        value = net(slope)
        for _ in range(order):
            (value,) = torch.autograd.grad(value.sum(), slope, create_graph=True)
        error = ((value - gaussians(net, t, order)).abs() / size)[inside.expand_as(t)].max()
        assert error <= bound


def test_far_outside_it_is_constant():
    net = activation()
    t = torch.tensor([-1e6, -50.0, 50.0, 1e6], dtype=F64).expand(1, 3, 4).clone().requires_grad_()
    y = net(t)
    assert y.abs().max() <= 2e-8 * net.weights.abs().sum(1).max()
    y.sum().backward()
    assert not t.grad.any()


def test_derivatives_of_all_orders_belong_to_the_values():
    net = activation(2, 5, 1.0)

    def function(t, weights):
        return torch.func.functional_call(net, {"weights": weights}, (t,))

    t = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(1), dtype=F64)
    inputs = (t.requires_grad_(), net.weights)
    h, g = torch.randn_like(t), torch.randn_like(t)
    value, forward = torch.func.jvp(net, (t,), (h,))
    (back,) = torch.func.vjp(net, t)[1](g)
    torch.testing.assert_close((g * forward).sum(), (back * h).sum())
    torch.testing.assert_close(torch.func.vmap(net)(t[:, None])[:, 0], value)
    hessian = torch.func.jvp(torch.func.grad(lambda u: (net(u) * g).sum()), (t,), (h,))[1]
    slope = gaussians(net, t, 2) * g * h
    assert (hessian - slope).abs().max() <= 5**-2 / 4 / 0.5**2 * (g * h).abs().max() * 5
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_it_is_the_derivative_of_its_potential():
    net = activation()
    t = points(net, 2.0).requires_grad_()
    (slope,) = torch.autograd.grad(net.potential(t).sum(), t)
    size = net.weights.abs().sum(1)[:, None]
    # the slope of a cubic with values and slopes of the potential: s^3 / (72 sqrt 3) max |phi'''|
    assert ((slope - gaussians(net, t)).abs() / size).max() <= 5**-3 * 1.4 / (72 * math.sqrt(3))
    assert not net.potential(torch.zeros(1, 3, 1, dtype=F64)).any()
    mu, h = torch.linspace(-1.5, 1.5, 7, dtype=F64), 0.5
    area = h * math.sqrt(math.pi / 2) * (torch.erf((t[..., None] - mu) / h / math.sqrt(2))
                                         - torch.erf(-mu / h / math.sqrt(2)))
    exact = (net.weights[:, None] * area).sum(-1)
    assert ((net.potential(t) - exact).abs() / size).max() <= 2 * h * 5**-4 / 384 * 1.4 + 1e-8


@pytest.mark.parametrize("shape", [(4,), (4, 3), (2, 3, 2)])
def test_channels_keep_to_themselves(shape):
    net = activation(dtype=torch.float32)
    t = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(2))
    y = net(t)
    assert y.shape == t.shape and y.dtype == torch.float32
    for k in range(3):
        one = activation(1, dtype=torch.float32)
        with torch.no_grad():
            one.weights.copy_(net.weights[k : k + 1])
        torch.testing.assert_close(one(t[:, k : k + 1]), y[:, k : k + 1], rtol=1e-5, atol=1e-6)
    assert net(t[:0]).shape == (0, 3, *shape)


def test_it_begins_as_a_line_on_its_centers():
    net = RadialBasis(2, 31, 1.0, slope=0.7)
    t = torch.linspace(-0.6, 0.6, 50).expand(1, 2, -1)
    torch.testing.assert_close(net(t), 0.7 * t, rtol=0, atol=2e-3)
    assert not RadialBasis(2, 31, 1.0)(t).any()


def test_state_has_the_weights_alone_and_casts_lose_nothing():
    net = RadialBasis(1, 5, 1.0, slope=1.0)
    assert list(net.state_dict()) == ["weights"]
    t = torch.linspace(-1, 1, 40, dtype=F64).expand(1, 1, -1)
    assert (net.double()(t) - gaussians(net, t)).abs().max() < 1e-5


def test_errors():
    for mistake, message in (
        (lambda: RadialBasis(0, 5, 1.0), "channels is 0; expected"),
        (lambda: RadialBasis(1, 1, 1.0), "centers is 1; expected a whole number of at least 2"),
        (lambda: RadialBasis(1, 5, 0.0), "radius is 0.0; expected"),
        (lambda: RadialBasis(2, 5, 1.0)(torch.ones(1, 3, 4)), r"expected \(N, 2, \.\.\.\)"),
    ):
        with pytest.raises(ValueError, match=message):
            mistake()
