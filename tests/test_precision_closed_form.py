"""The precision of greatest likelihood against optimization, and exact variances."""

import math

import numpy as np
import pytest
import torch
from test_precision import CASES, a_precision, border

from odl_learned.regularizers.generative.precision import (
    Precision,
    correlations,
    covariances,
    marginal_variances,
    most_likely_precision,
    white_precision,
)


def residuals(count=200, channels=None, shape=(5, 6)):
    """Samples of a Gaussian that no model of a small radius has, and a pixel that is constant."""
    image = shape if channels is None else (channels, *shape)
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(math.prod(image), math.prod(image), generator=generator).double()
    r = torch.randn(count, len(factor), generator=generator).double() @ factor / len(factor) ** 0.5
    r = r.reshape(count, *image)
    r[..., 0, 0] = 0
    return r


def expected_density(precision, r, noise):
    """The mean over residuals and white noise, the latter in closed form: a trace."""
    factor = precision.dense()[0]
    return precision.log_density(r).mean() - noise**2 * factor.square().sum() / 2


@pytest.mark.parametrize("channels, masked", [(None, False), (None, True), (2, True)])
def test_no_change_of_coefficients_is_more_likely(channels, masked):
    r, noise = residuals(channels=channels), 0.1
    best = most_likely_precision(r, 1, noise, mask=border((5, 6)).numpy() if masked else None)
    parts = [part.clone().requires_grad_() for part in (best.log_diagonal, best.neighbors)]
    density = expected_density(Precision(*parts, 1, best.mask), r, noise)
    slopes = torch.autograd.grad(density, parts)
    # The density is concave in the entries of the factor: where its slopes vanish is the maximum.
    assert max(float(slope.abs().max()) for slope in slopes) <= 1e-10
    with torch.no_grad():
        other = Precision(parts[0] + 0.01, parts[1], 1, best.mask)
        assert expected_density(other, r, noise) < density


def test_descent_reaches_the_closed_form():
    r, noise = residuals(), 0.1
    best = expected_density(most_likely_precision(r, 1, noise), r, noise)
    parts = [torch.zeros(1, 5, 6).double().requires_grad_(),
             torch.zeros(1, 4, 5, 6).double().requires_grad_()]
    optimizer = torch.optim.LBFGS(parts, max_iter=300, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-9, tolerance_change=1e-14)

    def closure():
        optimizer.zero_grad()
        value = -expected_density(Precision(*parts, 1), r, noise)
        value.backward()
        return value

    optimizer.step(closure)
    reached = expected_density(Precision(*parts, 1), r, noise)
    assert 0 <= best - reached <= 1e-6 * 30  # per pixel


def test_larger_models_are_more_likely_in_training():
    r, noise = residuals(), 0.1
    models = [white_precision(r, noise)] + [most_likely_precision(r, d, noise) for d in range(3)]
    densities = [float(expected_density(model, r, noise)) for model in models]
    assert densities == sorted(densities)


def test_enough_samples_give_the_model_back():
    model = a_precision(1, None, 1, shape=(3, 4))
    samples = model.sample(torch.Generator().manual_seed(0), (40000,))[:, 0]
    found = most_likely_precision(samples, 1)
    # Over n samples, l has the variance 1 / (2 n), and b that of a regression, e^(-2 l) / n times
    # the inverse covariance of the neighbors, which is below the largest eigenvalue of P.
    factor, deviation = model.dense()[0], 1 / math.sqrt(40000)
    entries = torch.linalg.matrix_norm(factor, 2) + factor.abs().max() / 2**0.5
    assert (found.log_diagonal - model.log_diagonal).abs().max() <= 5 * deviation / 2**0.5
    assert (found.dense()[0] - factor).abs().max() <= 5 * deviation * entries


def test_shrinkage_ends_in_a_stationary_model():
    r = residuals()
    one = most_likely_precision(r, 1, 0.1, shrinkage=1.0)
    inner = (slice(None), slice(0, 4), slice(1, 5))
    for part in (one.log_diagonal, *one.neighbors.movedim(1, 0)):
        assert torch.allclose(part[inner], part[inner].mean().expand(1, 4, 4))
    few = most_likely_precision(r[:3], 2, 1e-3, shrinkage=0.5)
    assert few.neighbors.isfinite().all()


def test_no_maximum_is_an_error():
    with pytest.raises(ValueError, match="1 pixels are functions .* pass noise"):
        most_likely_precision(residuals(), 1)
    with pytest.raises(ValueError, match="functions of their later"):
        most_likely_precision(residuals(3)[..., 1:, 1:], 2)
    with pytest.raises(ValueError, match="variance"):
        white_precision(torch.zeros(3, 4, 4))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_variances_and_covariances_are_those_of_the_inverse(case, masked):
    radius, channels = CASES[case]
    mask = border((5, 6)) if masked else None
    precision = a_precision(radius, channels, shape=(5, 6), mask=mask)
    factor = precision.dense()
    sigma = torch.linalg.inv(factor.mT @ factor)
    variances = marginal_variances(precision)
    assert torch.allclose(variances.flatten(1), sigma.diagonal(dim1=1, dim2=2), rtol=1e-10)
    pixel = (1, 2) if channels is None else (1, 1, 2)
    number = int(np.ravel_multi_index(pixel, precision.image))
    assert torch.allclose(covariances(precision, pixel).flatten(1), sigma[:, number], rtol=1e-9,
                          atol=1e-12)  # fmt: skip
    found = correlations(precision, pixel)
    expected = sigma[:, number] / (sigma[:, number, number][:, None] * sigma.diagonal(
        dim1=1, dim2=2)).sqrt()
    assert torch.allclose(found.flatten(1), expected, atol=1e-10)
    assert torch.allclose(found[:, *pixel], torch.ones(2).double())
    with pytest.raises(ValueError, match="pixel is"):
        covariances(precision, (9, 9, 9))
