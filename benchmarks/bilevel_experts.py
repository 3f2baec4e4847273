"""A learned convex ridge regularizer against total variation, denoising of natural images.

    python benchmarks/bilevel_experts.py --data FOLDER [--steps 480]

The folder holds ``natural/kodak24_gray.npz``: 24 pictures ``images`` of 512 x 768 bytes, which are
halved. The first 16 train, squares of the last 8 test. Both regularizers are learned from the same
1000 patches with the same loss: alpha of total variation exactly, by certified minimizers, and the
filters and weights of `RidgeEnergy` by Adam with certified implicit hypergradients of batches.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import odl_learned  # noqa: F401  (imports odl first)
from odl_learned import solvers
from odl_learned.data import downsample
from odl_learned.energies.filters import RidgeEnergy, dct_filters
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.threads import limit_threads

NOISE_LEVEL, SCALES = 0.1, (0.003,)


def natural_images(folder, rng, patches=1000, side=40, square=160):
    """Return training patches and test images, both exact and noisy."""
    with np.load(Path(folder) / "natural" / "kodak24_gray.npz") as file:
        images = downsample(file["images"] / 255, 2)
    truth = []
    for i in range(patches):
        image = images[i % 16]
        a, b = (int(rng.integers(n - side)) for n in image.shape)
        truth.append(image[a : a + side, b : b + side])
    truth, test = np.stack(truth), images[16:, 40 : 40 + square, 100 : 100 + square]
    noisy, data = (x + NOISE_LEVEL * rng.standard_normal(x.shape) for x in (truth, test))
    return truth, noisy, test, data


def learned_alpha(truth, noisy, low=0.03, high=0.2, niter=12):
    """Return alpha of isotropic total variation by golden section in its logarithm."""

    def loss(t):
        found = solvers.rof(noisy, np.exp(t), 1e-4, cell_sides=(1, 1))
        return float(np.mean((found.x - truth) ** 2))

    golden = (5**0.5 - 1) / 2
    a, b = np.log(low), np.log(high)
    c, d = b - golden * (b - a), a + golden * (b - a)
    values = loss(c), loss(d)
    for _ in range(niter):
        if values[0] < values[1]:
            b, d, c = d, c, d - golden * (d - a)
            values = loss(c), values[0]
        else:
            a, c, d = c, d, c + golden * (b - c)
            values = values[1], loss(d)
    return float(np.exp((a + b) / 2))


def learned_ridge(truth, noisy, rng, steps, size=5, count=24, batch=12):
    """Return the energy and parameters after so many steps of Adam."""
    frequencies = np.add.outer(np.arange(size) ** 2, np.arange(size) ** 2).flatten()[1:]
    filters = dct_filters(size)[np.argsort(frequencies, kind="stable")[:count].copy()]
    energy = RidgeEnergy(truth.shape[1:], filters.shape, SCALES, 0.0)
    start = energy.params(filters, torch.full((count, len(SCALES)), 0.015, dtype=torch.float64))
    parts = [part.clone().requires_grad_() for part in start.split(
        [filters.numel(), count * len(SCALES)])]  # fmt: skip
    optimizer = torch.optim.Adam(
        [{"params": [part], "lr": lr} for part, lr in zip(parts, (3e-2, 8e-2))], betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min(1, (k + 1) / 5) * (1 - k / steps) ** 0.5 + 0.02)
    truth, noisy = torch.from_numpy(truth), torch.from_numpy(noisy)
    whole = BilevelProblem(energy, noisy, SquaredError(truth, 1 / truth[:batch].numel()), noisy)
    for _ in range(steps):
        problem = whole.take(torch.from_numpy(rng.choice(len(truth), batch, replace=False)))
        params = torch.cat(parts).detach()
        gradient = Implicit()(LowerLevel(problem, Newton()), params, 3e-2, 3e-5).gradient
        for part, slope in zip(parts, gradient.split([p.numel() for p in parts]), strict=True):
            part.grad = slope.clone()
        optimizer.step()
        schedule.step()
    return energy, torch.cat(parts).detach()


def psnr(x, truth):
    """Mean over images of the peak signal-to-noise ratio for the peak 1."""
    return float(np.mean(-10 * np.log10(np.mean((x - truth) ** 2, axis=(1, 2)))))


def ridge_over_tv(folder, steps=480):
    """Return mean PSNRs on the test images and seconds of processor time of training."""
    rng = np.random.default_rng(0)
    truth, noisy, test, data = natural_images(folder, rng)
    alpha = learned_alpha(truth, noisy)
    variation = psnr(solvers.rof(data, alpha, 1e-5, cell_sides=(1, 1)).x, test)
    began = time.process_time()
    energy, params = learned_ridge(truth, noisy, rng, steps)
    seconds = time.process_time() - began
    large = RidgeEnergy(test.shape[1:], energy.filter_shape, energy.scales, energy.xi)
    data, exact = torch.from_numpy(data), SquaredError(torch.from_numpy(test))
    solution = LowerLevel(BilevelProblem(large, data, exact, data), Newton()).solve(params, 1e-2)
    ridge = psnr(solution.x.numpy(), test)
    return {
        "ridge_over_tv_db": ridge - variation, "ridge_psnr": ridge, "tv_psnr": variation,
        "data_psnr": psnr(data.numpy(), test), "tv_alpha": alpha, "ridge_seconds": seconds,
        "ridge_error_bound": float(solution.error_bound.max()),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=480)
    arguments = parser.parse_args()
    with limit_threads(1):
        print(ridge_over_tv(arguments.data, arguments.steps))
