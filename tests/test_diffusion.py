"""Likelihoods, Gaussian priors and their posteriors, and samples, against dense matrices."""

import dataclasses

import numpy as np
import odl
import pytest
import torch
from instances.operators import coils
from instances.spaces import many_weights
from posterior_problems import entrywise_norm, measured, resonance, smooth_prior, tomography

from odl_learned import bridge, data, operators
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.reconstruction import diffusion

GENERATOR = torch.Generator().manual_seed


def matrix(likelihood):
    """A in the entries, (m, n)."""
    layout = likelihood.layout
    n = int(np.prod(layout.shape))
    eye = torch.eye(n, dtype=layout.dtype).reshape(n, *layout.shape)
    return likelihood.forward(eye).flatten(1).mT


@pytest.mark.parametrize("build", [tomography, resonance])
def test_nearest_minimizes_in_the_entries_whatever_cells_weigh(build):
    A = build()
    truth, likelihood = measured(A, smooth_prior(A.domain), count=2, accuracy=1e-5)
    M, t = matrix(likelihood), 0.3
    z = smooth_prior(A.domain).draw(2, GENERATOR(3))
    e = torch.randn(likelihood.data.shape, generator=GENERATOR(4), dtype=likelihood.data.dtype)
    found = likelihood.nearest(z, t, e)
    ratio = (t / likelihood.noise_level) ** 2
    y = (likelihood.data + likelihood.noise_level * e).flatten(1)
    left = torch.eye(M.shape[1], dtype=M.dtype) + ratio * M.mH @ M
    right = z.flatten(1) + ratio * y @ M.conj()
    expected = torch.linalg.solve(left, right.mT).mT.reshape(z.shape)
    eps = torch.finfo(z.dtype).eps
    bound = 1e-5 * t * (2 * z[0].numel()) ** 0.5 + 1e3 * eps * ratio * float(right.norm())
    assert float((found - expected).norm()) <= bound
    assert entrywise_norm(A) == pytest.approx(float(torch.linalg.matrix_norm(M, 2)), rel=1e-3)
    residual = (truth.flatten(1) @ M.mT - likelihood.data.flatten(1)).abs().square().mean()
    parts = 2 if M.is_complex() else 1
    assert float(residual) == pytest.approx(parts * likelihood.noise_level**2, rel=0.5)


def weighted(build):
    """An operator on a space whose entries differ in weight."""
    return build(many_weights((5, 6), "float64"))


