r"""Sherry et al. (2020): a bump needs a few percent of its Fourier coefficients.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
A smooth bump and total variation: the points of the pattern and alpha are learned together, from
weights 1/2, first without the concave part of the penalty and then with it. In the paper 2.76 % of
the points are left. The points are kept as a mask, and alpha is tuned again for every mask.

Claims: at most 2.76 % of the points are sampled; the root of the mean squared error is at most 2 %
of the height; the mean squared error is at most a third of that of both of two variable-density
masks with as many points, and 25 % more than that of the lowest frequencies, which
for a bump like this are hard to beat.

    python examples/figures/sampling2020/bump.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure
from pattern_training import tuned

from odl_learned import data, operators
from odl_learned.learning.bilevel import continuation, sampling
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.threads import limit_threads

SIZES = {"smoke": {"n": 48}, "paper": {"n": 192}}
NOISE_LEVEL, BETA, MAXITER = 0.03, 0.1, 80


def compute(size, rng):
    """Return images, masks, the sampling rate, and mean squared errors."""
    n = SIZES[size]["n"]
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="complex128")
    x, y = space.meshgrid
    bump = space.element(np.exp(-((x - 0.1) ** 2 + (y + 0.1) ** 2) / (2 * 0.25**2)))
    whole = operators.SampledFourier(space, np.ones((n, n)))
    noisy = data.add_white_noise(whole(bump), NOISE_LEVEL, rng)
    truth, seen = (torch.as_tensor(v.data)[None] for v in (bump, noisy))
    regularizer, pattern = sampling.smoothed_variation((n, n)), sampling.points((n, n))

    def best(mask):
        problem = sampling.alpha_problem(truth, seen, mask, regularizer)
        found = tuned(problem, [-4.0], 20, 1e-3)
        image = LowerLevel(problem, Newton()).solve(found.params, 1e-2).x
        return found.value, image[0].numpy(), found.params

    full, _, alpha = best(np.ones((n, n)))
    problems = [
        sampling.sampling_and_alpha_problem(truth, seen, pattern, regularizer, (BETA, concave))
        for concave in (0.0, BETA)
    ]
    start = torch.cat([torch.full((pattern.size,), 0.5, dtype=torch.float64), alpha])
    learned = continuation(problems, start, lambda some, first: tuned(some, first, MAXITER)).params
    mask = sampling.learned_pattern(pattern, learned).mask()
    rate = float(mask.mean())
    equal = sampling.LearnedPattern(pattern, torch.zeros(pattern.size), None)
    masks = {"learned": mask, "lowest": equal.mask_of_fraction(rate)}
    for number in range(2):
        decay, center = 8, (0.4, 0.7)[number] * rate**0.5
        masks[f"variable density {number}"] = data.variable_density_mask(
            (n, n), rate, decay, rng, center)  # fmt: skip
    found = {name: best(each) for name, each in masks.items()}
    return {"rate": rate, "full": full, "errors": {name: each[0] for name, each in found.items()},
            "images": {name: each[1] for name, each in found.items()},
            "masks": masks, "truth": bump.data}  # fmt: skip


def best_variable_density(results):
    """Return the name of the best variable-density mask."""
    return min((name for name in results["errors"] if name.startswith("variable")),
               key=results["errors"].get)  # fmt: skip


def draw(results, path):
    """Draw the middle of the masks, and reconstructions."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    axes, n = figure.subplots(2, 4), len(results["truth"])
    reach = max(8, int(0.7 * n * results["rate"] ** 0.5))
    middle = slice(n // 2 - reach, n // 2 + reach + 1)
    names = {"learned": "learned", "lowest frequencies": "lowest",
             "variable density": best_variable_density(results)}  # fmt: skip
    axes[0, 0].imshow(data.to_rows(results["truth"].real), cmap="gray", vmin=0, vmax=1)
    axes[0, 0].set_title("truth")
    for k, (title, name) in enumerate(names.items(), 1):
        axes[0, k].imshow(data.to_rows(np.abs(results["images"][name])), cmap="gray", vmin=0,
                          vmax=1)  # fmt: skip
        axes[0, k].set_title(f"{title}, error {results['errors'][name]:.1e}", fontsize=10)
        axes[1, k].imshow(data.to_rows(results["masks"][name][middle, middle]), cmap="gray")
        axes[1, k].set_title(f"{results['rate']:.2%}, middle of {n} x {n}", fontsize=10)
    for ax in axes.flat:
        ax.set_axis_off()
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert the claims of the figure."""
    errors = results["errors"]
    generic = errors[best_variable_density(results)]
    assert all(abs(m.mean() - results["rate"]) < 1e-9 for m in results["masks"].values()), "rates"
    assert results["rate"] <= 0.0276, "too many points are sampled"
    assert (2 * errors["learned"]) ** 0.5 < 0.02, "the other points are missing"
    assert 3 * errors["learned"] < generic, "generic points are as good as learned ones"
    assert errors["learned"] < 1.25 * errors["lowest"], "the lowest frequencies are better"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_bump.png"
    draw(results, path)
    errors = results["errors"]
    print(f"sampling {results['rate']:.2%}, mean squared errors: full {results['full']:.2e}, "
          f"learned {errors['learned']:.2e}, lowest {errors['lowest']:.2e}, variable density "
          f"{errors[best_variable_density(results)]:.2e} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with limit_threads(1):
        main(arguments.size, arguments.out)
