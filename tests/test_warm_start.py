"""Warm starts of minimizers in training, and Hessians of ridges in closed form."""

import pytest
import torch

from odl_learned import networks, reconstruction, regularizers
from odl_learned.data import FixedPairs
from odl_learned.learning import train


def images(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def ridge(potential=regularizers.LogCosh):
    filters = regularizers.ComposedFilters((1, 4), 3, networks.Reflecting(), dimension=2)
    return regularizers.Ridge(filters, potential(), potential(), sharpness=2.0,
                              strength=0.9).double()


def denoiser(R, maxiter, initial=None):
    return reconstruction.RegularizedLeastSquares(
        torch.nn.Identity(), torch.nn.Identity(), R, noise_level=0.5, norm=1.0, coercivity=1.0,
        dimension=2, maxiter=maxiter, accuracy=1e-9, initial=initial)


@pytest.mark.parametrize("potential", (regularizers.LogCosh, regularizers.Huber))
def test_curvature_is_the_second_derivative(potential):
    at = ridge(potential).at(0.5)
    x, h = images(3, 6, 7), images(3, 6, 7, seed=1)
    _, product = torch.func.jvp(at.gradient, (x,), (h,))
    assert torch.allclose(at.curvature(x)(h), product, atol=1e-13)
    assert product.norm() > 0.1


def test_solutions_come_nearer_with_every_visit_in_training_only():
    start = reconstruction.WarmStart(torch.nn.Identity())
    model, y = denoiser(ridge(), 4, start), images(3, 6, 7)
    cold = denoiser(model.regularizer, 4).solve(y)
    bounds = [model.solve(y[k]).error_bound.max() for k in ([0, 1, 2], [2, 0], [1, 2, 0])]
    assert bounds[0] == cold.error_bound.max() and bounds[2] < 0.5 * bounds[0]
    alone = model.solve(images(1, 6, 7, seed=5)).error_bound  # unknown data
    assert alone == denoiser(model.regularizer, 4).solve(images(1, 6, 7, seed=5)).error_bound
    model.eval()
    assert torch.equal(model.solve(y).x, cold.x)


def test_what_was_not_needed_for_longest_is_forgotten():
    start = reconstruction.WarmStart(torch.nn.Identity(), capacity=2)
    y = images(3, 4, 5)
    start.keep(y[:2], y[:2] + 1)
    start.keep(y[[0]], y[[0]] + 2)
    start.keep(y[[2]], y[[2]] + 3)
    assert torch.equal(start(y), y + torch.tensor([2.0, 0.0, 3.0]).reshape(3, 1, 1))


def test_training_with_few_iterations_follows_the_minimizers():
    clean = torch.cumsum(images(8, 10, 9) * (images(8, 10, 9) > 1.5), 1)
    noisy = clean + 0.5 * images(8, 10, 9, seed=4)
    errors = {}
    for name, initial in (("warm", reconstruction.WarmStart(torch.nn.Identity())), ("cold", None)):
        model = denoiser(ridge(), 3, initial)
        train(model, FixedPairs(noisy, clean), steps=15, batch_size=8, progress=False,
              optimizer=torch.optim.Adam(model.parameters(), 1e-2))
        exact = denoiser(model.regularizer, 2000).solve(noisy).x
        errors[name] = float((model.train().solve(noisy).x - exact).norm())
    assert errors["warm"] < 0.1 * errors["cold"]
