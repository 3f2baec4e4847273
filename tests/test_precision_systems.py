"""Proximals and posterior means with a sparse precision, against dense solutions."""

import numpy as np
import odl
import pytest
import torch
from test_precision import a_precision, border, images

from odl_learned import functionals, operators
from odl_learned.bridge import as_module
from odl_learned.regularizers.generative.precision import (
    Jacobi,
    Precision,
    Shifted,
    Split,
    marginal_variances,
    posterior_mean,
    proximal,
)

SHAPE = (6, 8)


def dense_solution(precision, normal, scale, b):
    """``(N + s P)^-1 b`` for every sample."""
    factor, unit = precision.dense(), torch.eye(precision.size, dtype=torch.float64)
    N = normal(unit.reshape(-1, *precision.image)).flatten(1)
    solution = torch.linalg.solve(N + scale * factor.mT @ factor, b.flatten(1)[..., None])
    return solution[..., 0].reshape(b.shape)


def sampling():
    """``A* A`` of a Fourier transform with half of the lines, on real images."""
    space = odl.rn(SHAPE)
    lines = np.isin(np.arange(8), [0, 3, 4, 6])[None] & np.ones((6, 1), bool)
    op = operators.SampledFourier(odl.cn(SHAPE), lines) @ odl.ComplexEmbedding(space)
    return as_module(op.adjoint @ op)


@pytest.mark.parametrize("channels", [None, 2])
def test_proximal_is_the_dense_one(channels):
    precision = a_precision(1, channels, shape=SHAPE, mask=border(SHAPE))
    x, mean = images(precision, ()), images(precision, (), seed=7)
    for step in (0.01, 1.0, 30.0):
        answer = proximal(precision, x, step, mean, accuracy=1e-9, maxiter=500)
        exact = mean + dense_solution(precision, lambda v: v, step, x - mean)
        error = (answer.x - exact).flatten(1).norm(dim=1)
        assert (error.numpy() <= answer.error_bound).all()
        assert (answer.error_bound <= 1e-9 * (x - mean).flatten(1).norm(dim=1).numpy()).all()
    parts = proximal(precision, torch.complex(x, mean), 0.5).x
    assert torch.allclose(parts.imag, proximal(precision, mean, 0.5).x, atol=1e-5)


@pytest.mark.parametrize("make", [
    None, lambda p, normal: Jacobi(p, 0.04, 0.5), lambda p, normal: Shifted(p, 0.04, 0.0),
    lambda p, normal: Split(p, 0.04, 0.05, normal)])
def test_posterior_mean_is_the_dense_one(make):
    precision, normal = a_precision(1, None, 2, SHAPE), sampling()
    back, mean = normal(images(precision, ())), images(precision, (), seed=7)
    precondition = None if make is None else make(precision, normal)
    answer = posterior_mean(precision, normal, back, 0.2, mean, 1e-10, 300, precondition)
    exact = mean + dense_solution(precision, normal, 0.04, back - normal(mean))
    assert (answer.x - exact).abs().max() <= 1e-7 and set(answer.reason) == {"accuracy"}
    one = precision.take([1])
    alone = posterior_mean(one, normal, back[1:], 0.2, mean[1:], 1e-10, 300,
                           precondition and precondition.take([1]))
    assert torch.allclose(alone.x[0], answer.x[1], atol=1e-8)


def test_preconditioners_are_symmetric_and_positive():
    precision, normal = a_precision(1, None, 1, (3, 4)), as_module(
        odl.MultiplyOperator(odl.rn((3, 4)).element(np.arange(12).reshape(3, 4) % 3 == 0)))
    unit = torch.eye(12, dtype=torch.float64).reshape(12, 3, 4)
    for pre in (Jacobi(precision, 0.1, 0.3), Shifted(precision, 0.1, 0.3),
                Split(precision, 0.1, 0.05, normal)):
        matrix = pre(unit).reshape(12, 12)
        assert torch.allclose(matrix, matrix.T, atol=1e-12)
        assert (torch.linalg.eigvalsh(matrix) > 0).all()


@pytest.mark.parametrize("channels", [None, 2])
def test_the_shifted_factor_is_the_sum_of_both(channels):
    mask = border((3, 4))
    precision = a_precision(1, channels, 2, (3, 4), mask)
    factor, unit = precision.dense(), torch.eye(precision.size, dtype=torch.float64)
    G = 0.3**0.5 * unit + 0.2**0.5 * factor.mT
    columns = unit.reshape(-1, 1, *precision.image).expand(-1, 2, *precision.image)
    inverse = Shifted(precision, 0.2, 0.3)(columns).flatten(2).permute(1, 2, 0)
    assert torch.allclose(inverse @ G @ G.mT, unit.expand(2, -1, -1), atol=1e-11)
    assert torch.allclose(Shifted(precision, 0.2, 0.0)(columns), precision.covariance_times(
        columns) / 0.2)


def test_the_shifted_factor_saves_most_iterations():
    """A smooth random field, whose precision has a large condition number."""
    image = (24, 24)
    neighbors = torch.zeros(1, 4, *image, dtype=torch.float64)
    neighbors[:, 0], neighbors[:, 2], neighbors[:, 1] = -0.7, -0.5, 0.21
    precision = Precision(torch.full((1, *image), 2.0, dtype=torch.float64), neighbors, 1)
    x = images(precision, ())
    for step in (0.01, 0.1, 1.0):
        few = proximal(precision, x, step, accuracy=1e-6).niter
        many = proximal(precision, x, step, accuracy=1e-6, maxiter=999,
                        precondition=Jacobi(precision, step, 1.0)).niter
        assert few <= 20 and many >= few


def test_gaussian_energy_is_the_negative_log_density():
    precision = a_precision(1, None, 1, SHAPE, border(SHAPE))
    u, mean = images(precision, ()), images(precision, (), seed=7)
    space = odl.uniform_discr([0, 0], [1, 2], SHAPE)
    x, m = (space.element(part[0].numpy()) for part in (u, mean))
    f = functionals.gaussian_energy(precision.whitening(space), m, accuracy=1e-12)
    constant = precision.size * np.log(2 * np.pi) / 2
    assert np.isclose(f(x) + constant, -precision.log_density(u, mean).item(), rtol=1e-10)
    weight = space.cell_volume
    slope = precision.times(u - mean)[0].numpy() / weight
    assert np.allclose(f.gradient(x).data, slope, atol=1e-9)
    exact = proximal(precision, u, 0.3 / weight, mean, 1e-12, 500).x[0]
    assert np.allclose(f.proximal(0.3)(x).data, exact, atol=1e-8)
    twice = as_module(f)(torch.stack([u[0], mean[0]]))
    assert np.allclose(twice.numpy(), [f(x), f(m)])
    both = functionals.gaussian_energy(precision.whitening(odl.cn(SHAPE)), odl.cn(SHAPE).zero())
    density = precision.log_density(torch.complex(u, mean)).item()
    assert np.isclose(both(odl.cn(SHAPE).element((u + 1j * mean)[0].numpy())) + 2 * constant,
                      -density)  # fmt: skip


def test_data_make_the_posterior_narrower():
    precision = a_precision(1, None, 1, (4, 5))
    factor = precision.dense()[0]
    narrower = torch.linalg.inv(factor.T @ factor + torch.eye(20) / 0.04).diagonal()
    assert (narrower < marginal_variances(precision).flatten()).all()
