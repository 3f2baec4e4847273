"""Parameter maps of ``regularizers.py``: parameters of (generalized) TV that a network chooses."""

import math
import time

import regularizers_problems as problems
import torch

from odl_learned import data, learning, networks, reconstruction

WIDTHS, CROP, BATCH, RATE, COUNT = (8, 16, 32), 40, 8, 3e-3, 4000
#: class, first parameters, steps
KINDS = {"maps": (reconstruction.AdaptiveTV, [0.065], 1000),
         "tgv_maps": (reconstruction.AdaptiveTGV, [0.065, 1.0], 600)}
NAMES = tuple(f"{kind}_{what}" for kind in KINDS for what in ("db", "seconds"))


def measured(folder, size):
    """The numbers of the part ``maps``: dB of the problem N, and CPU seconds of training."""
    numbers = {}
    for kind in KINDS:
        numbers.update(measured_of(kind, folder, size))
    return numbers


def measured_of(kind, folder, size):
    """The numbers of one kind."""
    build, start, most = KINDS[kind]
    images = problems.kodak(folder)
    problem = problems.denoising(folder, size)
    noisy, truth = problem.test
    net = networks.UNet(1, len(start), WIDTHS, dimension=2, generator=problems.generator(0))
    model = build(reconstruction.PositiveMaps(net, start, dimension=2), accuracy=1e-3)
    before = problems.mean_psnr(model.solve(noisy).x, truth)
    steps = most if size == "full" else 1
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
    maps = model.parameters_of(noisy).detach().unbind(1)
    spread = "; ".join(f"{name} from {float(m.min()):.3g} to {float(m.max()):.3g}, median "
                       f"{float(m.median()):.3g}" for name, m in zip(("alpha", "beta"), maps))
    print(f"{kind} {before:.2f} dB with constant parameters, {after:.2f} dB after {seconds:.0f} "
          f"CPU s; {spread}; {solution}", flush=True)
    return {f"{kind}_db": after, f"{kind}_seconds": seconds}
