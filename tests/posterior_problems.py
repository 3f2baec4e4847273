"""Gaussian priors with data of tomography and of magnetic resonance, and what samples say of them.
"""

import math

import numpy as np
import odl
import torch

from odl_learned import bridge, operators
from odl_learned.reconstruction import diffusion


def tomography(n=8, cell=7.0, views=6):
    """A ray transform between spaces whose cells are far from one."""
    space = odl.uniform_discr([0, 0], [n * cell, n * cell], (n, n), dtype="float32")
    return operators.normalized(operators.parallel_ray_transform(space, views))


def resonance(n=8, cell=0.01, dtype="complex128"):
    """Forty percent of the frequencies of complex images, the lowest among them."""
    space = odl.uniform_discr([0, 0], [n * cell, n * cell], (n, n), dtype=dtype)
    mask = np.random.default_rng(0).random((n, n)) < 0.4
    mask[n // 2 - 1 : n // 2 + 1, n // 2 - 1 : n // 2 + 1] = True
    return operators.SampledFourier(space, mask)


def smooth_prior(space, power=1.5):
    """A stationary prior of smooth images around one half."""
    shape = space.shape
    squares = sum(np.meshgrid(*(np.fft.fftfreq(n) ** 2 for n in shape), indexing="ij"))
    dtype = getattr(torch, str(space.dtype_identifier))
    mean = torch.full(shape, 0.5, dtype=dtype)
    spectrum = 0.5 / (1 + squares / 0.08**2) ** power
    return diffusion.StationaryPrior(mean, torch.from_numpy(spectrum).to(mean.real.dtype))


def measured(forward_op, prior, relative_noise=0.05, count=1, seed=1, accuracy=1e-3):
    """Truths of the prior, ``(count, *shape)``, and the likelihood of their noisy data."""
    generator = torch.Generator().manual_seed(seed)
    truth = prior.draw(count, generator)
    exact = bridge.as_module(forward_op)(truth)
    noise_level = relative_noise * float(exact.abs().square().mean().sqrt())
    noise = torch.randn(exact.shape, generator=generator, dtype=exact.dtype)
    noise = noise * (2**0.5 if exact.is_complex() else 1.0)  # torch gives each part the half
    return truth, diffusion.GaussianLikelihood(
        forward_op, exact + noise_level * noise, noise_level, accuracy)


def entrywise_norm(forward_op):
    """``|A|`` in the entries: ``|A|^2 = w_X / w_Y |A|_{X, Y}^2`` for constant weights."""
    weights = forward_op.domain.weighting.const, forward_op.range.weighting.const
    return float(operators.operator_norm(forward_op)) * math.sqrt(weights[0] / weights[1])


def errors(samples, posterior):
    """Errors of mean and spread against the exact ones.

    Returns
    -------
    mean_error : float
        ``|mean - m| / (tr(Sigma) / K)^{1/2}``: about one if samples are exact and independent.
    trace_error : float
        Of the sum of all variances, relative.
    """
    distance = float((samples.mean - posterior.mean).abs().square().sum()) ** 0.5
    trace = float(samples.standard_deviation.square().sum())
    scale = math.sqrt(posterior.trace * len(posterior.mean) / len(samples))
    return distance / scale, trace / (posterior.trace * len(posterior.mean)) - 1
