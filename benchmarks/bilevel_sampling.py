"""Learned sampling against uninformed patterns, on real slices of brains.

    python benchmarks/bilevel_sampling.py DATA
    python benchmarks/bilevel_sampling.py DATA --choose 0.002 1e-3 1e-3 70

``DATA/mri`` is the folder of ``mri_brain_256.npz``, see `data.read_slices`. Slices are averaged to
64^2, get smooth phases, and are measured with noise. All patterns are masks; for each, ``alpha`` of
smoothed total variation is tuned on some of the training slices; the numbers are peak
signal-to-noise ratios. Patterns are learned from the training split. Settings, and the best of the
uninformed masks, are chosen by slices of the validation split, as the second line does for one
setting; the first one then measures on the test split, thirty slices of each of three subjects.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from odl_learned import data, metrics
from odl_learned.learning.bilevel import sampling
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Implicit
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.threads import limit_threads

N = 64
# As many slices of each subject; TESTED of each to test. The subjects that were left out were
# registered to an atlas without skull: that is not what a scanner sees.
SUBJECTS = {
    "train": ("oms_long_patient01", "oms_long_patient03", "oms_long_patient09",
              "oms_long_patient19", "studyforrest_02"),
    "val": ("oms_long_patient04",),
    "test": ("VS-SEG-001", "oms_long_patient12", "oms_long_patient20"),
}  # fmt: skip
TESTED = {"val": 20, "test": 30}


class Setting(NamedTuple):
    """What is measured and learned.

    Parameters
    ----------
    noise_level : float
    beta, alpha : float
        Price of sampling, and the regularization parameter to learn with.
    pairs : int
        Number of training slices.
    """

    noise_level: float
    beta: float
    alpha: float
    pairs: int


POINTS = Setting(0.002, 7e-4, 1e-3, 70)


def brain_scans(folder, split, count, noise_level):
    """Return truth and data ``(count, N, N)`` of slices of the subjects of a split."""
    path = Path(folder) / "mri" / "mri_brain_256.npz"
    images = data.read_slices(path, split, count, 256 // N, SUBJECTS[split])
    rng = np.random.default_rng(list(SUBJECTS).index(split))
    return sampling.simulated_scans(images, noise_level, rng)


def tuned_alpha(scans, mask):
    """Return the best alpha for a mask."""
    problem = sampling.alpha_problem(*scans, mask, sampling.smoothed_variation((N, N)))
    found = lbfgsb(problem, torch.tensor([-6.0], dtype=torch.float64), Implicit(), Newton(),
                   maxiter=25, gtol=1e-8, ftol=1e-3)  # fmt: skip
    return float(found.params[0].exp())


def tuned_psnr(mask, few, measured):
    """Return the PSNR of images, a dict of arrays, with the best alpha for a few training images.

    ``measured`` is a dict of pairs of truth and data.
    """
    alpha = torch.tensor([tuned_alpha(few, mask)], dtype=torch.float64)
    results = {}
    for split, (truth, scans) in measured.items():
        problem = sampling.alpha_problem(truth, scans, mask, sampling.smoothed_variation((N, N)))
        accuracy = 1e-3 * float(truth.abs().square().sum((1, 2)).sqrt().mean())
        found = LowerLevel(problem, Newton()).solve(alpha.log(), accuracy)
        results[split] = np.array([metrics.psnr(x.numpy(), x_true.numpy(), data_range=1.0)
                                   for x, x_true in zip(found.x, truth, strict=True)])  # fmt: skip
    return results


def uninformed_masks(kind, fraction, rng, draws):
    """Return a dict of masks of this sampling rate that know nothing about the images."""
    masks, shape = {}, (N, N)
    if kind == "lines":
        for center in (0.08, 0.16, 0.24, 0.32, 0.4, 1.0):
            for k in range(draws if center < fraction else center == 1.0):
                masks[f"cartesian {center} {k}"] = data.cartesian_mask(
                    shape, fraction, min(center, fraction), rng)  # fmt: skip
        return masks
    for center in (0.1, 0.2, 0.3, 0.45, 0.6):
        for decay in (1, 1.5, 2, 3, 4, 8):
            for k in range(draws if center < fraction**0.5 else 0):
                masks[f"variable density {center} {decay} {k}"] = data.variable_density_mask(
                    shape, fraction, decay, rng, center)  # fmt: skip
    spokes = 1
    while spokes < 4 * N and data.radial_mask(shape, spokes + 1).mean() <= fraction:
        spokes += 1
    masks["radial"] = data.radial_mask(shape, spokes)
    return masks


class Trial:
    """Slices to learn from and to measure on, and how good masks are for these.

    Parameters
    ----------
    folder : path
        With ``mri/mri_brain_256.npz``.
    setting : Setting
    split : "val" or "test"
    """

    def __init__(self, folder, setting, split):
        self.train = brain_scans(folder, "train", setting.pairs, setting.noise_level)
        self.few = tuple(part[:: setting.pairs // 10] for part in self.train)
        self._measured = {
            each: brain_scans(folder, each, TESTED[each] * len(SUBJECTS[each]), setting.noise_level)
            for each in ("val", split)}  # fmt: skip
        self._split = split

    def psnr(self, mask):
        """Return the PSNR of the slices of the split, an array."""
        return tuned_psnr(mask, self.few, self._measured)[self._split]

    def training_psnr(self, mask):
        """Return the PSNR of the training slices, an array."""
        return tuned_psnr(mask, self.few, {"train": self.train})["train"]

    def uninformed(self, kind, rate):
        """Return names and PSNR of the best mask on the validation split, and on this one."""
        masks = uninformed_masks(kind, rate, np.random.default_rng(0), draws=2)
        scores = {name: tuned_psnr(each, self.few, self._measured) for name, each in masks.items()}
        best = (max(scores, key=lambda name: scores[name][split].mean())
                for split in ("val", self._split))  # fmt: skip
        return [(name, scores[name][self._split]) for name in best]

    def by_subject(self, gain):
        """Return the means of numbers of slices over those of a subject, as a list."""
        return gain.reshape(len(SUBJECTS[self._split]), -1).mean(1).tolist()


def learned_mask(pattern, trial, setting):
    """Return what is learned from weights 1/2 and improved by exchanges, and alpha of these.

    The concave part of the penalty comes last.
    """

    def learn(problem, params):
        return lbfgsb(problem, params, Implicit(), Newton(), maxiter=60, gtol=1e-9, ftol=1e-4)

    regularizer = sampling.smoothed_variation((N, N))
    learned = sampling.graduated_sampling(*trial.train, pattern, regularizer, setting.alpha,
                                          setting.beta, learn)  # fmt: skip
    alpha = tuned_alpha(trial.few, learned.mask())
    chosen = learned.params > 0.01
    return sampling.exchange(*trial.train, pattern, regularizer, alpha, chosen, pairs=64), alpha


def compare(folder, setting, split):
    """Return a learned mask of points against uninformed masks of the same sampling rate.

    Parameters
    ----------
    folder, setting, split
        As for `Trial`.

    Returns
    -------
    results : dict
        Mean PSNR of the split and CPU seconds. ``learned_over_uninformed_db`` is the distance to
        the mask that is the best one on the validation split, also for each subject, and
        ``learned_over_best_uninformed_db`` that to the best one by hindsight.
    """
    trial, pattern = Trial(folder, setting, split), sampling.points((N, N))
    began = time.process_time()
    found, _ = learned_mask(pattern, trial, setting)
    seconds, rate = time.process_time() - began, float(found.mask.mean())
    (name, uninformed), (best_name, best) = trial.uninformed("points", rate)
    learned = trial.psnr(found.mask)
    largest = trial.psnr(sampling.largest_coefficients(trial.train[1], pattern, rate))
    return {"learned_over_uninformed_db": (learned - uninformed).mean(),
            "learned_over_uninformed_db_by_subject": trial.by_subject(learned - uninformed),
            "learned_over_best_uninformed_db": (learned - best).mean(),
            "learned_over_largest_db": (learned - largest).mean(), "points_rate": rate,
            "points_learned_db": learned.mean(), "points_learned_seconds": seconds,
            "points_uninformed": name, "points_best_uninformed": best_name}  # fmt: skip


def main():
    """Return the comparison on the test split, or that of a setting on the validation split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with mri/mri_brain_256.npz")
    parser.add_argument("--choose", nargs=4, type=float,
                        metavar=("NOISE", "BETA", "ALPHA", "PAIRS"))  # fmt: skip
    arguments = parser.parse_args()
    with limit_threads(1):
        if arguments.choose is None:
            return compare(arguments.data, POINTS, "test")
        *numbers, pairs = arguments.choose
        setting = Setting(*numbers, int(pairs))
        return setting._asdict() | compare(arguments.data, setting, "val")


if __name__ == "__main__":
    print(json.dumps(main()))
