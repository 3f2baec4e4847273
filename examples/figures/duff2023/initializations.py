r"""Small deviations from the range of a decoder make reconstructions depend less on the start.

Duff, Campbell and Ehrhardt, Regularising inverse problems with generative machine learning models
(2024): images in the range of a decoder (Bora et al. 2017), ``u = G(z)``; near it, with
``|u - G(z)|^2``; and apart from it in few pixels, with ``|u - G(z)|_1`` (Dhar, Grover, Ermon 2018).
Nothing is convex in z, so that the start decides: ten starts from the prior for each image. The
last two start where the first one ends.

Claims: the standard deviation of the PSNR over the starts, averaged over the images, is smaller for
small and for sparse deviations than in the range; small ones are at least 0.5 dB better on average
than none, and better than sparse ones; the misfit of the data of the best of K starts never rises
with K.

    python examples/figures/duff2023/initializations.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from ellipse_models import phantoms, psnr, resonance, trained
from matplotlib.figure import Figure

from odl_learned.regularizers import generative

SIZES = {"smoke": {"n": 16, "images": 1000, "width": 64, "steps": (600, 1, 1), "test": 8},
         "paper": {"n": 32, "images": 4000, "width": 256, "steps": (5000, 1, 500),
                   "test": 20}}  # fmt: skip
STARTS = 10


def compute(size, rng):
    """Return PSNR (starts, images) of each kind, and misfits of the best of K starts.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    """
    n, count, width, steps, test = SIZES[size].values()
    network = trained(phantoms(n, count, rng), [None], width, steps)[None]
    truth = phantoms(n, test, rng)
    measurements = resonance(truth, 0.15, 0.02)
    starts = generative.prior_samples(network.latent, test, STARTS,
                                      torch.Generator().manual_seed(0))
    soft = generative.prior_of(network)
    sparse = generative.GenerativePrior(
        network.decoder, generative.SparseDeviations(2 / network.head.deviation))

    def near(prior, z):
        fitted = generative.range_restricted(network.decoder, measurements, z)
        return generative.variable_projection(prior, measurements, fitted.latent)

    solvers = {"in the range": lambda z: generative.range_restricted(
                   network.decoder, measurements, z),
               "small deviations": lambda z: near(soft, z),
               "sparse deviations": lambda z: near(sparse, z)}  # fmt: skip
    answers = {name: [solve(z) for z in starts] for name, solve in solvers.items()}
    misfits = []
    for k in range(1, STARTS + 1):
        found = iter(answers["in the range"])
        best = generative.best_of(lambda z: next(found), starts[:k],
                                  lambda answer: measurements.value(answer.x))
        misfits.append(measurements.value(best.x).numpy())
    return {"truth": truth.numpy(), "misfits": np.array(misfits),
            "psnr": {name: np.stack([psnr(answer.x, truth) for answer in found])
                     for name, found in answers.items()},
            "images": {name: np.stack([answer.x[0].numpy() for answer in found[:3]])
                       for name, found in answers.items()}}  # fmt: skip


def draw(results, path):
    """Draw three answers for an image, the spread over the starts, and misfits of the best."""
    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.1, 1)).ravel()
    axes = left.subplots(3, 4)
    for row, (name, images) in zip(axes, results["images"].items()):
        for axis, image in zip(row, [results["truth"][0], *images]):
            axis.imshow(image, cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
        row[0].set_title("truth", fontsize=9)
        row[2].set_title(f"{name}, three starts", fontsize=9)
    spread, misfit = right.subplots(2, 1)
    deviations = {name: values.std(0) for name, values in results["psnr"].items()}
    spread.boxplot(list(deviations.values()), tick_labels=list(deviations))
    spread.set_title("standard deviation of the PSNR over ten starts (dB)", fontsize=9)
    misfit.semilogy(range(1, STARTS + 1), results["misfits"], color="tab:blue", alpha=0.6)
    misfit.set_xlabel("number of starts")
    misfit.set_title("misfit of the best, in the range, for each image", fontsize=9)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    hard, soft, sparse = (results["psnr"][name] for name in (
        "in the range", "small deviations", "sparse deviations"))
    spread = hard.std(0).mean()
    assert soft.std(0).mean() < spread, "small deviations depend more on the start"
    assert sparse.std(0).mean() < spread, "sparse deviations depend more on the start"
    assert soft.mean() > hard.mean() + 0.5, "small deviations are not better"
    assert soft.mean() > sparse.mean(), "sparse deviations are better"
    assert (np.diff(results["misfits"], axis=0) <= 0).all(), "more starts are worse"


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "initializations.png"
    draw(results, path)
    numbers = ", ".join(f"{name} {values.mean():.2f} +- {values.std(0).mean():.2f}"
                        for name, values in results["psnr"].items())
    print(f"PSNR {numbers} dB over {STARTS} starts -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("size", nargs="?", default="paper", choices=SIZES)
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
