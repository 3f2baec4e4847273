r"""Sampling patterns learned together with a reconstruction map, and for total variation.

Wang et al., B-spline parameterized joint optimization of reconstruction and k-space trajectories
(2021), and Bahadir et al. (2020) learn the pattern as parameters of a network, here lines as binary
masks of one rate with a straight-through derivative (`LearnedSampling`) in an unrolled map. Sherry
et al. (2020) learn it for a variational method: lines for total variation by exchanges
(`learning.bilevel.sampling`). Each pattern, and as many random and lowest lines, is then used by
both methods: a map of the same kind, trained anew for this pattern from the same start, and total
variation with alpha tuned for it on the training images. Mean squared errors of test images.

Claims: all masks have one rate; with both methods, the lines learned by either are at least 20 %
better than random ones on average; the map does at most 10 % worse with the lines learned jointly
with it than with those for total variation and, trained as briefly, at most 25 % worse than total
variation with the lines for it.

Scores of lines must not be learned by Adam with its usual epsilon: it moves all of them at one
rate, whatever a line is worth, and the lines that are kept drift about.

    python examples/figures/sampling2020/joint_with_a_map.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure
from pattern_training import bodies, tuned

from odl_learned import bridge, data, learning, networks, operators, reconstruction
from odl_learned.learning.bilevel import sampling
from odl_learned.learning.bilevel.lower import LowerLevel, Newton
from odl_learned.threads import limit_threads

SIZES = {
    "smoke": {"n": 20, "bilevel": 2, "pairs": 20, "tests": 6, "steps": 40, "draws": 1},
    "paper": {"n": 32, "bilevel": 8, "pairs": 100, "tests": 20, "steps": 300, "draws": 3},
}
SCORE_RATE = 0.1
NOISE_LEVEL, RATE, ALPHA, ITERATIONS, MEMORY, WIDTH = 0.01, 0.3, 5e-3, 4, 2, 12


class Unrolled:
    """A learned gradient method for weighed rows, from one start for all patterns.

    Parameters
    ----------
    n : int
        Images are ``n x n``, and complex.
    """

    def __init__(self, n):
        self.space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="complex64")
        full = operators.SampledFourier(self.space, np.ones((n, n)))
        self.forward, self.adjoint = bridge.as_module(full), bridge.as_module(full.adjoint)

    def model(self, weights):
        """Return ``y -> Phi(s y)``."""
        generator = torch.Generator().manual_seed(0)
        steps = [reconstruction.MemoryStep(
            networks.CNN(2 * (2 + MEMORY), 2 * (1 + MEMORY), WIDTH, 3, generator=generator),
            2 * MEMORY, 1.0, dimension=2) for _ in range(ITERATIONS)]  # fmt: skip
        rows = reconstruction.WeighedRows(self.forward, weights)
        return reconstruction.SampledReconstruction(
            weights, reconstruction.LearnedProximalGradient(rows, self.adjoint, steps,
                                                            initial=self.adjoint))

    def trained(self, weights, pairs, steps):
        """Return such a model; what the weights learn, too."""
        model = self.model(weights)
        optimizer = torch.optim.Adam([
            {"params": model.model.steps.parameters(), "lr": 3e-3},
            *({"params": [p], "lr": SCORE_RATE, "eps": 1e-2} for p in weights.parameters())])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        learning.train(model, pairs, steps=steps, batch_size=4, optimizer=optimizer,
                       schedule=schedule, clip_norm=1.0, progress=False)  # fmt: skip
        return model.eval()


class Fixed(torch.nn.Module):
    """A mask as weights of rows that do not change."""

    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", torch.as_tensor(mask.astype("float32")))

    def forward(self):
        return self.mask


def compute(size, rng):
    """Return masks, and the test errors of both methods with them, by pattern.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``masks`` by pattern; ``map`` and ``TV``, the mean squared errors by pattern; random lines
        are ``random 1``, ...
    """
    n, bilevel, count, tests, steps, draws = SIZES[size].values()
    train, test = (sampling.simulated_scans(bodies(n, k, rng), NOISE_LEVEL, rng)
                   for k in (count, tests))  # fmt: skip
    some = tuple(v[:bilevel] for v in train)
    pairs, unseen = (data.FixedPairs(y.to(torch.complex64), x.to(torch.complex64))
                     for x, y in (train, test))  # fmt: skip
    unrolled, kept = Unrolled(n), round(RATE * n)
    joint = reconstruction.LearnedSampling(reconstruction.sampling_lines((n, n)), kept,
                                           generator=torch.Generator().manual_seed(1))
    unrolled.trained(joint, pairs, steps)
    lowest = np.zeros((n, n), dtype=bool)
    lowest[n // 2 - kept // 2 : n // 2 - kept // 2 + kept] = True
    pattern, regularizer = sampling.lines((n, n)), sampling.smoothed_variation((n, n))
    exchanged = sampling.exchange(some[0], some[1], pattern, regularizer, ALPHA,
                                  torch.as_tensor(lowest[:, 0]), pairs=8, maxiter=10)
    masks = {"joint": joint.mask(), "for TV": exchanged.mask, "lowest": lowest,
             **{f"random {k + 1}": data.cartesian_mask((n, n), kept / n, 0.1, rng)
                for k in range(draws)}}  # fmt: skip
    results: dict = {"masks": masks, "map": {}, "TV": {}}
    y, truth = torch.as_tensor(unseen.data), torch.as_tensor(unseen.truth)
    for name, mask in masks.items():
        model = unrolled.trained(Fixed(mask), pairs, steps)
        with torch.no_grad():
            results["map"][name] = float((model(y) - truth).abs().square().mean())
        problem = sampling.alpha_problem(some[0], some[1], mask, regularizer)
        alpha = tuned(problem, [-5.0], 10, 3e-3).params
        lower = LowerLevel(sampling.alpha_problem(*test, mask, regularizer), Newton())
        x = torch.as_tensor(lower.solve(alpha, 1e-2).x).reshape(truth.shape)
        results["TV"][name] = float((x - test[0]).abs().square().mean())
    return results


def random_mean(errors):
    """The mean error of all random lines."""
    return float(np.mean([error for name, error in errors.items() if name.startswith("random")]))


def draw(results, path):
    """Draw the lines of all patterns, and the errors of both methods with them."""
    masks = results["masks"]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(np.stack([mask[:, 0] for mask in masks.values()]), cmap="gray", aspect="auto",
                interpolation="nearest")
    left.set_yticks(range(len(masks)), list(masks))
    left.set(xlabel="line", title="sampled lines")
    places = np.arange(len(masks))
    for k, method in enumerate(("map", "TV")):
        right.bar(places + 0.4 * (k - 0.5), [results[method][name] for name in masks], 0.4,
                  label={"map": "map, trained for the lines", "TV": "total variation"}[method])
    right.set_xticks(places, list(masks), rotation=30)
    right.set(title="mean squared error, test images")
    right.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert the claims of the figure."""
    masks, errors, tv = results["masks"], results["map"], results["TV"]
    assert len({int(mask.sum()) for mask in masks.values()}) == 1, "masks have different rates"
    for name in ("joint", "for TV"):
        assert errors[name] <= 0.8 * random_mean(errors), f"random lines suit the map as {name}"
        assert tv[name] <= 0.8 * random_mean(tv), f"random lines suit TV as {name}"
    assert errors["joint"] <= 1.1 * errors["for TV"], "the map prefers the lines for TV"
    assert errors["joint"] <= 1.25 * tv["for TV"], "total variation is better, each with its lines"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "sampling2020_joint_with_a_map.png"
    draw(results, path)
    numbers = ", ".join(f"{name} {results['map'][name]:.2e} and {results['TV'][name]:.2e}"
                        for name in results["masks"])
    print(f"errors of the map and of TV: {numbers} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with limit_threads(1):
        main(arguments.size, arguments.out)