OPERATORS = {
    "mask": lambda: operators.mask_operator(odl.uniform_discr([0, 0], [9, 9], (5, 6)),
                                            np.random.default_rng(0).random((5, 6)) < 0.5),
    "gradient": lambda: operators.gradient(odl.uniform_discr([0, 0], [9, 2], (5, 6))),
    "coils": lambda: coils(odl.uniform_discr([0, 0], [9, 2], (5, 6), dtype="complex128")),
    "blur": lambda: operators.PeriodicConvolution(
        odl.uniform_discr([0, 0], [9, 2], (5, 6), dtype="complex128"), np.full((3, 3), 1 / 9)),
    "many weights": lambda: weighted(operators.gradient),
    "signals": lambda: odl.ScalingOperator(odl.rn(7, weighting=[1.0, 9, 4, 2, 3, 1, 5]), 2.0),
    "a loop over samples": lambda: odl.MatrixOperator(
        np.random.default_rng(0).standard_normal((3, 7)), odl.rn(7, weighting=3.0), odl.rn(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_every_linear_operator_has_the_step_of_its_matrix(name):
    A = OPERATORS[name]()
    source, layout = GENERATOR(0), layout_of(A.range)
    y = torch.randn(2, *layout.shape, generator=source, dtype=layout.dtype)
    likelihood = diffusion.GaussianLikelihood(A, y, 0.3, accuracy=1e-6)
    M, images = matrix(likelihood), likelihood.back
    z = torch.randn(images.shape, generator=source, dtype=images.dtype)
    left = torch.eye(M.shape[1], dtype=M.dtype) + (0.2 / 0.3) ** 2 * M.mH @ M
    right = z.flatten(1) + (0.2 / 0.3) ** 2 * y.flatten(1) @ M.conj()
    expected = torch.linalg.solve(left, right.mT).mT.reshape(z.shape)
    bound = 1e-6 * 0.2 * (2 * z[0].numel()) ** 0.5
    assert float((likelihood.nearest(z, 0.2) - expected).flatten(1).norm(dim=1).max()) <= bound
    slope = ((z.flatten(1) @ M.mT - y.flatten(1)) @ M.conj()).reshape(z.shape)
    torch.testing.assert_close(likelihood.gradient(z), slope, rtol=0, atol=1e-10)


def test_the_noise_is_that_of_add_white_noise_in_each_entry():
    space = odl.uniform_discr([0, 0], [1e-3, 1e-3], (64, 64), dtype="complex128")
    noisy = data.add_white_noise(space.zero(), 0.1, np.random.default_rng(0))
    assert np.mean(np.abs(noisy.asarray()) ** 2) == pytest.approx(2 * 0.1**2, rel=0.1)


@pytest.mark.parametrize("build", [tomography, resonance])
def test_posterior_is_that_of_precisions(build):
    A = build(n=6)
    prior = smooth_prior(A.domain)
    truth, likelihood = measured(A, prior, count=2)
    posterior = diffusion.gaussian_posterior(prior, likelihood)
    M, n = matrix(likelihood).to(torch.complex128), 36
    eye = torch.eye(n, dtype=prior.mean.dtype).reshape(n, 6, 6)
    C = prior.filtered(eye, lambda v: v).flatten(1).mT.to(torch.complex128)
    precision = torch.linalg.inv(C) + M.mH @ M / likelihood.noise_level**2
    sigma = torch.linalg.inv(precision)
    m = prior.mean.flatten().to(torch.complex128)
    y = likelihood.data.flatten(1).to(torch.complex128)
    mean = m + (y - m @ M.mT) @ M.conj() @ sigma.mT / likelihood.noise_level**2
    rtol = 1e-3 if not prior.mean.is_complex() else 1e-9
    parts = 2 if prior.mean.is_complex() else 1
    assert posterior.trace == pytest.approx(parts * float(sigma.diagonal().real.sum()), rel=rtol)
    difference = posterior.mean.flatten(1).to(torch.complex128) - mean
    assert float(difference.abs().max()) <= rtol


def test_the_dense_and_the_stationary_prior_are_one():
    prior = smooth_prior(odl.cn((5, 6)))
    n = 30
    eye = torch.eye(n, dtype=torch.complex128).reshape(n, 5, 6)
    covariance = prior.filtered(eye, lambda v: v).flatten(1).mT
    dense = diffusion.GaussianPrior(prior.mean, (covariance + covariance.mH) / 2)
    x = prior.draw(3, GENERATOR(0))
    levels = torch.tensor([0.1, 1.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(dense(x, levels), prior(x, levels), rtol=0, atol=1e-10)
    torch.testing.assert_close(dense(x[1], 1.0), prior(x, levels)[1], rtol=0, atol=1e-10)


def test_the_prior_draws_its_covariance_and_denoises_best():
    prior = smooth_prior(odl.rn((4, 4)))
    x = prior.draw(4000, GENERATOR(0))
    variances = (x - prior.mean).square().flatten(1).sum(1)
    trace = float(prior.spectrum.sum())
    assert float(variances.mean()) == pytest.approx(trace, rel=0.1)
    noisy = x + 0.3 * torch.randn(x.shape, generator=GENERATOR(1), dtype=x.dtype)
    best = (prior(noisy, 0.3) - x).square().mean()
    assert all(best < (prior(noisy, t) - x).square().mean() for t in (0.25, 0.36))
    exact = float((prior.spectrum * 0.09 / (prior.spectrum + 0.09)).mean())
    assert float(best) == pytest.approx(exact, rel=0.1)


def test_intervals_hold_one_more_sample_as_often_as_they_say():
    """For every distribution: here exponential numbers, 19 samples, 20 000 entries."""
    drawn = torch.empty(20, 1, 20000).exponential_(generator=GENERATOR(0))
    samples = diffusion.PosteriorSamples(drawn[1:])
    assert samples.coverage(drawn[0], 0.9) == pytest.approx(0.9, abs=0.01)
    nominal, attained = samples.calibration(drawn[0])
    np.testing.assert_allclose(nominal, (20 - 2 * np.arange(1, 10)) / 20)
    np.testing.assert_allclose(attained, nominal, atol=0.015)
    narrow = diffusion.PosteriorSamples(1 + 0.5 * (drawn[1:] - 1))
    assert narrow.coverage(drawn[0], 0.9) < 0.75


def test_mean_and_deviation_are_those_of_numpy_also_of_complex_images():
    x = torch.randn(5, 2, 3, 4, dtype=torch.complex128, generator=GENERATOR(0))
    samples = diffusion.PosteriorSamples(x)
    np.testing.assert_allclose(samples.mean, x.numpy().mean(0))
    np.testing.assert_allclose(samples.standard_deviation, x.numpy().std(0, ddof=1))
    lower, upper = samples.interval(0.5)
    assert lower.shape == (2, 3, 4, 2) and bool((lower <= upper).all())
    assert 0 <= samples.coverage(x[0], 0.5) <= 1


def test_errors_say_what_is_wrong():
    A = tomography(n=6)
    prior = smooth_prior(A.domain)
    _, likelihood = measured(A, prior)
    with pytest.raises(TypeError, match="expected torch.float32, that of the range"):
        diffusion.GaussianLikelihood(A, likelihood.data.double(), 0.1)
    with pytest.raises(ValueError, match="noise_level is 0"):
        diffusion.GaussianLikelihood(A, likelihood.data, 0)
    with pytest.raises(ValueError, match="fall from one"):
        diffusion.AnnealedLangevin((0.1, 0.2))
    with pytest.raises(ValueError, match="between 0 and 1"):
        diffusion.PnPFlow((0.5, 1.0))
    samples = diffusion.PosteriorSamples(torch.zeros(9, 1, 2))
    with pytest.raises(ValueError, match="at most 0.8 for 9 samples; draw at least 19"):
        samples.interval(0.9)
    with pytest.raises(ValueError, match="opposite frequencies"):
        diffusion.StationaryPrior(prior.mean, torch.rand(6, 6, generator=GENERATOR(0)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        samples.images = None
    with pytest.raises(ValueError, match="the operator for torch.float32 of shape"):
        diffusion.gaussian_posterior(smooth_prior(odl.rn((6, 6))), likelihood)
    element = A.range.element(likelihood.data[0].numpy())
    assert torch.equal(diffusion.GaussianLikelihood(A, element, 0.1).data, likelihood.data)
    assert bridge.as_module(A)(prior.mean).shape == likelihood.data.shape[1:]
