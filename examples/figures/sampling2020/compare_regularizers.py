r"""Sherry et al. (2020): the best pattern depends on the regularizer.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
Points are learned for no regularizer, squared gradients, total variation and wavelets, from full
sampling, with alpha tuned there. Every regularizer reconstructs from every pattern, with
alpha tuned for both, and from a variable-density mask with as many points as its own pattern.

Sampling rates differ: every regularizer finds its own balance.

Claims: patterns of different regularizers are different; learned patterns beat a
variable-density mask for every regularizer, by at least 10 % of the mean squared error.

    python examples/figures/sampling2020/compare_regularizers.py [smoke | paper] [--out results]
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
    alpha_problem,
    no_regularizer,
    sampling_problem,
    smoothed_variation,
    squared_gradient,
    wavelet_sparsity,
)
from odl_learned.learning.bilevel.sampling_patterns import learned_pattern, points

SIZES = {
    "smoke": {"n": 16, "count": 2, "maxiter": 12},
    "paper": {"n": 64, "count": 4, "maxiter": 40},
}
NOISE_LEVEL, BETA = 0.01, (0.01, 0.005)


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
    """Return the masks, and the errors ``(regularizer, pattern)``, the last one generic."""
    n, count, maxiter = (SIZES[size][key] for key in ("n", "count", "maxiter"))
    truth, seen = pairs(n, count, rng)
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="complex128")
    regularizers = {
        "none": no_regularizer((n, n)), "H1": squared_gradient((n, n)),
        "TV": smoothed_variation((n, n)),
        "wavelet": wavelet_sparsity(operators.OrthogonalWavelet(space, "db2", 2)),
    }  # fmt: skip
    pattern, masks, others = points((n, n)), {}, []

    def best(regularizer, mask):
        if regularizer.is_zero:
            problem = sampling_problem(truth, seen, pattern, regularizer, 1.0, (0.0, 0.0))
            fixed = torch.as_tensor(mask).double().flatten()
            found = Implicit()(LowerLevel(problem, Newton()), fixed, 1e-3, 1e-3)
            return 1.0, found.value
        found = tuned(alpha_problem(truth, seen, mask, regularizer), [-6.0])
        return float(found.params.exp()), found.value

    for name, regularizer in regularizers.items():
        alpha, _ = best(regularizer, np.ones((n, n)))
        problem = sampling_problem(truth, seen, pattern, regularizer, alpha, BETA)
        found = tuned(problem, torch.ones(pattern.size), maxiter)
        masks[name] = learned_pattern(pattern, found.params).mask()
        generic = data.variable_density_mask((n, n), masks[name].mean(), 4, rng, 0.15)
        others.append(best(regularizer, generic)[1])
    errors = [[best(r, mask)[1] for mask in masks.values()] for r in regularizers.values()]
    errors = np.column_stack([errors, others])  # the last column: generic points of its own rate
    return {"masks": masks, "errors": errors, "names": list(regularizers)}


def draw(results, path):
    """Draw the masks and the table of errors."""
    masks, errors = results["masks"], results["errors"]
    figure = Figure(figsize=(14, 2.8), layout="constrained")
    axes = figure.subplots(1, len(masks) + 1)
    for ax, (name, mask) in zip(axes, masks.items(), strict=False):
        ax.imshow(data.to_rows(mask), cmap="gray")
        ax.set_title(name)
        ax.set_axis_off()
    axes[-1].imshow(np.log10(errors), cmap="viridis")
    for (i, j), value in np.ndenumerate(errors):
        axes[-1].text(j, i, f"{1e4 * value:.2f}", ha="center", va="center", color="w", fontsize=7)
    axes[-1].set_yticks(range(len(results["names"])), results["names"])
    axes[-1].set_xticks(range(len(masks) + 1), [*masks, "generic"], rotation=60, fontsize=7)
    axes[-1].set_title("mean squared error, 1e-4", fontsize=9)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert the claims of the figure."""
    masks, errors, names = results["masks"], results["errors"], results["names"]
    own = np.array([errors[i, i] for i in range(len(names))])
    for a in range(len(names)):
        for b in range(a):
            differ = np.mean(masks[names[a]] != masks[names[b]])
            assert differ > 0.01, f"the patterns of {names[a]} and {names[b]} are the same"
    assert np.all(own < 0.9 * errors[:, -1]), "generic patterns are as good as learned ones"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_compare_regularizers.png"
    draw(results, path)
    own = [float(f"{e:.2e}") for e in np.diag(results["errors"])]
    generic = [float(f"{e:.2e}") for e in results["errors"][:, -1]]
    print(f"mean squared errors with own patterns {dict(zip(results['names'], own, strict=True))}, "
          f"generic {generic} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    main(arguments.size, arguments.out)
