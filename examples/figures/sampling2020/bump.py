r"""Sherry et al. (2020): a bump needs a few percent of its Fourier coefficients.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
A smooth bump and total variation: the points of the pattern and alpha are learned from full
sampling, where alpha was tuned first. In the paper 2.76 % of the points are left.

Claims: at most a tenth of the points is sampled; the error of the reconstruction is below that of
full sampling with the price of the points added, and below that of as many points of a
variable-density mask, at the best alpha.

    python examples/figures/sampling2020/bump.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import data, operators
from odl_learned.learning.bilevel.energy import FixedEnergy
from odl_learned.learning.bilevel.gradient_based import lbfgsb
from odl_learned.learning.bilevel.hypergradient import Implicit
from odl_learned.learning.bilevel.lower_solvers import Newton
from odl_learned.learning.bilevel.sampling import (
    alpha_problem,
    sampling_and_alpha_problem,
    smoothed_variation,
)
from odl_learned.learning.bilevel.sampling_patterns import learned_pattern, points

SIZES = {
    "smoke": {"n": 24, "maxiter": 60},
    "paper": {"n": 96, "maxiter": 300},
}
NOISE_LEVEL, BETA = 0.03, (0.1, 0.1)


def tuned(problem, start, maxiter=20):
    """Return what L-BFGS learns."""
    return lbfgsb(problem, torch.as_tensor(start, dtype=torch.float64), Implicit(), Newton(),
                  gtol=1e-8, ftol=1e-4, maxiter=maxiter)  # fmt: skip


def compute(size, rng):
    """Return images, the pattern, its rate, and mean squared errors."""
    n, maxiter = SIZES[size]["n"], SIZES[size]["maxiter"]
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="complex128")
    x, y = space.meshgrid
    bump = space.element(np.exp(-((x - 0.1) ** 2 + (y + 0.1) ** 2) / (2 * 0.25**2)))
    whole = operators.SampledFourier(space, np.ones((n, n)))
    noisy = data.add_white_noise(whole(bump), NOISE_LEVEL, rng)
    truth, seen = (torch.as_tensor(v.data)[None] for v in (bump, noisy))
    regularizer, pattern = smoothed_variation((n, n)), points((n, n))

    def best(mask):
        problem = alpha_problem(truth, seen, mask, regularizer)
        found = tuned(problem, [-4.0])
        image = Newton()(_fixed(problem, found.params), problem.x0, np.full(1, 1e-2)).x
        return found.value, found.params, image[0].numpy()

    full, alpha, _ = best(np.ones((n, n)))
    problem = sampling_and_alpha_problem(truth, seen, pattern, regularizer, BETA)
    learned = tuned(problem, torch.cat([torch.ones(pattern.size), alpha]), maxiter)
    mask = learned_pattern(pattern, learned.params).mask()
    error, _, image = best(mask)
    random = data.variable_density_mask((n, n), mask.mean(), 4, rng, mask.mean() ** 0.5 / 2)
    other, _, image_other = best(random)
    return {"rate": float(mask.mean()), "full": full, "learned": error, "variable": other,
            "images": {"truth": bump.data, "learned points": image,
                       "variable density": image_other},
            "masks": {"learned": mask, "variable density": random}}  # fmt: skip


def _fixed(problem, params):
    return FixedEnergy(problem.energy, params, problem.data)


def draw(results, path):
    """Draw masks and reconstructions."""
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axes = figure.subplots(1, 5)
    for ax, (name, mask) in zip(axes, results["masks"].items(), strict=False):
        ax.imshow(data.to_rows(mask), cmap="gray")
        ax.set_title(f"{name}, {results['rate']:.1%}")
    for ax, (name, image) in zip(axes[2:], results["images"].items(), strict=True):
        ax.imshow(data.to_rows(np.abs(image)), cmap="gray", vmin=0, vmax=1)
        ax.set_title(name)
    for ax in axes:
        ax.set_axis_off()
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert the claims of the figure."""
    assert results["rate"] <= 0.1, "too many points are sampled"
    assert results["learned"] + BETA[0] * results["rate"] < results["full"] + BETA[0], "no gain"
    assert results["learned"] < results["variable"], "generic points are as good as learned ones"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_bump.png"
    draw(results, path)
    print(f"sampling {results['rate']:.2%}, mean squared errors: full {results['full']:.1e}, "
          f"learned {results['learned']:.1e}, variable density {results['variable']:.1e} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    main(arguments.size, arguments.out)
