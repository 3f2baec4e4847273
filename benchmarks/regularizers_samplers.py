"""Samplers against Gaussian posteriors in closed form, and a denoiser of slices for them.

    python benchmarks/regularizers_samplers.py --data FOLDER --out FILE [--steps 2500]

trains the denoiser that comes with the package, `learning.CT_DENOISER`, on slices of the split
``train`` of ``ct/ct_slices_256.npz`` in the folder.
"""

import argparse
import time
from pathlib import Path

import regularizers_problems as problems
import torch

from odl_learned import learning, networks
from odl_learned.learning.objectives import (
    BalancedWeight,
    DenoisingScoreMatching,
    LogUniformLevels,
)

#: Noise levels of training, and the widths of the network.
LEVELS, WIDTHS = LogUniformLevels(0.004, 1.5), (16, 32, 64)


class Slices:
    """Slices, turned left to right and upside down at random; each depends on its number alone."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return 4 * len(self.images)

    def __getitem__(self, i):
        index, turn = divmod(i, 4)
        x = self.images[index]
        return x.flip([axis for axis in (0, 1) if turn >> axis & 1])


def trained_denoiser(images, steps, checkpoint=None):
    """A denoiser for all noise levels of images ``(count, n, n)``, and CPU seconds."""
    torch.manual_seed(0)
    mean, spread = float(images.mean()), float(images.std())
    unet = networks.UNet(2, 1, WIDTHS, dimension=2)
    denoiser = networks.NoiseLevelOnImages(
        networks.PreconditionedDenoiser(unet, round(mean, 4), round(spread, 4)), dimension=2)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start = time.process_time()
    learning.train(
        denoiser, Slices(images), steps=steps, optimizer=optimizer, batch_size=8, clip_norm=1.0,
        schedule=schedule, loss=DenoisingScoreMatching(LEVELS, BalancedWeight(spread)),
        checkpoint=checkpoint, progress=False)  # fmt: skip
    return denoiser.eval(), time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--steps", type=int, default=2500)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = problems.slices(arguments.data, "train", 64)
    denoiser, seconds = trained_denoiser(
        images, arguments.steps, arguments.out.with_suffix(".state"))
    learning.save_regularizer(arguments.out, denoiser)
    x = problems.slices(arguments.data, "val", 64)
    noise = torch.randn(x.shape, generator=problems.generator(0))
    with torch.no_grad():
        found = {t: round(problems.mean_psnr(denoiser(x + t * noise, t), x), 2)
                 for t in (0.01, 0.03, 0.1, 0.3, 1.0)}
    weights = sum(p.numel() for p in denoiser.parameters())
    print(f"{weights} weights, {seconds:.0f} CPU s; PSNR of the validation by noise level: {found}")


if __name__ == "__main__":
    main()
