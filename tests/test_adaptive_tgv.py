"""Two learned parameter maps of total generalized variation: certified, with derivatives."""

import numpy as np
import odl
import pytest
import torch
from instances.shaking import shaken
from torch import nn

from odl_learned import bridge, learning, networks, reconstruction, solvers
from odl_learned.reconstruction.parameter_maps.adaptive import differences

SHAPE, START = (6, 5), [0.3, 0.7]


def images(count=2, shape=SHAPE):
    source = torch.Generator().manual_seed(0)
    return torch.randn(count, *shape, dtype=torch.float64, generator=source)


def adaptive(net, dimension=2, **more):
    return reconstruction.AdaptiveTGV(
        reconstruction.PositiveMaps(net, START, dimension=dimension), **more).double()


def network(channels=1, dimension=2):
    return shaken(networks.CNN(channels, 2, 4, 2, dimension=dimension)).double()


def denoised(y, maps, accuracy, maxiter=100000):
    return solvers.tgv_denoising(y, maps[..., 0, :, :], maps[..., 1, :, :], accuracy, maxiter,
                                 cell_sides=(1, 1))


class Free(nn.Module):
    """Maps that do not depend on the image."""

    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(1, 2, *SHAPE))

    def forward(self, y):
        return self.raw.expand(len(y), 2, *SHAPE)


def test_a_network_that_is_zero_gives_total_generalized_variation():
    model = adaptive(networks.UNet(1, 2, (4, 8), dimension=2))
    y = images()
    found, exact = model.solve(y), solvers.tgv_denoising(y, *START, 1e-3, cell_sides=(1, 1))
    np.testing.assert_allclose(found.x, exact.x, rtol=0, atol=1e-9)
    torch.testing.assert_close(model(y), exact.x, rtol=0, atol=1e-9)
    other = solvers.tgv_denoising(y, START[0], 3 * START[1], 1e-3, cell_sides=(1, 1))
    assert (found.x - other.x).abs().max() > 1e-3


def test_solutions_have_gaps_and_those_for_other_maps_break_the_bound():
    model, y = adaptive(network(), accuracy=1e-4, maxiter=20000), images()
    found, maps = model.solve(y), model.parameters_of(y).detach().numpy()
    assert (maps.max((0, 2, 3)) > 1.2 * maps.min((0, 2, 3))).all()
    assert (found.reason == "accuracy").all()
    better = denoised(y, maps, 1e-7)
    for rolled, holds in ((maps, True), (np.roll(maps, 2, 2), False), (maps[:, ::-1], False)):
        other = denoised(y, np.ascontiguousarray(rolled), 1e-4)
        distance = (other.x - better.x).flatten(1).norm(dim=1).numpy()
        assert ((distance <= other.error_bound + better.error_bound) == holds).all()
    # Constant images are ignored by the regularizer, so that the mean is kept.
    np.testing.assert_allclose(found.x.mean((1, 2)), y.mean((1, 2)), atol=1e-12)


def test_derivatives_by_parameters_and_data():
    net = Free()
    model = adaptive(net, accuracy=1e-10, maxiter=100000, smoothing=1e-5,
                     derivative=reconstruction.ImplicitDerivative(1e-9, 5000))
    y = images(1).requires_grad_()
    slope, e = images(2)[1:], 1e-3
    (model(y) * slope).sum().backward()
    source = torch.Generator().manual_seed(3)
    for value, by in ((net.raw, torch.randn(1, 2, *SHAPE, dtype=torch.float64, generator=source)),
                      (y, torch.randn(1, *SHAPE, dtype=torch.float64, generator=source))):
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


