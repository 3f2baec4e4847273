"""Learned patterns against greedy ones, of lines and of points, on real slices of brains.

    python benchmarks/bilevel_greedy.py DATA [val | test]

Data, splits and measures are those of `bilevel_sampling`. A learned mask and the greedy one of its
sampling rate know the same training slices and the same ``alpha``, and each has its own when it is
measured. Greedy lines are the best of all in every step, for all training slices; for points that
would take weeks, and they are the best of some drawn at random, for slices drawn at random.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from bilevel_sampling import POINTS, N, Setting, Trial, learned_mask

from odl_learned.learning.bilevel import sampling
from odl_learned.threads import limit_threads

LINES = Setting(0.002, 2e-2, 3e-3, 40)
CANDIDATES, SAMPLES = 16, 4


def compare_lines(folder, split):
    """Return learned lines against greedy and uninformed ones of the same sampling rate.

    Parameters
    ----------
    folder, split
        As for `bilevel_sampling.Trial`.

    Returns
    -------
    results : dict
        Differences of mean PSNR in dB, those to greedy ones also for each subject and for the
        training slices, and CPU seconds. The uninformed mask is the best one on the validation
        split.
    """
    trial = Trial(folder, LINES, split)
    mask, results = _against_greedy(sampling.lines((N, N)), trial, LINES, None, accuracy=0.1)
    name, uninformed = trial.uninformed("lines", results["rate"])[0]
    results["over_uninformed_db"] = (trial.psnr(mask) - uninformed).mean()
    results["uninformed"] = name
    return {f"lines_{key}": value for key, value in results.items()}


def compare_points(folder, split):
    """Return learned points against greedy ones of the same sampling rate, as `compare_lines`."""
    trial = Trial(folder, POINTS, split)
    draws = sampling.Draws(CANDIDATES, SAMPLES, torch.Generator().manual_seed(0))
    _, results = _against_greedy(sampling.points((N, N)), trial, POINTS, draws, accuracy=0.01)
    return {f"points_{key}": value for key, value in results.items()}


def _against_greedy(pattern, trial, setting, draws, accuracy):
    """The learned mask, and its comparison with the greedy one."""
    began = time.process_time()
    found, alpha = learned_mask(pattern, trial, setting)
    learned, rate = time.process_time(), float(found.mask.mean())
    path = sampling.greedy(*trial.train, pattern, sampling.smoothed_variation((N, N)), alpha, rate,
                           draws=draws, accuracy=accuracy)  # fmt: skip
    seconds = time.process_time() - learned
    gain = trial.psnr(found.mask) - trial.psnr(path.mask)
    train = trial.training_psnr(found.mask) - trial.training_psnr(path.mask)
    return found.mask, {
        "over_greedy_db": gain.mean(), "over_greedy_db_by_subject": trial.by_subject(gain),
        "over_greedy_training_db": train.mean(), "rate": rate,
        "learned_seconds": learned - began, "greedy_seconds": seconds}  # fmt: skip


def main():
    """Return the comparisons on a split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with mri/mri_brain_256.npz")
    parser.add_argument("split", nargs="?", choices=["val", "test"], default="test")
    arguments = parser.parse_args()
    with limit_threads(1):
        return (compare_lines(arguments.data, arguments.split)
                | compare_points(arguments.data, arguments.split))  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main()))
