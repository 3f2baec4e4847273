"""Learned lines against greedy and uninformed ones at several sampling rates, on real slices.

    python benchmarks/bilevel_greedy.py DATA [val | test]

Data, splits and measures are those of `bilevel_sampling`. Lines are learned for several prices, and
each mask is improved by exchanges. One run of the greedy algorithm gives its masks of all rates.
All know the same training slices and the same ``alpha``, and each mask has its own when it is
measured.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from bilevel_sampling import N, Setting, Trial, learned_pattern, tuned_alpha

from odl_learned.learning.bilevel import sampling

# In the order of rates: lines that cost more are fewer.
SETTINGS = [Setting(0.002, 2e-2, 3e-3, 40)]


def compare(folder, split):
    """Return learned lines against greedy and uninformed ones, means over rates and for each.

    Parameters
    ----------
    folder, split
        As for `bilevel_sampling.Trial`.

    Returns
    -------
    results : dict
        Differences of PSNR in dB, the training errors of learned over greedy masks, and CPU
        seconds. The uninformed masks are the best ones on the validation split.
    """
    trial, pattern = Trial(folder, SETTINGS[0], split), sampling.lines((N, N))
    began = time.process_time()
    masks = [learned_pattern(pattern, trial.train, each.beta, each.alpha).mask()
             for each in SETTINGS]  # fmt: skip
    known = *trial.train, pattern, sampling.smoothed_variation((N, N)), tuned_alpha(
        trial.few, masks[0])  # fmt: skip
    found = [sampling.exchange(*known, torch.as_tensor(mask[:, 0]), pairs=64) for mask in masks]
    learned_seconds, began = time.process_time() - began, time.process_time()
    rates = [float(each.mask.mean()) for each in found]
    path = sampling.greedy(*known, max(rates), accuracy=0.1)
    greedy_seconds = time.process_time() - began
    over_greedy, over_uninformed, errors = [], [], []
    for rate, each in zip(rates, found, strict=True):
        first = torch.zeros(pattern.size, dtype=torch.bool)
        first[path.order[: int(each.chosen.sum())]] = True
        psnr = trial.psnr(each.mask)
        over_greedy.append(psnr - trial.psnr(pattern.mask(first)))
        over_uninformed.append(psnr - trial.uninformed("lines", rate)[0][1])
        errors.append(each.errors[-1] / path.errors[int(first.sum()) - 1])
    return {"learned_over_greedy_db": np.mean(over_greedy),
            "learned_over_greedy_db_by_rate": np.mean(over_greedy, 1).tolist(),
            "learned_over_greedy_db_by_subject": trial.by_subject(np.mean(over_greedy, 0)),
            "learned_over_greedy_error_by_rate": errors,
            "lines_over_uninformed_db": np.mean(over_uninformed),
            "lines_over_uninformed_db_by_rate": np.mean(over_uninformed, 1).tolist(),
            "lines_rates": rates, "lines_learned_seconds": learned_seconds,
            "lines_greedy_seconds": greedy_seconds}  # fmt: skip


def main():
    """Return the comparison on a split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with mri/mri_brain_256.npz")
    parser.add_argument("split", nargs="?", choices=["val", "test"], default="test")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    return compare(arguments.data, arguments.split)


if __name__ == "__main__":
    print(json.dumps(main()))
