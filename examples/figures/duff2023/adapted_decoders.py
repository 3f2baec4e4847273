r"""Deviations with a learned covariance against the range of a decoder, fixed or adapted to data.

Images in the range of a decoder cannot show what it has not learned (Bora, Jalal, Price, Dimakis,
Compressed sensing using generative models, 2017). Two ways out: the decoder itself is adapted to
each measurement (Narnhofer, Hammernik, Knoll, Pock, Inverse GANs for accelerated MRI
reconstruction, 2019), and images deviate from its range, by a Gaussian with the covariance of a
network (Duff, Simpson, Ehrhardt, Campbell 2023). Magnetic resonance of phantoms from a quarter of
the lines with 2 % noise. For the adapted decoder, learning rate and number of steps are those that
are best on validation phantoms, where the truth is known; the other methods have nothing to tune.

Claims: on average over the test images, an adapted decoder is better than the fixed one, and small
deviations are at least 0.5 dB better than none, with the covariance of 3 x 3 neighbors at least
0.5 dB better than the adapted decoder.

    python examples/figures/duff2023/adapted_decoders.py [smoke | paper] [--out results]
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from ellipse_models import phantoms, psnr, resonance, trained
from matplotlib.figure import Figure

from odl_learned.regularizers import generative

SIZES = {"smoke": {"n": 16, "images": 600, "width": 64, "steps": (400, 150, 80), "test": 6},
         "paper": {"n": 32, "images": 6000, "width": 256, "steps": (5000, 1500, 1000),
                   "test": 24}}  # fmt: skip
RATES, STEPS, VALIDATION = (3e-5, 1e-4, 3e-4, 1e-3), (25, 100), 6


def fitted_images(model, measurements):
    """Return the answer in the range."""
    start = generative.encoder_start(model, measurements)
    return generative.range_restricted(model.decoder, measurements, start)


def compute(size, rng):
    """Return images and PSNR of the four methods, and what was tuned.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    """
    n, count, width, steps, test = SIZES[size].values()
    models = trained(phantoms(n, count, rng), (None, 1), width, steps)
    known, truth = phantoms(n, VALIDATION, rng), phantoms(n, test, rng)
    identity, covariance = models[None], models[1]

    def adapted(measurements, rate, steps):
        z = fitted_images(identity, measurements).latent
        return generative.inverse_gan(identity.decoder, measurements, z, learning_rate=rate,
                                      steps=steps).x  # fmt: skip

    validation, measurements = resonance(known, 0.25, 0.02, 1), resonance(truth, 0.25, 0.02)
    tried = {choice: float(psnr(adapted(validation, *choice), known).mean())
             for choice in product(RATES, STEPS)}  # fmt: skip
    best = max(tried, key=lambda choice: tried[choice])
    hard = fitted_images(identity, measurements)
    near = {name: generative.variable_projection(
                generative.prior_of(model), measurements, fitted_images(model, measurements).latent)
            for name, model in (("small deviations", identity), ("3 x 3", covariance))}  # fmt: skip
    images = {"in the range": hard.x, "adapted decoder": adapted(measurements, *best),
              **{name: answer.x for name, answer in near.items()}}
    return {"truth": truth.numpy(), "tried": tried, "best": best,
            "images": {name: u.numpy() for name, u in images.items()},
            "psnr": {name: psnr(u, truth) for name, u in images.items()}}  # fmt: skip


def draw(results, path):
    """Draw two images by each method, and the qualities of all."""
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.5, 1)).ravel()
    panels = {"truth": results["truth"]} | results["images"]
    for k, row in enumerate(top.subplots(2, 5)):
        for axis, (name, images) in zip(row, panels.items()):
            axis.imshow(images[k], cmap="gray", vmin=0, vmax=1)
            quality = "" if name == "truth" else f", {results['psnr'][name][k]:.1f} dB"
            axis.set_title(f"{name}{quality}", fontsize=9)
            axis.set_axis_off()
    quality, tuning = bottom.subplots(1, 2)
    quality.boxplot(list(results["psnr"].values()), tick_labels=list(results["psnr"]))
    quality.tick_params(axis="x", labelsize=8)
    quality.set_title("PSNR of all test images (dB)", fontsize=9)
    for steps in STEPS:
        tuning.semilogx(RATES, [results["tried"][rate, steps] for rate in RATES], "o-",
                        label=f"{steps} steps")  # fmt: skip
    tuning.legend(fontsize=8)
    tuning.set_xlabel("learning rate of the adapted decoder", fontsize=9)
    tuning.set_title("its PSNR on validation phantoms (dB)", fontsize=9)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    means = {name: values.mean() for name, values in results["psnr"].items()}
    assert means["adapted decoder"] > means["in the range"], "adapting does not help"
    assert means["small deviations"] >= means["in the range"] + 0.5, "deviations do not help"
    assert means["3 x 3"] >= means["adapted decoder"] + 0.5, "an adapted decoder is as good"


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "adapted_decoders.png"
    draw(results, path)
    means = ", ".join(f"{name} {values.mean():.2f}" for name, values in results["psnr"].items())
    print(f"PSNR {means} dB; best learning rate {results['best'][0]:g}, {results['best'][1]} steps "
          f"-> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("size", nargs="?", default="paper", choices=SIZES)
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
