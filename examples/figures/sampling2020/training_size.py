r"""Sherry et al. (2020): learning a pattern needs little data.

F. Sherry et al., Learning the sampling pattern for MRI, IEEE Trans. Med. Imaging 39 (2020).
Lines are learned for total variation from 1, 2, 4, ... training images, from weights 1/2, first
without the concave part of the penalty; masks of one sampling rate are made of the largest, and
improved by exchanges. Each number of images is tried with several disjoint sets, and the mean
squared error of test images is compared, alpha tuned on the training images.

Claims: all masks have the same rate; the mean error of half of the images is within 30 % of
that of all; even from a single image, the error is on average 20 % below that of random Cartesian
masks at least.

    python examples/figures/sampling2020/training_size.py [smoke | paper] [--out results]
        [--data FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from pattern_training import images, tuned

from odl_learned import data
from odl_learned.learning.bilevel import sampling
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.threads import limit_threads

SIZES = {
    "smoke": {"n": 32, "most": 4, "sets": 1, "tests": 4, "maxiter": 6},
    "paper": {"n": 64, "most": 8, "sets": 2, "tests": 8, "maxiter": 20},
}
NOISE_LEVEL, ALPHA, BETA, RATE, DRAWS = 0.01, 5e-3, 0.012, 0.3, 4


def compute(size, rng, folder=None):
    """Return numbers of images, masks, test errors for all sets, and those of random masks."""
    n, most, sets, tests, maxiter = (
        SIZES[size][k] for k in ("n", "most", "sets", "tests", "maxiter"))  # fmt: skip
    train, test = (sampling.simulated_scans(images(split, n, many, rng, folder), NOISE_LEVEL, rng)
                   for split, many in (("train", most), ("test", tests)))  # fmt: skip
    order = torch.as_tensor(rng.permutation(most))
    pattern, regularizer = sampling.lines((n, n)), sampling.smoothed_variation((n, n))

    def tuned_alpha(mask, some):
        return tuned(sampling.alpha_problem(some[0], some[1], mask, regularizer), [-5.0], 10,
                     3e-3).params  # fmt: skip

    def test_error(mask, some):
        lower = LowerLevel(sampling.alpha_problem(*test, mask, regularizer), Newton())
        return float(lower.problem.loss.value(lower.solve(tuned_alpha(mask, some), 1e-2).x).sum())

    counts, masks, errors = [2**k for k in range(most.bit_length())], [], []
    for count in counts:
        found = []
        for number in range(min(sets, most // count)):
            some = tuple(v[order[number * count : (number + 1) * count]] for v in train)
            learned = sampling.graduated_sampling(
                some[0], some[1], pattern, regularizer, ALPHA, BETA,
                lambda problem, start: tuned(problem, start, maxiter))  # fmt: skip
            mask = learned.mask_of_fraction(RATE)
            alpha = float(tuned_alpha(mask, some).exp())
            mask = sampling.exchange(some[0], some[1], pattern, regularizer, alpha,
                                     torch.as_tensor(mask[:, 0]), pairs=4, maxiter=3).mask
            found.append(test_error(mask, some))
            if number == 0:
                masks.append(mask)
        errors.append(np.array(found))
    random = [test_error(data.cartesian_mask((n, n), float(masks[0].mean()), center, rng), train)
              for center in (0.1, 0.2) for _ in range(DRAWS)]  # fmt: skip
    return {"counts": np.array(counts), "errors": errors, "random": np.array(random),
            "masks": np.array(masks)}  # fmt: skip


def draw(results, path):
    """Draw the errors over the number of training images, and the masks."""
    counts, errors = results["counts"], results["errors"]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.semilogx(counts, [each.mean() for each in errors], "o-", label="learned lines, mean")
    for count, each in zip(counts, errors, strict=True):
        left.plot(np.full(len(each), count), each, "k.", markersize=4)
    left.axhline(results["random"].mean(), color="0.6", ls="--", label="random lines, mean")
    left.axhline(results["random"].min(), color="0.6", ls=":", label="random lines, best")
    left.set_xticks(counts, counts)
    left.minorticks_off()
    left.set(xlabel="training images", ylabel="mean squared error",
             title=f"test images, {results['masks'][0].mean():.1%} of the lines")
    figure.legend(fontsize=8, loc="outside lower left", ncols=3)
    right.imshow(results["masks"][:, :, 0], cmap="gray", aspect="auto", interpolation="nearest")
    right.set_yticks(range(len(counts)), counts)
    right.set(ylabel="training images", xlabel="line", title="learned lines")
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert the claims of the figure."""
    errors, masks = results["errors"], results["masks"]
    means = np.array([each.mean() for each in errors])
    assert np.ptp(masks.mean(axis=(1, 2))) < 1e-9, "masks have different rates"
    assert means[-2] < 1.3 * means[-1], "half of the images are not enough"
    assert np.all(means < 0.8 * results["random"].mean()), "random lines are as good"


def main(size, out, folder=None):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0), folder)
    path = out / "sampling2020_training_size.png"
    draw(results, path)
    print(f"test errors {[float(f'{e.mean():.2e}') for e in results['errors']]} of "
          f"{results['counts'].tolist()} images, random {results['random'].mean():.2e} (best "
          f"{results['random'].min():.2e}) -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--data", type=Path, help="folder of mri_brain_256.npz; default: phantoms")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with limit_threads(1):
        main(arguments.size, arguments.out, arguments.data)
