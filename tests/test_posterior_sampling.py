"""Samplers against Gaussian posteriors in closed form; chains that go on, alone and in batches."""

import functools

import numpy as np
import odl
import pytest
import torch
from posterior_problems import (
    entrywise_norm,
    errors,
    measured,
    resonance,
    smooth_prior,
    tomography,
)
from torch import nn

from odl_learned import operators
from odl_learned.reconstruction import diffusion

GENERATOR = torch.Generator().manual_seed
PROBLEMS = {"tomography": tomography, "resonance": resonance}


@functools.cache
def problem(name):
    A = PROBLEMS[name](n=6)
    prior = smooth_prior(A.domain)
    _, likelihood = measured(A, prior, accuracy=2e-2)
    # a third of the noise, in the entries of images
    last = likelihood.noise_level / entrywise_norm(A) / 3
    return prior, likelihood, diffusion.gaussian_posterior(prior, likelihood), last


def drawn(name, sampler, denoiser=None, count=300):
    prior, likelihood, posterior, _ = problem(name)
    samples = diffusion.draw_samples(
        sampler, denoiser or prior, likelihood, count, GENERATOR(0), batch_size=count)
    return errors(samples, posterior)


class Pulled(nn.Module):
    """A denoiser that is a little too sure of its mean."""

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    def forward(self, x, level):
        return 0.85 * self.prior(x, level) + 0.15 * self.prior.mean


def deviation(name, count):
    """Relative standard deviation of the trace of a covariance of samples: ``2 |S|^2 / K``."""
    prior, _, posterior, _ = problem(name)
    parts = 2 if prior.mean.is_complex() else 1
    return (2 * parts * float(posterior.covariance.abs().square().sum()) / count) ** 0.5 / (
        posterior.trace)


@pytest.mark.parametrize("name", PROBLEMS)
def test_annealed_langevin_samples_the_posterior(name):
    """Mean within three standard errors, variances within five percent and two deviations."""
    sampler = diffusion.AnnealedLangevin(diffusion.geometric_levels(2.0, problem(name)[3], 60))
    mean_error, trace_error = drawn(name, sampler, count=150)
    assert mean_error < 3 and abs(trace_error) < 0.05 + 2 * deviation(name, 150)
    _, wrong = drawn(name, sampler, Pulled(problem(name)[0]), count=50)
    assert wrong < -0.05 - 2 * deviation(name, 50)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_more_levels_and_samples_are_nearer_to_the_posterior(name):
    sampler = diffusion.AnnealedLangevin(diffusion.geometric_levels(2.0, problem(name)[3], 200))
    mean_error, trace_error = drawn(name, sampler, count=1000)
    assert mean_error < 3 and abs(trace_error) < 0.02 + 2 * deviation(name, 1000)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_others_do_not_spread_enough(name):
    levels = diffusion.geometric_levels(2.0, problem(name)[3], 30)
    mean_error, trace_error = drawn(name, diffusion.DiffPIR(levels), count=50)
    assert mean_error < 3 and trace_error < -0.3
    times = tuple(1 / (1 + level) for level in levels)
    assert drawn(name, diffusion.PnPFlow(times), count=50)[1] < -0.3


def test_weights_of_spaces_do_not_enter():
    """The same matrix between spaces whose cells differ by 10^8: the same samples."""
    found = []
    for cell in (1e-2, 1e2):
        A = resonance(n=6, cell=cell)
        prior = smooth_prior(A.domain)
        _, likelihood = measured(A, prior)
        sampler = diffusion.AnnealedLangevin(diffusion.geometric_levels(1.0, 0.05, 5))
        found.append(diffusion.draw_samples(sampler, prior, likelihood, 2, GENERATOR(0)).images)
    assert found[0].abs().max() > 0.1
    torch.testing.assert_close(*found, rtol=0, atol=1e-8)


def blurred_signals():
    X = odl.uniform_discr(0, 1, 12)
    return operators.PeriodicConvolution(X, np.array([0.2, 0.5, 0.3]))


