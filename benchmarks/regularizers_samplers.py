"""Samplers against Gaussian posteriors in closed form, and a denoiser of slices for them.

    python benchmarks/regularizers_samplers.py --data FOLDER --out FILE [--steps 2500]

trains the denoiser that comes with the package, `learning.CT_DENOISER`, on slices of the split
``train`` of ``ct/ct_slices_256.npz`` in the folder.
"""

import argparse
import sys
import time
from pathlib import Path

import regularizers_problems as problems
import torch

from odl_learned import bridge, learning, networks
from odl_learned.learning.objectives import (
    BalancedWeight,
    DenoisingScoreMatching,
    LogUniformLevels,
)
from odl_learned.reconstruction import diffusion

#: Noise levels of training, and the widths of the network.
LEVELS, WIDTHS = LogUniformLevels(0.004, 1.5), (16, 32, 64)

#: pixels, views, chains and levels of Gaussian problems; slices, chains and levels of tomography
SIZES = {"tiny": ((6, 4, 30, 10), (1, 3, 3)), "full": ((12, 8, 1000, 150), (8, 19, 50))}


def gaussian(size):
    """Errors of samplers for Gaussian priors, against exact posteriors: the worse of two problems.

    The mean in standard errors, the sum of variances relative; tomography with real images and
    magnetic resonance with complex ones, of ``tests/posterior_problems.py``.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    import posterior_problems

    n, views, count, levels = SIZES[size][0]
    worst = dict.fromkeys(("gaussian_mean_error", "gaussian_trace_error", "diffpir_mean_error",
                           "diffpir_trace_error"), 0.0)  # fmt: skip
    for A in (posterior_problems.tomography(n, views=views), posterior_problems.resonance(n)):
        prior = posterior_problems.smooth_prior(A.domain)
        _, likelihood = posterior_problems.measured(A, prior)
        exact = diffusion.gaussian_posterior(prior, likelihood)
        last = likelihood.noise_level / posterior_problems.entrywise_norm(A) / 4
        falling = diffusion.geometric_levels(2.0, last, levels)
        for name, sampler in (("gaussian", diffusion.AnnealedLangevin(falling)),
                              ("diffpir", diffusion.DiffPIR(falling))):
            samples = diffusion.draw_samples(
                sampler, prior, likelihood, count, problems.generator(0), batch_size=250)
            found = posterior_problems.errors(samples, exact)
            print(f"{name}, {type(A).__name__}: mean {found[0]:.2f} standard errors, trace "
                  f"{100 * found[1]:+.1f} %", flush=True)
            for key, value in zip(("mean_error", "trace_error"), found):
                worst[f"{name}_{key}"] = max(worst[f"{name}_{key}"], abs(value))
    return worst


def posteriors(folder, size):
    """PSNR, spread and coverage of samplers with the denoiser of the package on test slices."""
    slices, count, levels = SIZES[size][1]
    problem = problems.tomography(folder, "full")
    step = len(problem.test[1]) // slices
    y, truth = (x[::step][:slices] for x in problem.test)
    exact = bridge.as_module(problem.test_ops[0])(problem.test[1])
    noise_level = problems.RELATIVE_NOISE * float(exact.abs().mean())
    likelihood = diffusion.GaussianLikelihood(problem.test_ops[0], y, noise_level, 1e-2)
    denoiser = learning.load_regularizer(learning.CT_DENOISER)
    falling = diffusion.geometric_levels(1.0, 2 * noise_level, levels)
    times = tuple(1 / (1 + level) for level in falling)
    numbers = {}

    def draw(name, sampler, count):
        start = time.process_time()
        samples = diffusion.draw_samples(
            sampler, denoiser, likelihood, count, problems.generator(0))
        numbers[f"{name}_db"] = problems.mean_psnr(samples.mean, truth)
        one = problems.mean_psnr(samples.images[0], truth)
        print(f"{name}: one sample {one:.2f} dB, mean of {count} {numbers[f'{name}_db']:.2f} dB, "
              f"{time.process_time() - start:.0f} CPU s", flush=True)
        return samples

    draw("explicit_flow", diffusion.PnPFlow(times, diffusion.ExplicitStep(1.0)), 1)
    draw("exact_flow", diffusion.PnPFlow(times), 1)
    for name, sampler in (("diffpir", diffusion.DiffPIR(falling)),
                          ("langevin", diffusion.AnnealedLangevin(falling))):
        samples = draw(name, sampler, count)
        level = (count - 1) / (count + 1)
        numbers[f"{name}_coverage"] = samples.coverage(truth, level)
        error = (samples.mean - truth).square().mean().sqrt()
        spread = samples.standard_deviation.square().mean().sqrt() * (1 + 1 / count) ** 0.5
        numbers[f"{name}_spread"] = float(spread / error)
        print(f"  intervals of {level:.0%} hold {numbers[f'{name}_coverage']:.1%}; spread over "
              f"error {numbers[f'{name}_spread']:.2f}", flush=True)
    tv = problems.total_variation([problem.test_ops[0]] * len(y), y, 1e-4)
    numbers["tv_slices_db"] = problems.mean_psnr(tv, truth)
    return numbers


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