@pytest.mark.parametrize("shape", [SHAPE, (3, 4, 3)])
def test_the_hessian_is_the_derivative_of_the_gradient_of_the_energy(shape):
    model = adaptive(network(1, len(shape)), len(shape), smoothing=0.1)
    y, d = images(2, shape)[:, None], len(shape)
    maps = model.parameters_of(y[:, 0]).detach()
    energy = model.energy(y, maps)
    z, h, k = images(6 * (d + 1), shape).reshape(3, 2, 1, d + 1, *shape)

    def value(z):
        rise, _, bend, _ = differences(shape, y.dtype)
        lengths = [(g.square().sum((1, 2)) + 0.1**2).sqrt()
                   for g in (rise(z[:, :, 0]) - z[:, :, 1:], bend(z[:, :, 1:]))]
        return ((z[:, :, 0] - y).square().sum() / 2
                + (maps[:, 0] * (lengths[0] + maps[:, 1] * lengths[1])).sum())

    expected, product = torch.func.jvp(torch.func.grad(value), (z,), (h,))
    torch.testing.assert_close(energy.gradient(z), expected)
    torch.testing.assert_close(energy.hessian(z)(h), product)
    H = energy.hessian(z)
    assert ((H(h) * h).flatten(1).sum(1) > 0).all()
    torch.testing.assert_close((H(h) * k).sum(), (H(k) * h).sum())
    one = torch.tensor([1])
    torch.testing.assert_close(H.take(one)(h[one]), product[one])
    assert model(y[:, 0]).shape == (2, *shape)


def test_samples_stay_apart():
    model = adaptive(network())
    y = images(3).requires_grad_()
    model(y).square().sum().backward()
    for n in range(3):
        alone = y.detach()[n : n + 1].requires_grad_()
        x = model(alone)
        torch.testing.assert_close(x[0], model(y)[n], rtol=0, atol=1e-12)
        x.square().sum().backward()
        torch.testing.assert_close(alone.grad[0], y.grad[n], rtol=1e-9, atol=1e-9)
    assert torch.equal(model(y.detach()[0]), model.eval()(y.detach()[:1])[0])
    assert model(y[:0]).shape == (0, *SHAPE)


def test_complex_images_and_odl():
    X = odl.uniform_discr([0, 0], [1, 1], SHAPE, dtype="complex128")
    model = adaptive(network(2), accuracy=1e-3)
    Phi = bridge.as_operator(model, X, X)
    y = torch.complex(*images())
    x = Phi(X.element(y.numpy()))
    exact = denoised(y.numpy(), model.parameters_of(y).detach().numpy(), 1e-6)
    assert np.linalg.norm(x.asarray() - exact.x) <= (
        model.solve(y[None]).error_bound[0] + exact.error_bound)
    assert Phi.derivative(X.one()).adjoint(X.one()) in X


def test_training_by_the_one_loop_makes_it_better(tmp_path):
    ramp = torch.linspace(0, 2, 12)
    clean = (ramp[:, None] - ramp).abs().expand(8, 12, 12).clone()
    clean[:, ::2, 8:] += 0.7  # stripes that uniform smoothing removes
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    net = networks.UNet(1, 2, (8, 16), dimension=2, generator=torch.Generator().manual_seed(2))
    model = reconstruction.AdaptiveTGV(
        reconstruction.PositiveMaps(net, [0.3, 1.0], dimension=2), accuracy=1e-2)

    def error():
        return float((model.solve(noisy).x - clean).square().mean())

    before = error()
    learning.train(model, list(zip(noisy, clean)), steps=16, batch_size=4, progress=False,
                   optimizer=torch.optim.Adam(model.parameters(), 1e-2))
    assert error() < 0.8 * before
    A = odl.IdentityOperator(odl.uniform_discr([0, 0], [1, 1], (12, 12), dtype="float32"))
    learning.save_reconstruction(tmp_path / "map.pt", model, A)
    found = learning.load_reconstruction(tmp_path / "map.pt", A)
    assert torch.equal(found.model(noisy), model.eval()(noisy))


def test_wrong_arguments():
    one = reconstruction.PositiveMaps(network(), [0.1], dimension=2)
    with pytest.raises(ValueError, match="has 1 maps, expected two; pass two numbers as start"):
        reconstruction.AdaptiveTGV(one)
    with pytest.raises(TypeError, match=r"expected PositiveMaps\(net, \[0.1, 0.1\], dimension=2"):
        reconstruction.AdaptiveTGV(network())
    with pytest.raises(ValueError, match="factor 1000, expected one below 1000"):
        reconstruction.AdaptiveTGV(
            reconstruction.PositiveMaps(network(), START, dimension=2, factor=1000))
    with pytest.raises(ValueError, match="smoothing"):
        adaptive(network(), smoothing=0.0)