def test_truths_of_the_prior_are_one_more_sample():
    """Intervals hold as many pixels as they say, over 60 truths with data of their own.

    Signals of 12 points that are smooth have about five independent numbers: a deviation of
    ``(0.16 / 300)^{1/2} = 0.023``, of which three are allowed.
    """
    A = blurred_signals()
    prior = smooth_prior(A.domain)
    truth, likelihood = measured(A, prior, relative_noise=0.2, count=60)
    levels = diffusion.geometric_levels(2.0, 0.05, 30)
    covered = {}
    for sampler in (diffusion.AnnealedLangevin(levels), diffusion.DiffPIR(levels)):
        samples = diffusion.draw_samples(sampler, prior, likelihood, 9, GENERATOR(0), 540)
        covered[type(sampler)] = samples.coverage(truth, 0.8)
    assert abs(covered[diffusion.AnnealedLangevin] - 0.8) < 0.07
    assert covered[diffusion.DiffPIR] < 0.7


SAMPLERS = {
    "langevin": diffusion.AnnealedLangevin((1.0, 0.3, 0.1), steps=2),
    "diffpir": diffusion.DiffPIR((1.0, 0.3, 0.1), zeta=0.5),
    "flow": diffusion.PnPFlow((0.5, 0.7, 0.9), average=2),
    "explicit flow": diffusion.PnPFlow((0.5, 0.7, 0.9), diffusion.ExplicitStep(0.1)),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_chain_is_the_same_alone_and_among_others(name):
    A = blurred_signals()
    prior = smooth_prior(A.domain)
    _, likelihood = measured(A, prior, count=3)
    whole = diffusion.draw_samples(SAMPLERS[name], prior, likelihood, 4, GENERATOR(5)).images
    assert whole.shape == (4, 3, 12)
    parts = diffusion.draw_samples(
        SAMPLERS[name], prior, likelihood, 2, GENERATOR(5), batch_size=1).images
    torch.testing.assert_close(parts, whole[:2], rtol=0, atol=1e-12)
    first = diffusion.draw_samples(SAMPLERS[name], prior, likelihood.take([0]), 4, GENERATOR(5))
    torch.testing.assert_close(first.images, whole[:, :1], rtol=0, atol=1e-12)
    other = diffusion.draw_samples(SAMPLERS[name], prior, likelihood, 4, GENERATOR(6)).images
    assert (other - whole).abs().flatten(1).max(1).values.min() > 1e-3


class Dies(nn.Module):
    """A denoiser that is interrupted after so many evaluations."""

    def __init__(self, prior, after):
        super().__init__()
        self.prior, self.left = prior, after

    def forward(self, x, level):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return self.prior(x, level)


def test_drawing_goes_on_from_a_file(tmp_path):
    A = blurred_signals()
    prior = smooth_prior(A.domain)
    _, likelihood = measured(A, prior)
    path, sampler = tmp_path / "samples.pt", SAMPLERS["diffpir"]

    def draw(denoiser, data=likelihood, seed=0, sampler=sampler, checkpoint=path, count=6):
        return diffusion.draw_samples(sampler, denoiser, data, count, GENERATOR(seed), 2,
                                      checkpoint=checkpoint).images  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        draw(Dies(prior, 9))
    assert len(torch.load(path, weights_only=True)["chains"]) == 2
    assert torch.equal(draw(prior), draw(prior, checkpoint=None))
    assert torch.equal(draw(Dies(prior, 4)), draw(prior, count=6))  # nothing is left to draw
    assert draw(prior, count=8).shape == (8, 1, 12) and [*tmp_path.iterdir()] == [path]
    for wrong, message in (
        (dict(denoiser=Pulled(prior)), "another denoiser"), (dict(seed=1), "another seed"),
        (dict(sampler=SAMPLERS["langevin"]), "another sampler"),
        (dict(data=measured(A, prior, seed=2)[1]), "another data"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            draw(**{"denoiser": prior, **wrong})
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read as samples"):
        draw(prior)
    with pytest.raises(FileNotFoundError, match="create it"):
        draw(prior, checkpoint=tmp_path / "not" / "there.pt")


def velocity(prior, x, t):
    """``E[x_1 - e | (1 - t) e + t x_1 = x]`` of a Gaussian prior, by its own conditional law.

    The cross covariance of ``x_1 - e`` and ``x`` is ``t C - (1 - t)``, the covariance of x
    ``t^2 C + (1 - t)^2``.
    """
    return prior.mean + prior.filtered(
        x - t * prior.mean, lambda v: (t * v - (1 - t)) / (t**2 * v + (1 - t) ** 2))


def test_pnp_flow_with_a_denoiser_is_that_with_a_velocity():
    """The method of Martin et al. with the velocity, and the same random numbers."""
    A = blurred_signals()
    prior = smooth_prior(A.domain)
    _, likelihood = measured(A, prior, count=2)
    times, size = tuple(np.linspace(0.1, 0.95, 20).tolist()), 0.05
    found = diffusion.draw_samples(
        diffusion.PnPFlow(times, diffusion.ExplicitStep(size, 0.5)), prior, likelihood, 1,
        GENERATOR(0)).images[0]  # fmt: skip
    seed = int(torch.randint(2**62, (), generator=GENERATOR(0)))
    for i in range(2):
        numbers = np.random.SeedSequence((seed, i, 0)).generate_state(1, np.uint64)
        source, x = GENERATOR(int(numbers[0])), torch.zeros(12, dtype=torch.float64)
        for t in times:
            one = likelihood.take([i])
            z = x - size * (1 - t) ** 0.5 * one.gradient(x[None])[0]
            noise = torch.randn(12, generator=source, dtype=torch.float64)
            back = (1 - t) * noise + t * z
            x = back + (1 - t) * velocity(prior, back[None], t)[0]
        torch.testing.assert_close(found[i], x, rtol=0, atol=1e-6)


def test_what_diverges_or_mixes_samples_is_an_error():
    A = blurred_signals()
    prior = smooth_prior(A.domain)
    _, likelihood = measured(A, prior)
    steep = diffusion.PnPFlow((0.5, 0.6, 0.7), diffusion.ExplicitStep(1e200, 0.0))
    with pytest.raises(FloatingPointError, match="are no longer finite; take smaller steps"):
        diffusion.draw_samples(steep, prior, likelihood, 1, GENERATOR(0))

    class Mixes(Pulled):
        def forward(self, x, level):
            return self.prior(x - x.mean(0), level)

    class Shrinks(Pulled):
        def forward(self, x, level):
            return x[..., 1:]

    with pytest.raises(ValueError, match="maps a sample in a batch of two to something else"):
        diffusion.draw_samples(SAMPLERS["diffpir"], Mixes(prior), likelihood, 1, GENERATOR(0))
    with pytest.raises(ValueError, match="expected the same shape"):
        diffusion.draw_samples(SAMPLERS["diffpir"], Shrinks(prior), likelihood, 1, GENERATOR(0))
    class Explodes(Pulled):
        def forward(self, x, level):
            return self.prior(x, level) / (level > 0.5)  # infinite at low levels

    with pytest.raises(FloatingPointError, match="denoiser's images at the noise level"):
        diffusion.draw_samples(SAMPLERS["diffpir"], Explodes(prior), likelihood, 1, GENERATOR(0))
    with pytest.raises(TypeError, match="forward of denoiser is .*images and a noise level"):
        diffusion.draw_samples(SAMPLERS["diffpir"], nn.Conv2d(1, 1, 1), likelihood, 1, GENERATOR(0))
    with pytest.raises(TypeError, match="sampler is .*expected for example"):
        diffusion.draw_samples("langevin", prior, likelihood, 1, GENERATOR(0))
