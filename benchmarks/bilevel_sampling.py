"""Learned sampling against uninformed and greedy patterns, on real slices of brains.

    .venv/bin/python benchmarks/bilevel_sampling.py DATA

``DATA`` is the folder of ``mri_brain_256.npz``: arrays ``images`` (N, rows, columns), ``split``
("train" or "test"), ``subject``, ``p999`` (scale). Slices are averaged to 64^2, get smooth phases,
and are measured with noise. All patterns are masks; for each, ``alpha`` of smoothed total variation
is tuned on the training slices; the numbers are mean peak signal-to-noise ratios of test slices.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import data, metrics, operators
from odl_learned.learning.bilevel.gradient_based import lbfgsb
from odl_learned.learning.bilevel.hypergradient import Implicit
from odl_learned.learning.bilevel.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower_solvers import Newton
from odl_learned.learning.bilevel.sampling import (
    alpha_problem,
    sampling_problem,
    smoothed_variation,
)
from odl_learned.learning.bilevel.sampling_baselines import greedy, largest_coefficients
from odl_learned.learning.bilevel.sampling_patterns import learned_pattern, lines, points

NOISE_LEVEL = 0.01


def brain_pairs(folder, split, count, n, rng):
    """Return truth and data ``(count, n, n)`` of slices from all subjects of a split."""
    with np.load(Path(folder) / "mri_brain_256.npz") as file:
        stored = {key: file[key] for key in ("images", "split", "subject", "p999")}
    subjects = np.unique(stored["subject"][stored["split"] == split])
    numbers = []
    for i, subject in enumerate(subjects):
        share = len(range(i, count, len(subjects)))
        mine = np.flatnonzero(stored["subject"] == subject)
        numbers.extend(mine[np.linspace(0, len(mine) - 1, share + 2).astype(int)[1:-1]])
    scale = stored["p999"][numbers][:, None, None]
    images = data.from_rows(stored["images"][numbers] / scale)
    return measured(data.downsample(images, images.shape[-1] // n), rng)


def measured(images, rng):
    """Return images with smooth phases and their noisy transforms, as tensors."""
    n = images.shape[-1]
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="complex128")
    whole = operators.SampledFourier(space, np.ones((n, n)))
    truth = [space.element(image) * data.smooth_phase(space, rng) for image in images]
    noisy = [data.add_white_noise(whole(x), NOISE_LEVEL, rng) for x in truth]
    return tuple(torch.as_tensor(np.stack([v.data for v in many])) for many in (truth, noisy))


def tuned_psnr(mask, train, test):
    """Return the mean PSNR of test images with the best alpha for the training images."""
    regularizer = smoothed_variation(mask.shape)
    problem = alpha_problem(*train, mask, regularizer)
    alpha = lbfgsb(problem, _vector(-6.0), Implicit(), Newton(), maxiter=25, gtol=1e-8,
                   ftol=1e-3).params
    there = LowerLevel(alpha_problem(*test, mask, regularizer), Newton())
    found = there.solve(alpha, 1e-2 * float(test[0].abs().square().sum((1, 2)).sqrt().mean()))
    return float(np.mean([metrics.psnr(x.numpy(), truth.numpy(), data_range=1.0)
                          for x, truth in zip(found.x, test[0], strict=True)]))  # fmt: skip


def tuned_alpha(train, n):
    """Return the best alpha for full sampling, where learning starts."""
    problem = alpha_problem(*train, np.ones((n, n)), smoothed_variation((n, n)))
    found = lbfgsb(problem, _vector(-6.0), Implicit(), Newton(), maxiter=25, gtol=1e-8, ftol=1e-3)
    return float(found.params[0].exp())


def uninformed_masks(kind, shape, fraction, rng, draws):
    """Return a dict of masks of this sampling rate that know nothing about the images."""
    masks = {}
    for center in (0.04, 0.08, 0.16, 0.24):
        if center >= (fraction if kind == "lines" else fraction**0.5):
            continue
        for k in range(draws):
            if kind == "lines":
                masks[f"cartesian {center} {k}"] = data.cartesian_mask(shape, fraction, center, rng)
                continue
            for decay in (2, 4, 8):
                masks[f"variable density {center} {decay} {k}"] = data.variable_density_mask(
                    shape, fraction, decay, rng, center)
    if kind == "points":
        spokes = 1
        while spokes < 2 * sum(shape) and data.radial_mask(shape, spokes + 1).mean() <= fraction:
            spokes += 1
        masks["radial"] = data.radial_mask(shape, spokes)
    return masks


def learned_mask(kind, train, n, beta, alpha, maxiter=60):
    """Return the pattern learned from full sampling, and the CPU seconds it took."""
    began = time.process_time()
    pattern = lines((n, n)) if kind == "lines" else points((n, n))
    problem = sampling_problem(*train, pattern, smoothed_variation((n, n)), alpha,
                               (beta, beta / 2))  # at full sampling, less is cheaper
    start = torch.ones(pattern.size, dtype=torch.float64)
    learned = lbfgsb(problem, start, Implicit(), Newton(), maxiter=maxiter, gtol=1e-8, max_step=0.1,
                     ftol=1e-4)
    return learned_pattern(pattern, learned.params), time.process_time() - began


def compare(folder, kind="lines", n=64, beta=0.006, pairs=5, tests=10, draws=1,
            maxiter=40):  # fmt: skip
    """Return learned against uninformed and greedy patterns of the same sampling rate.

    Of the learned pattern, all members with parameters above 0.01 are kept: low frequencies have a
    high signal, so that small weights are enough for them.

    Parameters
    ----------
    folder : str or Path
    kind : "lines" or "points"
        Greedy patterns are made of lines, and left out for points.

    Returns
    -------
    results : dict
        With ``learned_over_uninformed_db``, the distance to the best uninformed pattern on the
        test slices, and ``learned_over_greedy_db`` for lines.
    """
    rng = np.random.default_rng(0)
    train = brain_pairs(folder, "train", pairs, n, rng)
    test = brain_pairs(folder, "test", tests, n, rng)
    alpha = tuned_alpha(train, n)
    learned, seconds = learned_mask(kind, train, n, beta, alpha, maxiter)
    mask = learned.mask()
    rate = float(mask.mean())
    results = {"kind": kind, "rate": rate, "alpha": alpha, "learn_seconds": seconds,
               "learned_db": tuned_psnr(mask, train, test)}  # fmt: skip
    masks = uninformed_masks(kind, (n, n), rate, rng, draws)
    scores = {name: tuned_psnr(each, train, test) for name, each in masks.items()}
    best = max(scores, key=scores.get)
    results |= {"uninformed": best, "uninformed_db": scores[best],
                "learned_over_uninformed_db": results["learned_db"] - scores[best]}  # fmt: skip
    power = largest_coefficients(train[1], learned.pattern, rate)
    results["largest_coefficients_db"] = tuned_psnr(power, train, test)
    if kind == "lines":
        began = time.process_time()
        path = greedy(*train, learned.pattern, smoothed_variation((n, n)), alpha, rate,
                      accuracy=0.1)  # fmt: skip
        results["greedy_seconds"] = time.process_time() - began
        results["greedy_db"] = tuned_psnr(path.mask, train, test)
        results["learned_over_greedy_db"] = results["learned_db"] - results["greedy_db"]
    return results


def _vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(compare(sys.argv[1], "lines")), flush=True)
    print(json.dumps(compare(sys.argv[1], "points", beta=0.003, maxiter=25)), flush=True)
