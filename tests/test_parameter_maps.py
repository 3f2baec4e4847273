"""Learned parameter maps: convex for every network, with derivatives, and back in ODL."""

import numpy as np
import odl
import pytest
import torch
from instances.shaking import shaken
from torch import nn

from odl_learned import bridge, learning, networks, reconstruction, solvers

SHAPE = (6, 5)


def images(count=2, dtype=torch.float64):
    return torch.randn(count, *SHAPE, dtype=dtype, generator=torch.Generator().manual_seed(0))


def adaptive(net, **more):
    return reconstruction.AdaptiveTV(
        reconstruction.PositiveMaps(net, [0.3], dimension=2), **more).double()


def network(channels=1):
    return shaken(networks.CNN(channels, 1, 4, 2, dimension=2)).double()


class Free(nn.Module):
    """A map that does not depend on the image."""

    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(1, 1, *SHAPE))

    def forward(self, y):
        return self.raw.expand(len(y), 1, *SHAPE)


def test_a_network_that_is_zero_gives_total_variation():
    model = adaptive(networks.UNet(1, 1, (4, 8), dimension=2), accuracy=1e-6)
    y = images()
    found, exact = model.solve(y), solvers.rof(y, 0.3, 1e-6, cell_sides=(1, 1))
    np.testing.assert_allclose(found.x, exact.x, rtol=0, atol=1e-9)
    torch.testing.assert_close(model(y), exact.x, rtol=0, atol=1e-9)


def test_solutions_have_gaps_and_the_mean_of_the_data():
    model, y = adaptive(network(), accuracy=1e-6), images()
    found = model.solve(y)
    alpha = model.parameters_of(y)[:, 0].detach().numpy()
    assert alpha.max() > 1.2 * alpha.min()
    assert (found.reason == "accuracy").all()
    better = solvers.rof(y, alpha, 1e-10, maxiter=100000, cell_sides=(1, 1))
    distance = (found.x - better.x).flatten(1).norm(dim=1).numpy()
    assert (distance <= found.error_bound + better.error_bound).all()
    wrong = solvers.rof(y, np.roll(alpha, 2, axis=1), 1e-6, cell_sides=(1, 1))
    distance = (wrong.x - better.x).flatten(1).norm(dim=1).numpy()
    assert (distance > wrong.error_bound + better.error_bound).all()
    np.testing.assert_allclose(found.x.mean((1, 2)), y.mean((1, 2)), atol=1e-12)


def test_derivatives_by_parameters_and_data():
    net = Free()
    model = adaptive(net, accuracy=1e-12, maxiter=50000, smoothing=1e-5,
                     derivative=reconstruction.ImplicitDerivative(1e-9, 3000))
    y = images(1).requires_grad_()
    slope, e = images(2)[1:], 1e-3
    (model(y) * slope).sum().backward()
    for value, by in ((net.raw, torch.randn(1, 1, *SHAPE, dtype=torch.float64)),
                      (y, torch.randn(1, *SHAPE, dtype=torch.float64))):
        ends = []
        with torch.no_grad():
            for sign in (1, -1):
                value.add_(sign * e * by)
                ends.append((model(y) * slope).sum())
                value.sub_(sign * e * by)
        quotient, product = (ends[0] - ends[1]) / (2 * e), (value.grad * by).sum()
        # Central differences of a piecewise smooth function: e^2, and sqrt(gap) / e of solutions.
        assert abs(quotient - product) < 2e-3 * abs(product)
        assert abs(quotient - product) < abs(quotient - 1.05 * product)


def test_complex_images_and_odl():
    X = odl.uniform_discr([0, 0], [1, 1], SHAPE, dtype="complex128")
    model = adaptive(network(2))
    Phi = bridge.as_operator(model, X, X)
    y = torch.complex(*images())
    x = Phi(X.element(y.numpy()))
    alpha = model.parameters_of(y).detach()[0].numpy()
    exact = solvers.rof(y.numpy(), alpha, 1e-8, maxiter=100000, cell_sides=(1, 1))
    assert np.linalg.norm(x.asarray() - exact.x) <= (
        model.solve(y[None]).error_bound[0] + exact.error_bound)
    assert Phi.derivative(X.one()).adjoint(X.one()) in X


def test_training_by_the_one_loop_makes_it_better(tmp_path):
    clean = torch.zeros(8, 12, 12)
    clean[:, :, 6:] = 1.0
    clean[:, ::2, :3] += 0.5  # stripes that uniform smoothing removes
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    net = networks.UNet(1, 1, (8, 16), dimension=2, generator=generator)
    model = reconstruction.AdaptiveTV(
        reconstruction.PositiveMaps(net, [0.2], dimension=2), accuracy=1e-3)

    def error():
        return float((model.solve(noisy).x - clean).square().mean())

    before = error()
    pairs = list(zip(noisy, clean))
    learning.train(model, pairs, steps=40, batch_size=4, progress=False,
                   optimizer=torch.optim.Adam(model.parameters(), 1e-2))
    assert error() < 0.8 * before
    A = odl.IdentityOperator(odl.uniform_discr([0, 0], [1, 1], (12, 12), dtype="float32"))
    learning.save_reconstruction(tmp_path / "map.pt", model, A)
    found = learning.load_reconstruction(tmp_path / "map.pt", A)
    assert torch.equal(found.model(noisy), model.eval()(noisy))


def test_wrong_numbers_of_maps():
    with pytest.raises(ValueError, match="parameters_of has 2 maps, expected one"):
        reconstruction.AdaptiveTV(
            reconstruction.PositiveMaps(network(), [0.1, 0.2], dimension=2))
    with pytest.raises(ValueError, match="net returned shape .*a channel for each number"):
        reconstruction.PositiveMaps(
            networks.CNN(1, 2, 4, 2, dimension=2).double(), [0.1], dimension=2)(images())


def test_the_factor_of_maps_is_one_that_the_solver_takes():
    def saturated(factor):
        net = nn.Conv2d(1, 1, 1).double()
        nn.init.constant_(net.weight, 1e4)
        return reconstruction.AdaptiveTV(
            reconstruction.PositiveMaps(net, [0.1], dimension=2, factor=factor), maxiter=5)

    y = images()
    assert saturated(999).solve(y).x.shape == y.shape
    with pytest.raises(ValueError, match="factor 1000, expected one below 1000"):
        saturated(1000)
