r"""Sherry et al. (2020): patterns of high resolution, up to 1024 x 1024.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
All points of the pattern of one image are learned for total variation, more than a million
parameters at paper size (there, a few minutes and some gigabytes of memory).

Claims: every step decreases the upper level, certified; at most half of the points is sampled; the
low frequencies are kept: the mean weight is larger within a quarter of the band than outside.

    python examples/figures/sampling2020/high_resolution.py [smoke | paper] [--out results]
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
from odl_learned.learning.bilevel.lower_level import LowerLevel
from odl_learned.learning.bilevel.lower_solvers import Newton
from odl_learned.learning.bilevel.sampling import (
    sampling_problem,
    smoothed_variation,
)
from odl_learned.learning.bilevel.sampling_patterns import learned_pattern, points

SIZES = {
    "smoke": {"n": 48, "maxiter": 10},
    "paper": {"n": 1024, "maxiter": 10},
}
NOISE_LEVEL, ALPHA, BETA = 0.01, 5e-3, (0.01, 0.005)


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
    """Return the weights, the image, and upper-level values with bounds."""
    n, maxiter = SIZES[size]["n"], SIZES[size]["maxiter"]
    truth, seen = pairs(n, 1, rng)
    pattern = points((n, n))
    problem = sampling_problem(truth, seen, pattern, smoothed_variation((n, n)), ALPHA, BETA)
    found = tuned(problem, torch.ones(pattern.size), maxiter)
    learned = learned_pattern(pattern, found.params)
    image = LowerLevel(problem, Newton()).solve(found.params, 0.01 * float(truth.norm())).x
    return {"weights": learned.weights, "image": image[0].numpy(), "truth": truth[0].numpy(),
            "values": found.history["value"], "bounds": found.history["value_bound"]}  # fmt: skip


def draw(results, path):
    """Draw weights, reconstruction and truth."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    shown = {"weights": results["weights"], "reconstruction": np.abs(results["image"]),
             "truth": np.abs(results["truth"])}  # fmt: skip
    for ax, (name, image) in zip(figure.subplots(1, 3), shown.items(), strict=True):
        ax.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1)
        ax.set(title=name)
        ax.set_axis_off()
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    weights, values, bounds = (results[key] for key in ("weights", "values", "bounds"))
    assert len(values) > 3, "nothing is learned"
    assert np.all(values[1:] + bounds[1:] < values[:-1] - bounds[:-1]), "a step does not decrease"
    assert weights.mean() < 0.5, "more than half is sampled"
    n = len(weights)
    low = slice(3 * n // 8, 5 * n // 8)
    inside = weights[low, low]
    outside = (weights.sum() - inside.sum()) / (weights.size - inside.size)
    assert inside.mean() > outside + 0.2, "low frequencies are not preferred"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_high_resolution.png"
    draw(results, path)
    print(f"{results['weights'].size} points, mean weight {results['weights'].mean():.3f}, "
          f"upper level {results['values'][0]:.2e} to {results['values'][-1]:.2e} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    main(arguments.size, arguments.out)
