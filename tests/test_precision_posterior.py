"""Gaussian posteriors by Lanczos' method, against dense matrices and the law that they state."""

import numpy as np
import pytest
import torch
from test_precision import a_precision, border, images
from test_precision_systems import SHAPE, sampling

from odl_learned.regularizers.generative.precision import (
    GaussianPosterior,
    Precision,
    posterior_mean,
)
from odl_learned.regularizers.generative.precision.lanczos import InWhiteCoordinates, krylov

S2 = 0.04
CASES = {"3 x 3": (1, None), "two channels, masked": (1, 2), "diagonal": (0, None)}


def normal_of(precision):
    """``A^T A / s^2`` of half of the lines, for each channel."""
    half = sampling()
    return lambda u: half(u.reshape(-1, *SHAPE)).reshape(u.shape) / S2


def a_case(name):
    radius, channels = CASES[name]
    mask = border(SHAPE) if channels else None
    precision = a_precision(radius, channels, shape=SHAPE, mask=mask)
    return precision, normal_of(precision)


def dense(precision, normal):
    """``P`` and ``N``."""
    factor, unit = precision.dense(), torch.eye(precision.size, dtype=torch.float64)
    return factor.mT @ factor, normal(unit.reshape(-1, *precision.image)).flatten(1)


def matrix_of(posterior):
    """``Sigma_k`` of both samples."""
    n = posterior.precision.size
    unit = torch.eye(n, dtype=torch.float64).reshape(n, 1, *posterior.precision.image)
    columns = posterior.times(unit.expand(-1, len(posterior.mean), *posterior.precision.image))
    return columns.flatten(2).permute(1, 2, 0)


def at(precision, normal, rank):
    return GaussianPosterior(precision, normal, images(precision, ()), rank)


@pytest.mark.parametrize("name", CASES)
def test_basis_is_orthogonal_and_the_matrix_that_of_the_operator(name):
    precision, normal = a_case(name)
    operator = InWhiteCoordinates(precision, normal, torch.float64)
    start = torch.randn(3, 2, precision.size, dtype=torch.float64,
                        generator=torch.Generator().manual_seed(0))  # fmt: skip
    found = krylov(operator, start, 12)
    gram = found.basis @ found.basis.mT
    assert (gram - torch.eye(13, dtype=torch.float64)).abs().max() < 1e-13
    image = operator(found.basis[:, :, 5])[0]
    expected = (found.matrix[..., 5][..., None, :] @ found.basis)[..., 0, :]
    scale = found.matrix.abs().max()
    assert (image - expected).abs().max() < 1e-13 * scale
    tridiagonal = found.matrix.tril(1).triu(-1)
    assert (found.matrix - tridiagonal).abs().max() < 1e-12 * scale
    P, N = dense(precision, normal)
    inverse = torch.linalg.inv(precision.dense())
    B = inverse.mT @ N @ inverse
    expected = (B[None] @ found.basis[:, :, 5, :, None])[..., 0]
    assert (image - expected).abs().max() < 1e-11 * scale


@pytest.mark.parametrize("name", CASES)
def test_a_rank_that_is_large_enough_gives_the_dense_covariance(name):
    """Half of the lines of real images have a rank of 36 of 48; a Krylov space that is exhausted
    wastes a step.
    """
    precision, normal = a_case(name)
    P, N = dense(precision, normal)
    exact = torch.linalg.inv(P + N)
    posterior = at(precision, normal, int(torch.linalg.matrix_rank(N)) + 2)
    found = matrix_of(posterior)
    scale = exact.abs().amax((1, 2))[:, None, None]
    assert ((found - exact).abs() / scale).max() < 1e-9
    diagonal = exact.diagonal(dim1=1, dim2=2)
    assert torch.allclose(posterior.variances().flatten(1), diagonal, rtol=1e-8, atol=0)
    pixel = (*([1] if len(precision.image) == 3 else []), 3, 4)
    row = int(np.ravel_multi_index(pixel, precision.image))
    expected = exact[:, row] / (exact[:, row, row][:, None] * diagonal).sqrt()
    assert torch.allclose(posterior.correlations(pixel).flatten(1), expected, rtol=0, atol=1e-8)


def test_covariances_are_never_too_small_and_fall_with_the_rank():
    precision, normal = a_case("3 x 3")
    P, N = dense(precision, normal)
    exact, before = torch.linalg.inv(P + N), torch.linalg.inv(P)
    traces = []
    for rank in (1, 3, 8, 15):
        found = matrix_of(at(precision, normal, rank))
        for larger, smaller in ((found, exact), (before, found)):
            least = torch.linalg.eigvalsh(larger - smaller)[:, 0]
            assert (least > -1e-10 * before.abs().amax((1, 2))).all()
        traces.append(found.diagonal(dim1=1, dim2=2).sum(1))
        before = found
    assert (torch.stack(traces).diff(dim=0) < -1e-3).all()


