"""Learned ridges: constants by construction, gradients, denoising with a certificate, files."""

import math
import pickle

import numpy as np
import odl
import pytest
import torch

from odl_learned import bridge, learning, networks, reconstruction, regularizers, solvers
from odl_learned.energies import check_energy
from odl_learned.functionals import l2_fidelity
from odl_learned.learning import bilevel
from odl_learned.regularizers import certificates

BOUNDARIES = {"reflecting": networks.Reflecting, "inside": networks.Inside,
              "circular": networks.Circular, "zero": networks.Zero}  # fmt: skip
POTENTIALS = {
    "Huber": lambda: (regularizers.Huber(), regularizers.Huber()),
    "log cosh": lambda: (regularizers.LogCosh(), regularizers.LogCosh()),
    "splines": lambda: (networks.ConvexSpline(6, 4, 1.5), networks.ConvexSpline(6, 3, 1.0)),
    "convex": lambda: (regularizers.LogCosh(), None),
}  # fmt: skip


def ridge(name="log cosh", boundary=networks.Reflecting, channels=(1, 6), dimension=2, seed=0):
    """A ridge with random parameters, that was moved as by learning."""
    filters = regularizers.ComposedFilters(channels, 3, boundary(), dimension=dimension)
    result = regularizers.Ridge(filters, *POTENTIALS[name](), sharpness=1.0, strength=0.8).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in result.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return result


