r"""What data leave uncertain: deviations and correlations of the posterior of an image.

Duff, Simpson, Ehrhardt and Campbell, VAEs with structured image covariance applied to compressed
sensing MRI (2023). For a latent vector the model is a Gaussian with a sparse precision, and so is
the image given data,

    u | y, z ~ N( u*(z), (P(z) + A^H A / s^2)^-1 ),

with a covariance by Lanczos' method. Magnetic resonance of phantoms from a third of the lines.

Claims: for images that the model itself has made, pixels are inside of intervals of 80 and 95 %
that often, to 0.02; data reduce the deviation of every pixel, and the sum of the variances at least
by half; the deviations of 3 x 3 neighbors tell where the errors in phantoms are: their correlation
over the pixels is on average above 0.2, and larger than that for one precision; a pixel has
posterior correlations of both signs, of at least 0.2 in modulus. Of phantoms more pixels are inside
than stated: the model has learned from images with noise, and believes in it.

    python examples/figures/duff2023/posterior_deviations.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from ellipse_models import clearest_correlations, phantoms, psnr, resonance, trained
from matplotlib.figure import Figure
from scipy.stats import norm

from odl_learned.regularizers import generative
from odl_learned.regularizers.generative.precision import marginal_variances

SIZES = {"smoke": {"n": 16, "images": 600, "width": 64, "steps": (400, 200, 100), "test": 8,
                   "rank": 140},
         "paper": {"n": 32, "images": 4000, "width": 256, "steps": (5000, 1500, 1000),
                   "test": 40, "rank": 400}}  # fmt: skip
NAMES = {None: "identity", 1: "3 x 3"}
LEVELS = np.array([0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99])


def compute(size, rng):
    """Return means, deviations and correlations, and how often pixels are in their intervals.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    """
    n, count, width, steps, test, rank = SIZES[size].values()
    models = trained(phantoms(n, count, rng), NAMES, width, steps)
    truth = phantoms(n, test, rng)
    measurements = resonance(truth, 1 / 3, 0.02)
    results = {"truth": truth.numpy(), "where": {}}
    for radius, network in models.items():
        prior = generative.prior_of(network)
        start = generative.encoder_start(network, measurements)
        fitted = generative.range_restricted(network.decoder, measurements, start)
        z = generative.alternating(prior, measurements, fitted.latent).latent
        posterior = generative.image_posterior(prior, measurements, z, rank)
        errors, deviations = (posterior.mean - truth).abs(), posterior.variances().sqrt()
        results["where"][NAMES[radius]] = np.array([
            np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(errors, deviations)])
    results |= {"mean": posterior.mean.numpy(), "psnr": psnr(posterior.mean, truth),
                "error": errors.numpy(), "deviation": deviations.numpy(),
                "prior": marginal_variances(posterior.precision).sqrt().numpy(),
                "sample": posterior.sample(torch.Generator().manual_seed(0)).numpy(),
                "phantoms": coverage(errors / deviations)}  # fmt: skip
    unit = torch.eye(n * n, dtype=torch.float64).reshape(-1, 1, n, n).expand(-1, test, n, n)
    covariance = posterior.times(unit)[:, 0].reshape(n * n, n * n)
    results["correlation"], results["pixel"] = clearest_correlations(covariance, (n, n))
    results["model"] = own_images(prior, z, rank)
    return results


def own_images(prior, z, rank):
    """Return the coverage for images that the model makes, whose latent vectors it knows."""
    like = torch.zeros(len(z), *prior.decoder.shape)
    with torch.no_grad():
        center = prior.images(z, like)
        deviations = prior.deviations.precision(z.float(), like).sample(
            torch.Generator().manual_seed(1))
    images = center + deviations[:, 0]
    posterior = generative.image_posterior(prior, resonance(images, 1 / 3, 0.02, seed=1), z, rank)
    return coverage((posterior.mean - images).abs() / posterior.variances().sqrt())


def coverage(scores):
    """Return the shares of pixels inside of central intervals of these levels."""
    bounds = norm.ppf((1 + LEVELS) / 2)
    return np.array([float((scores <= bound).double().mean()) for bound in bounds])


def left(results):
    """Return the part of the variances of all pixels that data leave."""
    return (results["deviation"] ** 2).sum() / (results["prior"] ** 2).sum()


def draw(results, path):
    """Draw one image with error, deviation, sample and correlations, and the coverage."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    axes = figure.subplots(2, 4)
    gray = {"cmap": "gray", "vmin": 0, "vmax": 1}
    most = float(results["deviation"][0].max())
    heat = {"cmap": "magma", "vmin": 0, "vmax": 2 * most}
    bound = np.sort(np.abs(results["correlation"]).ravel())[-2]
    moves = {"cmap": "RdBu_r", "vmin": -3 * most, "vmax": 3 * most}
    panels = [("truth", results["truth"][0], gray),
              (f"mean, {results['psnr'][0]:.1f} dB", results["mean"][0], gray),
              ("modulus of the error", results["error"][0], heat),
              ("deviation of the posterior", results["deviation"][0], heat),
              ("deviation of the prior", results["prior"][0], {"cmap": "magma", "vmin": 0}),
              ("a sample minus the mean", results["sample"][0] - results["mean"][0], moves),
              ("correlations with a pixel", results["correlation"],
               {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound})]  # fmt: skip
    for axis, (title, image, options) in zip(axes.flat, panels):
        picture = axis.imshow(image, **options)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
        if options is not gray:
            figure.colorbar(picture, ax=axis, shrink=0.8)
    axes[1, 2].plot(*results["pixel"][::-1], "ko", markersize=3)
    axis = axes[1, 3]
    axis.plot([0, 1], [0, 1], "k:", linewidth=1)
    axis.plot(LEVELS, results["model"], "o-", markersize=3, label="images of the model")
    axis.plot(LEVELS, results["phantoms"], "s-", markersize=3, label="phantoms")
    axis.set_xlabel("level of the interval")
    axis.set_title("share of pixels inside", fontsize=9)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    stated = np.isin(LEVELS, (0.8, 0.95))
    assert np.abs(results["model"] - LEVELS)[stated].max() < 0.02, "it is not calibrated"
    ratio = results["deviation"] / results["prior"]
    assert ratio.max() < 1 + 1e-6 and left(results) < 0.5, "data do not reduce deviations"
    where = {name: values.mean() for name, values in results["where"].items()}
    assert where["3 x 3"] > max(0.2, where["identity"]), "deviations do not tell where errors are"
    others = np.sort(results["correlation"].ravel())[:-1]  # the largest is that with itself
    assert others[0] < -0.2 and others[-1] > 0.2, "no correlations of both signs"


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "posterior_deviations.png"
    draw(results, path)
    where = ", ".join(f"{name} {v.mean():.2f}" for name, v in results["where"].items())
    others = np.sort(results["correlation"].ravel())[:-1]
    at = int(np.flatnonzero(LEVELS == 0.95)[0])
    print(f"errors and deviations correlate: {where}; inside of 95 %: "
          f"{100 * results['model'][at]:.1f} % of the model's images, "
          f"{100 * results['phantoms'][at]:.1f} % of phantoms; left are "
          f"{left(results):.2f} of the prior's variance; correlations "
          f"{others[0]:.2f} to {others[-1]:.2f} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("size", nargs="?", default="paper", choices=SIZES)
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
