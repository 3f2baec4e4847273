r"""Sherry et al. (2020): the larger beta, the sparser the learned pattern.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
Lines are learned for total variation with alpha fixed, from full sampling, for growing prices
(beta, beta / 2) of the sampling.

Claims: the amount of sampling, the mean weight, falls with beta and the error grows; with the
largest beta less than half of the lines is left.

    python examples/figures/sampling2020/increasing_sparsity.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import data, operators
from odl_learned.learning.bilevel.gradient_based import lbfgsb
from odl_learned.learning.bilevel.hypergradient import Implicit
from odl_learned.learning.bilevel.lower_solvers import Newton
from odl_learned.learning.bilevel.sampling import (
    sampling_problem,
    smoothed_variation,
)
from odl_learned.learning.bilevel.sampling_patterns import learned_pattern, lines

SIZES = {
    "smoke": {"n": 16, "count": 2, "maxiter": 25},
    "paper": {"n": 96, "count": 5, "maxiter": 60},
}
NOISE_LEVEL, ALPHA, BETAS = 0.01, 5e-3, (0.001, 0.003, 0.01, 0.03)


def pairs(n, count, rng):
    """Return bodies with smooth phases and their noisy transforms, tensors ``(count, n, n)``."""
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="complex128")
    whole = operators.SampledFourier(space, np.ones((n, n)))
    truth = [data.random_body(space, rng) * data.smooth_phase(space, rng) for _ in range(count)]
    noisy = [data.add_white_noise(whole(x), NOISE_LEVEL, rng) for x in truth]
    return tuple(torch.as_tensor(np.stack([v.data for v in many])) for many in (truth, noisy))


def tuned(problem, start, maxiter=20):
    """Return what L-BFGS learns."""
    return lbfgsb(problem, torch.as_tensor(start, dtype=torch.float64), Implicit(), Newton(),
                  gtol=1e-8, ftol=1e-4, maxiter=maxiter)  # fmt: skip


def compute(size, rng):
    """Return the weights, their means, and mean squared errors for all beta."""
    n, count, maxiter = (SIZES[size][key] for key in ("n", "count", "maxiter"))
    truth, seen = pairs(n, count, rng)
    pattern, weights, errors = lines((n, n)), [], []
    for beta in BETAS:
        problem = sampling_problem(truth, seen, pattern, smoothed_variation((n, n)), ALPHA,
                                   (beta, beta / 2))  # fmt: skip
        found = tuned(problem, torch.ones(pattern.size), maxiter)
        weights.append(learned_pattern(pattern, found.params).weights)
        errors.append(found.value - float(problem.penalty(found.params)))
    return {"weights": np.array(weights), "means": np.mean(weights, axis=(1, 2)),
            "errors": np.array(errors)}  # fmt: skip


def draw(results, path):
    """Draw the patterns and the curve of errors."""
    figure = Figure(figsize=(12, 2.7), layout="constrained")
    axes = figure.subplots(1, len(BETAS) + 1)
    for ax, beta, weights in zip(axes, BETAS, results["weights"], strict=False):
        ax.imshow(data.to_rows(weights), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"$\\beta$ = {beta}, mean {weights.mean():.2f}")
        ax.set_axis_off()
    axes[-1].semilogy(results["means"], results["errors"], "o-")
    axes[-1].set(xlabel="mean weight", title="mean squared error")
    axes[-1].grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert the claims of the figure."""
    assert np.all(np.diff(results["means"]) < 0), "a larger beta does not make it sparser"
    assert np.all(np.diff(results["errors"]) > 0), "fewer samples do not cost accuracy"
    assert results["means"][-1] < 0.5 < results["means"][0], "beta does not span the rates"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_increasing_sparsity.png"
    draw(results, path)
    print(f"beta {BETAS}: mean weights {np.round(results['means'], 2).tolist()}, mean squared "
          f"errors {[float(f'{e:.1e}') for e in results['errors']]} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    main(arguments.size, arguments.out)
