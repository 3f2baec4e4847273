r"""Sherry et al. (2020): learning a pattern needs little data.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
Lines are learned for total variation from 1, 2, 4, ... training images, and the mean
squared error of test images is compared, alpha tuned on the training images.

Claims: all learned patterns beat the mean of random Cartesian masks with the same number of lines
on the test images, by at least 10 %; from 4 images on, the error is within 50 % of that with most.

    python examples/figures/sampling2020/training_size.py [smoke | paper] [--out results]
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
    sampling_problem,
    smoothed_variation,
)
from odl_learned.learning.bilevel.sampling_patterns import learned_pattern, lines

SIZES = {
    "smoke": {"n": 16, "most": 4, "tests": 4, "maxiter": 15},
    "paper": {"n": 64, "most": 16, "tests": 16, "maxiter": 50},
}
NOISE_LEVEL, ALPHA, BETA, DRAWS = 0.01, 5e-3, (0.003, 0.0015), 2


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
    """Return sizes, test errors of the learned masks, and those of random masks."""
    n, most, tests, maxiter = (SIZES[size][key] for key in ("n", "most", "tests", "maxiter"))
    train, test = pairs(n, most, rng), pairs(n, tests, rng)
    pattern, regularizer = lines((n, n)), smoothed_variation((n, n))

    def test_error(mask, count):
        alpha = tuned(alpha_problem(train[0][:count], train[1][:count], mask, regularizer),
                      [-6.0]).params  # fmt: skip
        lower = LowerLevel(alpha_problem(*test, mask, regularizer), Newton())
        return float(lower.problem.loss.value(lower.solve(alpha, 0.05).x).sum())

    counts = [2**k for k in range(most.bit_length())]
    masks = []
    for count in counts:
        problem = sampling_problem(train[0][:count], train[1][:count], pattern, regularizer, ALPHA,
                                   BETA)  # fmt: skip
        found = tuned(problem, torch.ones(pattern.size), maxiter)
        masks.append(learned_pattern(pattern, found.params).mask())
    errors = [test_error(mask, count) for mask, count in zip(masks, counts, strict=True)]
    random = [[test_error(data.cartesian_mask((n, n), float(mask.mean()), 0.12, rng), count)
               for _ in range(DRAWS)] for mask, count in zip(masks, counts, strict=True)]
    return {"counts": np.array(counts), "errors": np.array(errors), "random": np.array(random),
            "masks": masks}  # fmt: skip


def draw(results, path):
    """Draw the errors over the number of training images, and the masks."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog(results["counts"], results["errors"], "o-", label="learned lines")
    left.loglog(results["counts"], results["random"].mean(1), "o--", color="0.6",
                label="random lines, as many")  # fmt: skip
    left.set(xlabel="training images", title="mean squared error of test images")
    left.legend()
    right.imshow([mask[:, 0] for mask in results["masks"]], cmap="gray", aspect="auto")
    right.set_yticks(range(len(results["counts"])), results["counts"])
    right.set(ylabel="training images", xlabel="line", title="learned lines")
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert the claims of the figure."""
    errors, enough = results["errors"], results["counts"] >= 4
    assert np.all(errors < 0.9 * results["random"].mean(1)), "learned lines are not better"
    assert np.all(errors[enough] < 1.5 * errors[-1]), "a few images are not enough"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_training_size.png"
    draw(results, path)
    print(f"test errors {[float(f'{e:.2e}') for e in results['errors']]} of "
          f"{results['counts'].tolist()} images, random {results['random'].mean():.2e} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    main(arguments.size, arguments.out)
