r"""Sherry et al. (2020): patterns of high resolution, up to 1024 x 1024.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
All points of the pattern of one image are learned for total variation, more than a million
parameters at paper size: some steps from weights 1/2 without the concave part of the penalty, then
some with it.

Claims: the first problem ends at less than half of its value, certified, and no step increases a
value beyond its bounds; less than a quarter of the points is left; the mean squared error from
them, as a mask, is at least 30 % below that from as many points of a variable-density mask, with
the same alpha; the mean weight within a quarter of the band is at least five times that
outside.

    python examples/figures/sampling2020/high_resolution.py [smoke | paper] [--out results]
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
    "smoke": {"n": 48, "maxiter": 8, "beta": 0.01},
    "paper": {"n": 1024, "maxiter": 8, "beta": 3e-3},
}
NOISE_LEVEL, ALPHA = 0.01, 5e-3


def compute(size, rng):
    """Return weights, masks, images, errors, and upper-level values with bounds."""
    n, maxiter, beta = int(SIZES[size]["n"]), SIZES[size]["maxiter"], SIZES[size]["beta"]
    truth, seen = sampling.simulated_scans(bodies(n, 1, rng), NOISE_LEVEL, rng)
    known = truth, seen, sampling.points((n, n)), sampling.smoothed_variation((n, n)), ALPHA
    lower, steps = LowerLevel(sampling.sampling_problem(*known, (0.0, 0.0)), Newton()), []

    def learn(problem, params):
        found = tuned(problem, params, maxiter)
        steps.append((found.history["value"], found.history["value_bound"]))
        return found

    learned = sampling.graduated_sampling(*known, beta, learn)
    mask = learned.mask()
    masks = {"learned": mask,
             "variable density": data.variable_density_mask((n, n), mask.mean(), 4, rng,
                                                            mask.mean() ** 0.5 / 2)}  # fmt: skip
    images, errors = {}, {}
    for name, each in masks.items():
        solution = lower.solve(torch.as_tensor(each).double().flatten(), 0.01 * float(truth.norm()))
        images[name] = solution.x[0].numpy()
        errors[name] = float(lower.problem.loss.value(solution.x).sum())
    return {"weights": learned.weights, "masks": masks, "images": images, "errors": errors,
            "truth": truth[0].numpy(), "steps": steps}  # fmt: skip


def draw(results, path):
    """Draw weights, masks and reconstructions."""
    rate = results["masks"]["learned"].mean()
    figure = Figure(figsize=(10, 7), layout="constrained")
    shown = {"truth": np.abs(results["truth"]), "weights": results["weights"]}
    for name in ("learned", "variable density"):
        shown[f"{name}, {rate:.1%}"] = results["masks"][name]
    for name in ("learned", "variable density"):
        shown[f"from {name},\nerror {results['errors'][name]:.1e}"] = np.abs(
            results["images"][name])  # fmt: skip
    order = [0, 4, 5, 1, 2, 3]
    pictures = [list(shown.items())[k] for k in order]
    for ax, (name, image) in zip(figure.subplots(2, 3).flat, pictures, strict=True):
        ax.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1)
        ax.set_title(name, fontsize=10)
        ax.set_axis_off()
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    weights, errors = results["weights"], results["errors"]
    for values, bounds in results["steps"]:
        assert len(values) > 3, "nothing is learned"
        assert np.all(values[1:] - bounds[1:] < values[:-1] + bounds[:-1]), "a step increases"
    values, bounds = results["steps"][0]
    assert values[-1] + bounds[-1] < (values[0] - bounds[0]) / 2, "too little is learned"
    rates = [mask.mean() for mask in results["masks"].values()]
    assert rates[0] == rates[1] < 0.25, "more than a quarter is sampled"
    assert errors["learned"] < 0.7 * errors["variable density"], "generic points are as good"
    n = len(weights)
    low = slice(3 * n // 8, 5 * n // 8)
    inside = weights[low, low]
    outside = (weights.sum() - inside.sum()) / (weights.size - inside.size)
    assert inside.mean() > 5 * outside, "low frequencies are not preferred"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_high_resolution.png"
    draw(results, path)
    errors = results["errors"]
    print(f"{results['weights'].size} parameters, {results['masks']['learned'].mean():.2%} of the "
          f"points, mean squared errors {errors['learned']:.2e}, variable density "
          f"{errors['variable density']:.2e} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with limit_threads(1):
        main(arguments.size, arguments.out)
