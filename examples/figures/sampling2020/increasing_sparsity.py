r"""Sherry et al. (2020): the larger beta, the sparser the learned pattern.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
Lines are learned for total variation with alpha fixed, from weights 1/2, for growing prices
(beta, beta / 2) of the sampling, always first without the concave part.

Claims: the share of lines of the learned masks falls with beta, from more than half to less than a
quarter, and the error of the reconstructions from the masks grows; every mask is at least 20 %
better than the mean of random Cartesian masks with as many lines.

    python examples/figures/sampling2020/increasing_sparsity.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from pattern_training import bodies, tuned

from odl_learned import data
from odl_learned.learning.bilevel import sampling
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.threads import limit_threads

SIZES = {
    "smoke": {"n": 24, "count": 2, "maxiter": 20},
    "paper": {"n": 48, "count": 4, "maxiter": 30},
}
NOISE_LEVEL, ALPHA, BETAS, DRAWS = 0.01, 5e-3, (0.002, 0.005, 0.015, 0.05), 2


def compute(size, rng):
    """Return masks, their rates, and mean squared errors, also of random lines, for all beta."""
    n, count, maxiter = (SIZES[size][key] for key in ("n", "count", "maxiter"))
    truth, seen = sampling.simulated_scans(bodies(n, count, rng), NOISE_LEVEL, rng)
    known = truth, seen, sampling.lines((n, n)), sampling.smoothed_variation((n, n)), ALPHA
    lower = LowerLevel(sampling.sampling_problem(*known, (0.0, 0.0)), Newton())
    masks, errors, random = [], [], []

    def error(mask):
        found = lower.solve(torch.as_tensor(mask[:, 0]).double(), 1e-2)
        return float(lower.problem.loss.value(found.x).sum())

    for beta in BETAS:
        learned = sampling.graduated_sampling(
            *known, beta, lambda problem, start: tuned(problem, start, maxiter))  # fmt: skip
        masks.append(learned.mask())
        errors.append(error(masks[-1]))
        rate = float(masks[-1].mean())
        random.append([error(data.cartesian_mask((n, n), rate, min(rate / 2, 0.1), rng))
                       for _ in range(DRAWS)])  # fmt: skip
    return {"masks": np.array(masks), "rates": np.mean(masks, axis=(1, 2)),
            "errors": np.array(errors), "random": np.array(random)}  # fmt: skip


def draw(results, path):
    """Draw the masks and the curve of errors."""
    figure = Figure(figsize=(13, 2.9), layout="constrained")
    axes = figure.subplots(1, len(BETAS) + 1, width_ratios=[1] * len(BETAS) + [1.5])
    for ax, beta, mask in zip(axes, BETAS, results["masks"], strict=False):
        ax.imshow(data.to_rows(mask), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"$\\beta$ = {beta}: {mask.mean():.1%}")
        ax.set(xticks=[], yticks=[])
    axes[-1].semilogy(results["rates"], results["errors"], "o-", label="learned")
    axes[-1].semilogy(results["rates"], results["random"].mean(1), "o--", color="0.6",
                      label="random")  # fmt: skip
    axes[-1].set(xlabel="share of lines", title="mean squared error")
    axes[-1].legend()
    axes[-1].grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert the claims of the figure."""
    rates, errors = results["rates"], results["errors"]
    assert np.all(np.diff(rates) < 0), "a larger beta does not make it sparser"
    assert np.all(np.diff(errors) > 0), "fewer samples do not cost accuracy"
    assert rates[-1] < 0.25 and rates[0] > 0.5, "beta does not span the rates"
    assert np.all(errors < 0.8 * results["random"].mean(1)), "random lines are as good"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_increasing_sparsity.png"
    draw(results, path)
    print(f"beta {BETAS}: shares {np.round(results['rates'], 3).tolist()}, mean squared errors "
          f"{[float(f'{e:.1e}') for e in results['errors']]}, random "
          f"{[float(f'{e:.1e}') for e in results['random'].mean(1)]} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with limit_threads(1):
        main(arguments.size, arguments.out)
