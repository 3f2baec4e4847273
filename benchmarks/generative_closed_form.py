"""The gain of covariances without a network: principal components, and precisions in closed form.

An image is ``m + W z + v`` with the 16 first principal components W of the training images and a
deviation v of precision P, fitted to what they leave over: all Gaussian, so that the reconstruction
is a formula, and what is compared is the model of the deviation alone.
"""

import math

import timing  # isort: skip  # noqa: F401  (one thread)
import generative_data
import numpy as np
import odl
import torch

from odl_learned import data, operators
from odl_learned.bridge import as_module
from odl_learned.regularizers.generative.precision import (
    Precision,
    most_likely_precision,
    white_precision,
)

COMPONENTS = 16
NAMES = {None: "identity", 0: "diagonal", 1: "3x3", 2: "5x5"}


def components(train):
    """Mean ``(n, n)``, components ``(k, n, n)`` and their variances."""
    mean = train.mean(0)
    _, values, vectors = torch.linalg.svd((train - mean).flatten(1), full_matrices=False)
    k = min(COMPONENTS, len(train) // 4)
    return mean, vectors[:k].reshape(k, *mean.shape), values[:k] ** 2 / len(train)


def left_over(images, mean, vectors):
    """Images minus the mean and their components."""
    W = vectors.flatten(1)
    flat = (images - mean).flatten(1)
    return (flat - flat @ W.T @ W).reshape(images.shape)


def models(n, train, test, noise, radii):
    """Residuals of training and test images, and a precision for each radius, by name."""
    images = generative_data.ellipses(train, 1, test, size=n)
    train, test = (torch.from_numpy(part).double() for part in (images.train, images.test))
    mean, vectors, _ = components(train)
    residuals = left_over(train, mean, vectors)
    fitted = {NAMES[d]: white_precision(residuals, noise) if d is None
              else most_likely_precision(residuals, d, noise) for d in radii}  # fmt: skip
    return residuals, left_over(test, mean, vectors), fitted


def nats(precision, residuals, noise):
    """Mean negative log density of residuals with white noise, per pixel; the noise by a trace."""
    inside = torch.from_numpy(precision.hood.inside(precision.image))
    squares = precision.scale**2 * (1 + (precision.neighbors**2 * inside).sum(1))
    value = noise**2 * squares.sum() / 2 - precision.log_density(residuals).mean()
    return float(value) / precision.size


def descended(residuals, noise, steps, batch=64):
    """A precision of 3 x 3 windows by Adam on residuals with noise, as networks are trained."""
    source = torch.Generator().manual_seed(0)
    shape = residuals.shape[1:]
    log_diagonal = torch.full((1, *shape), 2.5, dtype=torch.float64, requires_grad=True)
    neighbors = torch.zeros(1, 4, *shape, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_diagonal, neighbors], 0.05)
    for k in range(steps):
        optimizer.param_groups[0]["lr"] = 0.05 * max(0.01, (1 + math.cos(math.pi * k / steps)) / 2)
        chosen = residuals[torch.randint(len(residuals), (batch,), generator=source)]
        chosen = chosen + noise * torch.randn(chosen.shape, generator=source, dtype=chosen.dtype)
        loss = -Precision(log_diagonal, neighbors, 1).log_density(chosen).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Precision(log_diagonal.detach(), neighbors.detach(), 1)


def likelihood(n, train, test, steps):
    """How close training comes to the closed form, and the order on images that were held out."""
    noise = 0.01
    residuals, held_out, fitted = models(n, train, test, noise, tuple(NAMES))
    numbers = {}
    for name, precision in fitted.items():
        inside, outside = (nats(precision, r, noise) for r in (residuals, held_out))
        print(f"  {name:10s} {inside:8.3f} nats per pixel in training, {outside:8.3f} held out")
        numbers[f"nats_{name}"] = outside
    gap = nats(descended(residuals, noise, steps), residuals, noise) - nats(
        fitted["3x3"], residuals, noise)
    print(f"  {steps} steps of Adam stay {gap:.4f} nats per pixel behind the closed form")
    return numbers | {"closed_form_gap_nats": gap}


def reconstruction(n, train, test):
    """CS-MRI with 25 % of the lines and 2 % noise: PSNR of all models on the same data."""
    noise, level = 0.01, 0.02
    images = generative_data.ellipses(train, 1, test, size=n)
    train, truth = (torch.from_numpy(part).double() for part in (images.train, images.test))
    mean, vectors, variances = components(train)
    residuals, W = left_over(train, mean, vectors), vectors.flatten(1)
    space = odl.rn((n, n))
    lines = data.cartesian_mask((n, n), 0.25, 0.125, np.random.default_rng(3))
    op = operators.SampledFourier(space.complex_space, lines) @ odl.ComplexEmbedding(space)
    forward = as_module(op)
    unit = torch.eye(n * n, dtype=torch.float64).reshape(-1, n, n)
    seen = np.flatnonzero(np.broadcast_to(lines, (n, n)).ravel())
    A = torch.view_as_real(forward(unit).flatten(1)[:, seen]).flatten(1).T
    source = torch.Generator().manual_seed(0)
    y = (truth - mean).flatten(1) @ A.T
    y = y + level * torch.randn(y.shape, generator=source, dtype=y.dtype)
    psnr = {}
    for d, name in NAMES.items():
        precision = (white_precision(residuals, noise) if d is None
                     else most_likely_precision(residuals, d, noise))  # fmt: skip
        C = precision.covariance_times(unit).flatten(1) + (W.T * variances) @ W
        gain = torch.linalg.solve(A @ C @ A.T + level**2 * torch.eye(len(A)), A @ C)
        error = (truth - mean).flatten(1) - y @ gain
        psnr[name] = -10 * torch.log10(error.square().mean(1))
        print(f"  {name:10s} {psnr[name].mean():6.2f} dB")
    gains = {name: psnr["3x3"] - psnr[name] for name in ("identity", "diagonal")}
    return {"closed_3x3_vs_identity_db": float(gains["identity"].mean()),
            "closed_3x3_vs_diagonal_db": float(gains["diagonal"].mean()),
            "closed_5x5_db": float(psnr["5x5"].mean()),
            "closed_wins": float((gains["identity"] > 0).double().mean())}  # fmt: skip