def images(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize(("channels", "dimension", "shape"), (
    ((1, 6), 2, (6, 5)), ((1, 2, 3, 5), 2, (7, 8)), ((1, 3), 1, (9,)), ((1, 5), 3, (3, 4, 5))))
@pytest.mark.parametrize("name", BOUNDARIES)
def test_filters_have_norm_one_at_most_and_the_right_transpose(name, channels, dimension, shape):
    bank = ridge(boundary=BOUNDARIES[name], channels=channels, dimension=dimension).filters
    kernel = bank.kernel().detach()
    unit = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    responses = bank.respond(unit, kernel)
    W = responses.flatten(1).T
    assert 0.1 < torch.linalg.matrix_norm(W, 2) <= 1
    p = images(*responses[:3].shape)
    assert torch.allclose(bank.transpose(p, kernel).flatten(1), p.flatten(1) @ W, atol=1e-13)
    assert kernel.flatten(1).sum(1).abs().max() < 1e-14  # constants do not count


@pytest.mark.parametrize("name", POTENTIALS)
def test_second_derivatives_are_between_the_constants(name):
    R = ridge(name)
    L, rho = R.constants()
    at = R.at()
    lowest, highest = 0.0, 0.0
    for scale in (0.1, 1.0, 10.0):
        hessian = torch.autograd.functional.jacobian(at.gradient, scale * images(5, 6))
        values = torch.linalg.eigvalsh(hessian.reshape(30, 30))
        lowest, highest = min(lowest, float(values[0])), max(highest, float(values[-1]))
    # Eigenvalues of 30 x 30 matrices are those of one that differs by 30 eps |H|, and entries of H
    # are sums of about 70 products in the two convolutions: by Weyl, both count once.
    slack = 100 * np.finfo(float).eps * L
    assert -rho - slack <= lowest and highest <= L + slack
    assert highest > 0.05 * L
    assert (name == "convex") == (rho == 0.0) and rho < 1


@pytest.mark.parametrize("dtype", (torch.float64, torch.complex128))
def test_the_gradient_is_that_of_the_value(dtype):
    for name in POTENTIALS:
        at = ridge(name).at(0.4)
        x = images(2, 3, 5, 6, 2)
        x = (torch.view_as_complex(x) if dtype.is_complex else x[..., 0]).requires_grad_()
        (slope,) = torch.autograd.grad(at.value(x).sum(), x)
        assert at.value(x).shape == (2, 3)
        assert torch.allclose(slope, at.gradient(x), atol=1e-12)


def test_contrast_and_noise_level_scale_together():
    R, x = ridge().requires_grad_(False), images(5, 6)
    with torch.no_grad():
        R.growth.fill_(1.0)
    assert float(R.at(0.3).value(3 * x)) == pytest.approx(9 * float(R.at(0.1).value(x)), rel=1e-12)


def test_certificates_of_ridges_and_of_a_kernel_that_is_too_large():
    R = ridge("log cosh")
    with torch.no_grad():
        R.sharpness.fill_(6.0)  # concave but near zero
    assert float(R.strength().detach()) < 0.99
    source = torch.Generator().manual_seed(0)
    rho = R.constants()[1]
    verdict = certificates.certify_convexity(R, -rho, shape=(6, 7), generator=source)
    assert type(verdict) is certificates.Certified and verdict.measured < -0.3
    module = bridge.as_gradient_module(regularizers.RidgeRegularizer(R, odl.rn((6, 7)), 1.0))
    verdict = certificates.certify_symmetric_jacobian(module, shape=(6, 7), generator=source)
    assert type(verdict) is certificates.Certified and verdict.measured < 1e-12
    kernel = R.filters.kernel
    R.filters.kernel = lambda: 2 * kernel()
    verdict = certificates.certify_convexity(R, -rho, shape=(6, 7), generator=source)
    assert type(verdict) is certificates.Refuted


def denoiser(R, **options):
    options = {"accuracy": 1e-10, "maxiter": 20000} | options
    return reconstruction.RegularizedLeastSquares(
        torch.nn.Identity(), torch.nn.Identity(), R, noise_level=0.5, norm=1.0, coercivity=1.0,
        dimension=2, **options)


def test_weakly_convex_denoising_is_certified_in_a_hundred_cases():
    R = ridge("Huber")
    y = images(100, 6, 7) * torch.logspace(-1, 1, 100, dtype=torch.float64)[:, None, None]
    L, mu = denoiser(R).constants()
    assert 0 < mu < 1 < L and R.constants()[1] * 1.0 < 1
    exact = denoiser(R, accuracy=1e-12).solve(y).x
    assert (R.at(0.5).gradient(exact) + exact - y).abs().max() < 1e-9
    for maxiter, least in ((1, 1e-3), (10, 1e-5)):
        rough = denoiser(R, maxiter=maxiter).solve(y)
        errors = (rough.x - exact).flatten(1).norm(dim=1).detach().numpy()
        assert np.all(errors <= rough.error_bound) and np.max(errors) > least


def test_implicit_derivatives_are_difference_quotients():
    model = denoiser(ridge(), derivative=reconstruction.ImplicitDerivative(1e-11))
    y, truth = images(2, 6, 7), images(2, 6, 7, seed=1)

    def loss():
        return (model(y) - truth).square().sum()

    loss().backward()
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        with torch.no_grad():
            for step in (1e-5, -2e-5):
                parameter += step * direction
                values.append(float(loss()))
            parameter += 1e-5 * direction
        quotient = (values[0] - values[1]) / 2e-5
        assert float((parameter.grad * direction).sum()) == pytest.approx(quotient, rel=1e-5,
                                                                          abs=1e-7)


def test_bilevel_learning_takes_a_ridge_with_certified_hypergradients():
    R = ridge(channels=(1, 3))
    energy, params = regularizers.denoising_energy(R, 0.5)
    y, truth = images(2, 5, 6), images(2, 5, 6, seed=1)
    check_energy(energy, y, params, y, np.random.default_rng(0))
    problem = bilevel.BilevelProblem(energy, y, bilevel.SquaredError(truth), y.clone())
    lower = bilevel.lower.LowerLevel(problem, bilevel.lower.Accelerated())
    found = bilevel.hypergradients.Implicit()(lower, params, 1e-9, 1e-9)
    model = denoiser(R, derivative=reconstruction.ImplicitDerivative(1e-11))
    problem.loss.value(model(y)).sum().backward()
    expected = torch.cat([p.grad.flatten() for p in R.parameters()])
    assert torch.allclose(found.gradient, expected, rtol=1e-5, atol=1e-7)
    changed = regularizers.with_params(ridge(channels=(1, 3), seed=5), params)
    assert torch.equal(changed(y), R(y))


def test_training_by_the_last_steps_reduces_the_loss():
    R = ridge()
    model = denoiser(R, accuracy=1e-3, maxiter=50)
    x = torch.cumsum(images(8, 9, 8) * (images(8, 9, 8, seed=3) > 1.5), 1)
    y = x + 0.5 * images(8, 9, 8, seed=4)
    factor = learning.search_scale(model, y, x)
    assert factor in [math.log(2) + f for f in (-1.5, -0.75, 0.0, 0.75, 1.5)]

    def error():
        with torch.no_grad():
            return float((model(y) - x).square().mean())

    before = error()
    optimizer = torch.optim.Adam(R.parameters(), 3e-2)
    learning.train(model, list(zip(y, x)), steps=15, optimizer=optimizer, batch_size=8,
                   progress=False)
    assert error() < 0.97 * before


def test_stationary_points_of_weakly_convex_problems_never_rise():
    R = ridge("Huber")
    space = odl.uniform_discr([0, 0], [6, 7], (6, 7))
    f = regularizers.RidgeRegularizer(R, space, 0.5)
    mask = np.random.default_rng(0).random((6, 7)) < 0.5
    data = space.element(images(6, 7).numpy() * mask)
    E = l2_fidelity(data) @ odl.MultiplyOperator(space.element(mask.astype(float))) + 2.0 * f
    values = []
    solution = solvers.stationary_gradient(
        E, data, 1e-8, 5000, lipschitz=1 + 2 * f.grad_lipschitz,
        weak_convexity=2 * f.weak_convexity, callback=lambda x: values.append(E(x)))
    assert solution.reason == "accuracy" and E.gradient(solution.x).norm() <= 1e-8
    assert values[-1] < values[0] and solution.niter < 2000
    batch = solvers.stationary_gradient(
        _Double(), torch.ones(2, 3), np.array([1e-2, 1e-6]), 100, lipschitz=2.0, weak_convexity=1.0)
    assert batch.niter[0] <= batch.niter[1] and np.all(batch.residual <= [1e-2, 1e-6])


class _Double:
    """``1/2 |x|^2`` of batches."""

    def gradient(self, x):
        return x

    def take(self, index):
        return self


def test_ridges_come_back_from_files_and_pickles(tmp_path):
    for name in POTENTIALS:
        R = ridge(name, channels=(1, 2, 6), boundary=networks.Inside)
        learning.save_regularizer(tmp_path / "ridge.pt", R)
        found = learning.load_regularizer(tmp_path / "ridge.pt")
        x = images(2, 7, 8)
        assert torch.equal(found(x), R(x)) and found.constants() == R.constants()
        space = odl.uniform_discr([0, 0], [1, 2], (7, 8), dtype="complex64")
        f = regularizers.RidgeRegularizer(R, space, 0.3)
        g = pickle.loads(pickle.dumps(f))
        z = space.element(images(7, 8).numpy() + 1j)
        assert g(z) == f(z) and g.grad_lipschitz == f.grad_lipschitz
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="not a training state"):
        learning.load_regularizer(tmp_path / "other.pt")


