"""Phantoms of ellipses and the generative models of them that the figures of this folder compare.

One mean for all, and on it a constant, a diagonal and a structured covariance, trained in stages.
"""

import numpy as np
import odl
import torch

from odl_learned import learning, operators
from odl_learned.bridge import as_module
from odl_learned.learning.objectives import EvidenceLowerBound
from odl_learned.networks import generative
from odl_learned.regularizers.generative import Measurements

NOISE_LEVEL, LATENT = 0.02, 12


def phantoms(n, count, rng):
    """Return images of a large ellipse and some small ones in it, ``(count, n, n)``, float32."""
    y, x = (np.mgrid[: 2 * n, : 2 * n] + 0.5) / n - 1
    images = np.zeros((count, 2 * n, 2 * n))
    for image in images:
        for k in range(1 + rng.poisson(3)):
            axes = (0.8, 0.6) + 0.1 * rng.random(2) if k == 0 else 0.1 + 0.2 * rng.random(2)
            center = 0.05 * rng.standard_normal(2) if k == 0 else 0.9 * rng.random(2) - 0.45
            angle = 0.2 * rng.standard_normal() if k == 0 else np.pi * rng.random()
            value = 0.5 if k == 0 else 0.6 * (rng.random() - 0.3)
            s, t = x - center[0], y - center[1]
            cos, sin = np.cos(angle), np.sin(angle)
            rho = ((cos * s + sin * t) / axes[0]) ** 2 + ((cos * t - sin * s) / axes[1]) ** 2
            image += value * (rho <= 1)
    means = images.reshape(count, n, 2, n, 2).mean((2, 4))
    return torch.from_numpy(means.astype(np.float32))


def model(n, radius, width, deviation=0.1):
    """Return an autoencoder at the start; the radius None has one precision for all pixels."""
    source = torch.Generator().manual_seed(0)
    encoder = generative.FullyConnectedEncoder(1, (n, n), (width, width), LATENT, generator=source)
    decoder = generative.FullyConnectedDecoder(LATENT, (width, width), 1, (n, n), generator=source)
    return generative.VariationalAutoencoder(encoder, decoder,
                                             _head(n, radius, width, deviation, source))


def refined(n, radius, width, deviation=0.1):
    """Return one with convolutions behind its decoder and in its encoder."""
    source = torch.Generator().manual_seed(0)
    encoder = generative.ConvolutionalEncoder(1, (n, n), (16, 32), LATENT, generator=source)
    rough = generative.FullyConnectedDecoder(LATENT, (width, width), 4, (n, n), generator=source)
    decoder = generative.RefinedDecoder(rough, (16, 16), generator=source)
    return generative.VariationalAutoencoder(encoder, decoder,
                                             _head(n, radius, width, deviation, source))


def _head(n, radius, width, deviation, source):
    if radius is None:
        return generative.ConstantHead(1, (n, n), deviation=deviation)
    entries = 1 + generative.heads.later_neighbors(radius)
    factor = generative.FullyConnectedDecoder(LATENT, (width // 2,), entries, (n, n), scale=0.1,
                                              generator=source)  # fmt: skip
    return generative.WindowHead(factor, radius, deviation=deviation,
                                 least_deviation=0.9 * NOISE_LEVEL)  # fmt: skip


def trained(images, radii, width, steps, folder=None, device="cpu", start=model):
    """Return models with these radii, by radius, which begin with the same mean.

    They start as `model` or `refined`. With a folder, trainings are kept there, and go on where
    they were interrupted.
    """
    n, adam = images.shape[-1], learning.adam_with_cosine

    def train(network, stages, name):
        place = None if folder is None else folder / name
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
        learning.train_in_stages(network, images, stages, loss=EvidenceLowerBound(
            noise_level=NOISE_LEVEL), batch_size=32, clip_norm=0.3, progress=False, folder=place)

    mean = start(n, None, width).to(device)
    train(mean, [learning.Stage("mean", [mean], steps[0], adam(2e-3))], "mean")
    models = {}
    for radius in radii:
        found = models[radius] = start(n, radius, width, mean.head.deviation).to(device)
        found.encoder.load_state_dict(mean.encoder.state_dict())
        found.decoder.load_state_dict(mean.decoder.state_dict())
        train(found, [learning.Stage("covariance", [found.head], steps[1], adam(2e-3)),
                      learning.Stage("all", [found], steps[2], adam(5e-4))], f"radius {radius}")
        found.eval()
    return models


def resonance(images, share, noise_level, seed=0):
    """Return noisy measurements of lines of k-space, dense at its center."""
    n = images.shape[-1]
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    rng, distance = np.random.default_rng(3), np.abs(np.arange(n) - n // 2)
    density = 1 / (1 + distance / (n / 10)) ** 1.5
    lines = distance <= 1
    while lines.sum() < round(share * n):
        lines[rng.choice(n, p=density / density.sum())] = True
    mask = np.repeat(lines[None], n, 0)
    A = operators.SampledFourier(space.complex_space, mask) @ odl.ComplexEmbedding(space)
    y = as_module(A)(images)
    noise = torch.randn((2, *y.shape), generator=torch.Generator().manual_seed(seed))
    y = y + noise_level * torch.complex(*noise) * torch.from_numpy(mask.astype(np.float32))
    return Measurements(A, y, noise_level)


def psnr(images, truth):
    """Return peak signal-to-noise ratios of images in [0, 1], one for each."""
    return (-10 * torch.log10((images - truth).square().mean((1, 2)))).numpy()


def clearest_correlations(covariance, shape):
    """Return correlations with a pixel that has large ones of both signs, and the pixel."""
    deviations = covariance.diagonal().sqrt()
    found = covariance / (deviations[:, None] * deviations)
    others = found - 2 * torch.eye(len(found), dtype=found.dtype)  # that with itself does not count
    pixel = int(torch.minimum(-found.amin(1), others.amax(1)).argmax())
    return found[pixel].reshape(shape).numpy(), divmod(pixel, shape[1])
