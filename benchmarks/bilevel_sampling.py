"""Learned sampling against uninformed and greedy patterns, on real slices of brains.

    python benchmarks/bilevel_sampling.py DATA

``DATA/mri`` is the folder of ``mri_brain_256.npz``: arrays ``images`` (N, rows, columns), ``split``
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
from odl_learned.learning.bilevel.continuation import continuation
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
from odl_learned.learning.bilevel.sampling_exchange import exchange
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


def tuned_alpha(train, mask):
    """Return the best alpha for a mask."""
    problem = alpha_problem(*train, mask, smoothed_variation(mask.shape))
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


def learned_mask(pattern, train, beta, alpha):
    """Return the mask learned from weights 1/2, the concave part of the penalty last."""

    def learn(problem, params):
        return lbfgsb(problem, params, Implicit(), Newton(), maxiter=80, gtol=1e-9, ftol=1e-4)

    regularizer = smoothed_variation(pattern.shape)
    problems = [sampling_problem(*train, pattern, regularizer, alpha, (beta, concave))
                for concave in (0.0, beta / 2)]
    start = torch.full((pattern.size,), 0.5, dtype=torch.float64)
    return learned_pattern(pattern, continuation(problems, start, learn).params).mask()


def compare(folder, kind, beta, alpha, n=64, pairs=10, tests=10, draws=2):
    """Return learned against uninformed masks of the same sampling rate, lines also against greedy.

    Lines are improved by exchanges in the end, as greedy masks leave nothing to improve.

    Parameters
    ----------
    folder : path
        Of ``mri_brain_256.npz``.
    kind : "lines" or "points"
    beta, alpha : float
        Price of sampling, and the regularization parameter to learn with.

    Returns
    -------
    results : dict
        Mean PSNR of test slices and CPU seconds; ``*_over_uninformed_db`` is the distance to the
        best of all uninformed masks, chosen by the test slices.
    """
    rng = np.random.default_rng(0)
    train = brain_pairs(folder, "train", pairs, n, rng)
    test = brain_pairs(folder, "test", tests, n, rng)
    pattern = lines((n, n)) if kind == "lines" else points((n, n))
    began = time.process_time()
    mask = learned_mask(pattern, train, beta, alpha)
    if kind == "lines":
        regularizer, tuned = smoothed_variation((n, n)), tuned_alpha(train, mask)
        found = exchange(*train, pattern, regularizer, tuned, torch.as_tensor(mask[:, 0]), pairs=64)
        mask = found.mask
    seconds, rate, learned = time.process_time() - began, float(mask.mean()), tuned_psnr(
        mask, train, test)
    masks = uninformed_masks(kind, (n, n), rate, rng, draws)
    masks["largest coefficients"] = largest_coefficients(train[1], pattern, rate)
    scores = {name: tuned_psnr(each, train, test) for name, each in masks.items()}
    largest = scores.pop("largest coefficients")
    best = max(scores, key=scores.get)
    results = {"rate": rate, "learned_db": learned, "learned_seconds": seconds,
               "uninformed": best, "uninformed_db": scores[best],
               "learned_over_uninformed_db": learned - scores[best],
               "learned_over_largest_db": learned - largest}  # fmt: skip
    if kind == "lines":
        began = time.process_time()
        path = greedy(*train, pattern, regularizer, tuned, rate, accuracy=0.1)
        results["greedy_seconds"] = time.process_time() - began
        results["greedy_db"] = tuned_psnr(path.mask, train, test)
        results["learned_over_greedy_db"] = learned - results["greedy_db"]
        results["learned_over_greedy_error"] = found.errors[-1] / path.errors[-1]
    return {f"{kind}_{name}": value for name, value in results.items()}


def patterns(folder):
    """Return both comparisons, and the keys ``learned_over_uninformed_db`` (the lesser of both)
    and ``learned_over_greedy_db`` (of lines).
    """
    folder = Path(folder) / "mri"
    found = compare(folder, "points", 2e-3, 2.8e-3) | compare(folder, "lines", 1.2e-2, 6e-3)
    found["learned_over_uninformed_db"] = min(
        found[f"{kind}_learned_over_uninformed_db"] for kind in ("points", "lines"))
    found["learned_over_greedy_db"] = found["lines_learned_over_greedy_db"]
    return found


def _vector(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(patterns(sys.argv[1])))