def test_ridges_of_the_package_denoise():
    """On an image unlike the photographs that they were learned from."""
    x = torch.cumsum(images(24, 24) * (images(24, 24, seed=3) > 1.5), 1).float()
    x = (x - x.min()) / (x.max() - x.min())
    y = x + 25 / 255 * images(24, 24, seed=4).float()
    for path, rho in ((learning.CONVEX_RIDGE, 0.0), (learning.WEAKLY_CONVEX_RIDGE, 0.95)):
        R = learning.load_regularizer(path)
        assert R.constants()[1] == pytest.approx(rho, abs=1e-2)
        model = reconstruction.RegularizedLeastSquares(
            torch.nn.Identity(), torch.nn.Identity(), R, noise_level=25 / 255, norm=1.0,
            coercivity=1.0, dimension=2)
        with torch.no_grad():
            assert (model(y[None])[0] - x).square().mean() < 0.5 * (y - x).square().mean()


def test_errors_at_the_door():
    with pytest.raises(ValueError, match="less than 0.99"):
        regularizers.Ridge(ridge().filters, regularizers.Huber(), regularizers.Huber(),
                           strength=1.0)
    with pytest.raises(ValueError, match="odd"):
        regularizers.ComposedFilters((1, 4), 4, networks.Inside(), dimension=2)
    with pytest.raises(ValueError, match="3 axes"):
        regularizers.RidgeRegularizer(ridge(), odl.rn((3, 3, 3)), 1.0)
    with pytest.raises(TypeError, match="float32"):
        ridge().at().value(torch.ones(5, 6))
