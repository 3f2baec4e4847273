r"""A generative model that knows how its errors are correlated reconstructs better.

Duff, Simpson, Ehrhardt and Campbell, VAEs with structured image covariance applied to compressed
sensing MRI (2023): the images of a variational autoencoder deviate from its mean by a Gaussian
whose precision ``L L^T`` a network predicts, with L sparse. Magnetic resonance of phantoms from a
third of the lines; no parameter is tuned, the noise level is known.

    min_{u, z} |A u - y|^2 / (2 s^2) + |u - G(z)|^2_{P(z)} / 2 + |z|^2 / 2 + delta(z)

Claims: the deviation of some pixel has positive and negative correlations with those of others, of
at least 0.2 in modulus; the objective never increases; on average over the test images, 3 x 3
neighbors are at least 0.5 dB better than one precision for all pixels, and any of them better than
no deviation.

    python examples/figures/duff2023/covariance_models.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from ellipse_models import clearest_correlations, phantoms, psnr, resonance, trained
from matplotlib.figure import Figure

from odl_learned.regularizers import generative
from odl_learned.regularizers.generative.heads import precision_at

SIZES = {"smoke": {"n": 16, "images": 1000, "width": 64, "steps": (600, 250, 150), "test": 12},
         "paper": {"n": 32, "images": 4000, "width": 256, "steps": (5000, 1500, 1000),
                   "test": 40}}  # fmt: skip
NAMES = {None: "identity", 0: "diagonal", 1: "3 x 3"}


def compute(size, rng):
    """Return images and qualities of all models, a correlation map and values of the objective.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    """
    n, count, width, steps, test = SIZES[size].values()
    models = trained(phantoms(n, count, rng), NAMES, width, steps)
    truth = phantoms(n, test, rng)
    measurements = resonance(truth, 1 / 3, 0.02)
    results = {"truth": truth.numpy(), "psnr": {}, "images": {}, "values": {}}
    for radius, network in models.items():
        start = generative.encoder_start(network, measurements)
        fitted = generative.range_restricted(network.decoder, measurements, start)
        values = []
        found = generative.alternating(generative.prior_of(network), measurements, fitted.latent,
                                       callback=lambda v: values.append(v.numpy()))
        name = NAMES[radius]
        if radius is None:
            results["psnr"]["hard"] = psnr(fitted.x, truth)
            results["images"]["hard"] = fitted.x.numpy()
        results["psnr"][name], results["images"][name] = psnr(found.x, truth), found.x.numpy()
        results["values"][name] = np.array(values)
    with torch.no_grad():
        latent = models[1].encode(truth[:1])[0]
        precision = precision_at(models[1].head, latent)
    size = precision.size
    unit = torch.eye(size).reshape(size, 1, *precision.image)
    results["correlation"], results["pixel"] = clearest_correlations(
        precision.covariance_times(unit).reshape(size, size), (n, n))
    return results


def draw(results, path):
    """Draw truth and reconstructions of one image, the correlations, and the qualities."""
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    axes = figure.subplots(2, 4)
    panels = {"truth": results["truth"]} | results["images"]
    for axis, (name, images) in zip(axes.flat, panels.items()):
        title = name if name == "truth" else f"{name}, {results['psnr'][name][0]:.1f} dB"
        axis.imshow(images[0], cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    axis = axes[1, 1]
    bound = np.sort(np.abs(results["correlation"]).ravel())[-2]
    picture = axis.imshow(results["correlation"], cmap="RdBu_r", vmin=-bound, vmax=bound)
    axis.plot(*results["pixel"][::-1], "ko", markersize=3)
    axis.set_title("correlations with a pixel", fontsize=9)
    axis.set_axis_off()
    figure.colorbar(picture, ax=axis)
    for axis in axes[1, 2:]:
        axis.remove()
    quality = figure.add_subplot(axes[0, 0].get_gridspec()[1, 2:])
    quality.boxplot(list(results["psnr"].values()), tick_labels=list(results["psnr"]))
    quality.set_title("PSNR of all test images (dB)", fontsize=9)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    others = np.sort(results["correlation"].ravel())[:-1]  # the largest is that with itself
    assert others[0] < -0.2 and others[-1] > 0.2, "no correlations of both signs"
    for name, values in results["values"].items():
        assert (np.diff(values, axis=0) <= 0).all(), f"the objective of {name} increases"
    means = {name: values.mean() for name, values in results["psnr"].items()}
    assert means["3 x 3"] > means["identity"] + 0.5, "neighbors do not help"
    assert min(means[name] for name in NAMES.values()) > means["hard"], "deviations do not help"


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "covariance_models.png"
    draw(results, path)
    means = ", ".join(f"{name} {values.mean():.2f}" for name, values in results["psnr"].items())
    others = np.sort(results["correlation"].ravel())[:-1]
    print(f"PSNR {means} dB; correlations {others[0]:.2f} to {others[-1]:.2f} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("size", nargs="?", default="paper", choices=SIZES)
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
