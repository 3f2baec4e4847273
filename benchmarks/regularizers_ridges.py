"""Ridges of ``regularizers.py``: bilevel training by the one loop of training, from cosines."""

import copy
import itertools
import math
import time

import numpy as np
import odl
import regularizers_problems as problems
import torch

from odl_learned import bridge, data, learning, networks, operators, reconstruction
from odl_learned.regularizers import ComposedFilters, Huber, Ridge

CROP, BATCH, ITERATIONS, RATE = 40, 16, 25, 1e-2
#: squares that are trained on, and iterations from the last minimizer of each
COUNT, FOLLOWING = 1024, 10
#: channels and size of filters: 24 of 5 x 5, or 48 of 7 x 7, a product of three
FILTERS = {"small": ((1, 24), 5), "composed": ((1, 4, 8, 48), 3)}
#: CPU seconds of training, and steps at most
SECONDS = {"tiny": 0.0, "full": 55.0}
#: logarithms of the scales that are tried behind training without minimizers
FACTORS = (-1.5, -0.75, 0.0, 0.75, 1.5, 2.25, 3.0)
FINE = (-0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9)


def crr(channels, size):
    """A convex ridge."""
    filters = ComposedFilters(channels, size, networks.Reflecting(), dimension=2)
    return Ridge(filters, Huber(), sharpness=3.0, strength=0.6)


def wcrr(channels, size):
    """A weakly convex one."""
    filters = ComposedFilters(channels, size, networks.Reflecting(), dimension=2)
    return Ridge(filters, Huber(), Huber(), sharpness=3.0, strength=0.94)


def denoiser(ridge, maxiter, sigma=problems.SIGMA, accuracy=1e-5, initial=None):
    """``argmin 1/2 |x - y|^2 + R_sigma(x)``."""
    return reconstruction.RegularizedLeastSquares(
        torch.nn.Identity(), torch.nn.Identity(), ridge, noise_level=sigma, norm=1.0,
        coercivity=1.0, dimension=2, maxiter=maxiter, accuracy=accuracy, initial=initial,
        derivative=reconstruction.ImplicitDerivative(1e-2, 10))


def trained(ridge, images, seconds, sigma=problems.SIGMA, seed=0):
    """Train a ridge to denoise photographs; return the CPU seconds that it took."""
    began = time.process_time()
    ridge.growth.requires_grad_(False)  # one noise level does not tell
    start = reconstruction.WarmStart(torch.nn.Identity())
    model = denoiser(ridge, FOLLOWING, sigma, 1e-4, start)
    few = problems.Crops(images, CROP, 4, seed + 1, sigma).stacked()
    learning.search_scale(denoiser(ridge, 2 * ITERATIONS, sigma), *few, factors=FACTORS)
    started = {name: value.clone() for name, value in ridge.state_dict().items()}
    train_for(model, images, seconds - (time.process_time() - began), sigma=sigma, seed=seed)
    return time.process_time() - began, started


def train_for(model, images, seconds, **options):
    """Train a model for so many CPU seconds, that of its steps being measured on a copy."""
    began = time.process_time()
    if seconds > 0:
        step = _seconds_of_a_step(copy.deepcopy(model), images, **options)
        spent = time.process_time() - began
        train(model, images, max(1, int((seconds - spent) / step)), **options)


def _seconds_of_a_step(model, images, **options):
    train(model, images, 1, **options)
    began = time.process_time()
    train(model, images, 2, **options)
    return (time.process_time() - began) / 2


class AtLevel(torch.nn.Module):
    """A ridge at a noise level, as a map to values."""

    def __init__(self, ridge, sigma):
        super().__init__()
        self.ridge, self.sigma = ridge, sigma

    def forward(self, x):
        return self.ridge.at(self.sigma).value(x)


def train(model, images, steps, sigma=problems.SIGMA, seed=0, loss=learning.mean_squared_error,
          batch=BATCH, rate=RATE, count=COUNT, warm_up=1, clip_norm=None):
    """Train by Adam on squares of photographs, with a rate that falls along a cosine."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, rate)
    cosine = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min(1.0, (k + 1) / warm_up) * (
            0.5 * (1 + math.cos(math.pi * min(1.0, k / steps))) + 0.01))
    pairs = data.FixedPairs(*problems.Crops(images, CROP, count, seed, sigma).stacked())
    learning.train(model, pairs, steps=steps, optimizer=optimizer, loss=loss, schedule=cosine,
                   batch_size=batch, seed=seed, clip_norm=clip_norm, progress=False)


#: alphas, and noise levels at which the ridge is, of the search on validation images
GRIDS = {"ct": ((1e-3, 3e-3, 1e-2), (0.02, 0.04, 0.08)),
         "inpainting": ((0.01, 0.03, 0.1), (0.03, 0.06, 0.12))}  # fmt: skip


def tuned(ridge, problem, grids):
    """PSNR on the test images, with alpha and noise level the best on validation images.

    A coarse search with few iterations, and one step of a finer one around its best point.
    """
    few = slice(0, 6)
    y, truth = problem.val[0][few], problem.val[1][few]

    def quality(point):
        x = reconstructed(ridge, problem.val_ops[few], y, *point, maxiter=100)
        return problems.mean_psnr(x, truth)

    found = {point: quality(point) for point in itertools.product(*grids)}
    for _ in range(2):
        alpha, level = max(found, key=found.get)
        for point in ((alpha * 1.7, level), (alpha / 1.7, level), (alpha, level * 1.4),
                      (alpha, level / 1.4)):  # fmt: skip
            found.setdefault(point, quality(point))
    best = max(found, key=found.get)
    print("  validation: alpha {:.3g}, noise level {:.3g},".format(*best), round(found[best], 2))
    x = reconstructed(ridge, problem.test_ops, problem.test[0], *best, maxiter=400)
    return problems.mean_psnr(x, problem.test[1])


def reconstructed(ridge, ops, data, alpha, noise_level, maxiter):
    """Stationary points of least squares with the ridge; one batch if the operator is one.

    Weakly convex ones are flat where responses are large, so that iterations have to begin near an
    image: at a filtered backprojection, or where missing pixels are local means of the others.
    """
    if all(A is ops[0] for A in ops):
        data = data if isinstance(data, torch.Tensor) else torch.as_tensor(np.stack(data))
        groups = [(ops[0], data)]
    else:
        groups = [(A, torch.as_tensor(y)[None]) for A, y in zip(ops, data)]
    images = []
    for A, y in groups:
        model = reconstruction.RegularizedLeastSquares(
            bridge.as_module(A), bridge.as_module(A.adjoint), ridge, noise_level=noise_level,
            norm=float(operators.operator_norm(A)), alpha=alpha, dimension=2, maxiter=maxiter,
            accuracy=1e-6, initial=first_image(A))
        images.append(model.solve(y).x)
    return torch.cat(images)


def first_image(A):
    """A map from data to an image: backprojection, or local means where A is a mask."""
    back = bridge.as_module(A.adjoint)
    if not isinstance(A, odl.MultiplyOperator):
        return bridge.as_module(operators.fbp(A))
    kernel = operators.gaussian_kernel(A.domain, 1.0)
    smooth = bridge.as_module(operators.ReflectingConvolution(A.domain, kernel))
    seen = back(torch.ones(A.range.shape))

    def filled(y):
        known = back(y)
        return torch.where(seen > 0, known, smooth(known) / smooth(seen).clamp_min(1e-6))

    return filled
