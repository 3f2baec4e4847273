"""Parameter maps of ``regularizers.py``: total variation whose parameter a network chooses."""

import math
import time

import regularizers_problems as problems
import torch

from odl_learned import data, learning, networks, reconstruction

START, WIDTHS, CROP, BATCH, RATE, STEPS, COUNT = 0.065, (8, 16, 32), 40, 8, 3e-3, 1000, 4000


def measured(folder, size):
    """The numbers of the part ``maps``: dB of the problem N, and CPU seconds of training."""
    images = problems.kodak(folder)
    problem = problems.denoising(folder, size)
    noisy, truth = problem.test
    net = networks.UNet(1, 1, WIDTHS, dimension=2, generator=problems.generator(0))
    model = reconstruction.AdaptiveTV(
        reconstruction.PositiveMaps(net, [START], dimension=2), accuracy=1e-3)
    before = problems.mean_psnr(model.solve(noisy).x, truth)
    steps = STEPS if size == "full" else 1
    began = time.process_time()
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    cosine = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: 0.5 * (1 + math.cos(math.pi * k / steps)) + 0.01)
    crop = CROP if size == "full" else problems.SIZES[size][0]
    count = min(COUNT, steps * BATCH)
    pairs = data.FixedPairs(*problems.Crops(images[:18], crop, count, 0).stacked())
    learning.train(model, pairs, steps=steps, optimizer=optimizer, schedule=cosine,
                   loss=learning.mean_squared_error, batch_size=BATCH, seed=0, progress=False)
    seconds = time.process_time() - began
    solution = model.solve(noisy)
    after = problems.mean_psnr(solution.x, truth)
    alpha = model.parameters_of(noisy).detach()
    print(f"parameter maps {before:.2f} dB with one parameter, {after:.2f} dB after {seconds:.0f} "
          f"CPU s; alpha from {float(alpha.min()):.3g} to {float(alpha.max()):.3g}, median "
          f"{float(alpha.median()):.3g}; {solution}", flush=True)
    return {"maps_db": after, "maps_seconds": seconds}