def test_equal_eigenvalues_are_all_found():
    """A white prior and two eigenvalues: each Krylov space has two dimensions, and goes on."""
    white = Precision(torch.zeros(2, *SHAPE, dtype=torch.float64),
                      torch.zeros(2, 0, *SHAPE, dtype=torch.float64), 0)  # fmt: skip
    normal = normal_of(white)
    P, N = dense(white, normal)
    rank = int(torch.linalg.matrix_rank(N))
    posterior = at(white, normal, rank + 4)
    assert (matrix_of(posterior) - torch.linalg.inv(P + N)).abs().max() < 1e-10
    values = torch.linalg.eigvalsh(N)
    assert len(values[-rank:].round(decimals=6).unique()) == 2
    assert posterior.reduction[:, :4].abs().max() < 1e-9
    expected = (values / (1 + values))[-rank:]
    assert torch.allclose(posterior.reduction[:, 4:], expected, rtol=1e-9)


@pytest.mark.parametrize("rank", [5, 38])
def test_samples_have_the_mean_and_the_covariance_that_are_stated(rank):
    """Of 4000 samples: entries of the covariance of whitened ones vary by 1/63, by 2^1/2/63."""
    precision, normal = a_case("3 x 3")
    posterior = at(precision, normal, rank)
    samples = posterior.sample(torch.Generator().manual_seed(3), (4000,))
    factor = torch.linalg.cholesky(matrix_of(posterior))
    rest = (samples - posterior.mean).flatten(2).permute(1, 2, 0)
    white = torch.linalg.solve_triangular(factor, rest, upper=False)
    error = 4000**-0.5
    assert white.mean(2).abs().max() < 5 * error
    covariance = white @ white.mT / 4000 - torch.eye(white.shape[1], dtype=torch.float64)
    assert covariance.abs().max() < 5 * 2**0.5 * error
    assert torch.equal(samples[:2], posterior.sample(torch.Generator().manual_seed(3), (4000,))[:2])


def test_it_is_calibrated_for_images_of_the_prior():
    r"""``(u - m)^T Sigma^-1 (u - m)`` is chi-squared with 48 degrees of freedom, and pixels are
    inside of 1.96 deviations 95 % of the time; over 400 images, within five standard errors.
    """
    precision, _ = a_case("3 x 3")
    precision, normal = precision.take([0]), normal_of(precision)
    generator, count = torch.Generator().manual_seed(1), 400
    u = precision.sample(generator, (count,))[:, 0]
    P, N = dense(precision, normal)
    # A^T (A u + s e) / s^2 = N u + N^(1/2) e', in law
    values, vectors = torch.linalg.eigh(N)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.mT
    noise = torch.randn(count, 48, dtype=torch.float64, generator=generator)
    back = normal(u) + (noise @ root).reshape(u.shape)
    mean = posterior_mean(precision, lambda v: S2 * normal(v), S2 * back, S2**0.5,
                          accuracy=1e-10).x  # fmt: skip
    posterior = GaussianPosterior(precision, normal, mean[:1], 40)
    rest = (u - mean).flatten(1)
    squares = (rest @ torch.linalg.inv(matrix_of(posterior)[0]) * rest).sum(1)
    assert abs(float(squares.mean()) - 48) < 5 * (2 * 48 / count) ** 0.5
    inside = (rest.abs() < 1.96 * posterior.variances().flatten(1).sqrt()).double()
    error = float(inside.mean(1).std() / count**0.5)
    assert abs(float(inside.mean()) - 0.95) < 5 * error


def test_mistakes_are_named():
    precision, normal = a_case("3 x 3")
    with pytest.raises(ValueError, match="rank is 0"):
        at(precision, normal, 0)
    with pytest.raises(ValueError, match="rank is 49; expected at most 48"):
        at(precision, normal, 49)
    with pytest.raises(ValueError, match="mean has 3 images, expected 1"):
        GaussianPosterior(precision.take([0]), normal, torch.zeros(3, *SHAPE).double(), 4)
    with pytest.raises(TypeError, match="build one with"):
        at(precision, normal, 4).sample(3)
    with pytest.raises(ValueError, match="pixel is .*expected a tuple of 2"):
        at(precision, normal, 4).correlations((1, 2, 3))
