r"""Samples of the posterior of a CT slice: their mean, their spread, and where the error is.

Song, Shen, Xing, Ermon, Solving inverse problems in medical imaging with score-based generative
models (2022). A real slice is measured from 30 views with noise of 2 %. The denoiser that comes
with the package, trained on slices of other patients, knows the score of slices with noise, and
annealed Langevin dynamics draw images that explain the data. Total variation, whose alpha is the
best one for the truth, is what the mean is compared with.

Claims: the mean of the samples is at least 1 dB better than a sample on average, and 0.5 dB better
than total variation; the spread is larger where the error is (correlation above 0.4), and its size
is that of the error up to a factor of two; intervals that hold 80 % of the pixels if prior and
likelihood are right hold 65 to 90 %.

    python examples/figures/song2022/posterior_of_a_slice.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import bridge, data, learning, metrics, operators, solvers, variational
from odl_learned.functionals import l2_fidelity
from odl_learned.reconstruction import diffusion

SIZES = {"smoke": {"count": 9, "levels": 20}, "paper": {"count": 39, "levels": 100}}
N, VIEWS, RELATIVE_NOISE, LEVEL = 64, 30, 0.02, 0.8
ALPHAS = (2.5e-5, 5e-5, 1e-4, 2e-4)


def compute(size, rng):
    """Return the images of total variation and of the posterior, with the truth.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    """
    count, levels = SIZES[size].values()
    hounsfield = data.downsample(data.example_ct().array, 512 // N)
    truth = np.clip((hounsfield + 1000) / 2000, 0, 1).astype("float32")
    X = odl.uniform_discr([0, 0], [N, N], (N, N), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(X, VIEWS))
    exact = A(X.element(truth))
    noise_level = RELATIVE_NOISE * float(np.abs(exact.asarray()).mean())
    y = data.add_white_noise(exact, noise_level, rng)
    f = l2_fidelity(y)
    problems = [variational.tv_problem(A, f, alpha) for alpha in ALPHAS]
    tv = solvers.primal_dual(bridge.as_batch(problems), accuracy=1e-3, maxiter=400)
    likelihood = diffusion.GaussianLikelihood(A, y, noise_level, accuracy=1e-2)
    sampler = diffusion.AnnealedLangevin(diffusion.geometric_levels(1.0, 2 * noise_level, levels))
    denoiser = learning.load_regularizer(learning.CT_DENOISER)
    samples = diffusion.draw_samples(
        sampler, denoiser, likelihood, count, torch.Generator().manual_seed(0))
    return {"truth": truth, "tv": max(tv.x.numpy(), key=lambda u: metrics.psnr(u, truth)),
            "images": samples.images[:, 0].numpy()}


def judged(results):
    """Return the numbers of the claims."""
    truth, images = results["truth"], results["images"]
    samples = diffusion.PosteriorSamples(torch.from_numpy(images)[:, None])
    mean, spread = samples.mean[0].numpy(), samples.standard_deviation[0].numpy()
    error = np.abs(mean - truth)
    expected = spread * (1 + 1 / len(images)) ** 0.5  # the mean of K samples is off by 1 / K, too
    return {
        "mean": metrics.psnr(mean, truth), "tv": metrics.psnr(results["tv"], truth),
        "sample": float(np.mean([metrics.psnr(u, truth) for u in images])),
        "correlation": float(np.corrcoef(error.ravel(), spread.ravel())[0, 1]),
        "ratio": float(np.sqrt(np.mean(expected**2) / np.mean(error**2))),
        "coverage": samples.coverage(torch.from_numpy(truth)[None], LEVEL),
    }  # fmt: skip


def draw(results, path):
    """Draw the truth, total variation, a sample, and mean, spread and error of all."""
    numbers, images = judged(results), results["images"]
    mean, truth = images.mean(0), results["truth"]
    panels = {
        "truth": truth, f"total variation, {numbers['tv']:.1f} dB": results["tv"],
        f"a sample, {metrics.psnr(images[0], truth):.1f} dB": images[0],
        f"mean of {len(images)}, {numbers['mean']:.1f} dB": mean,
        "standard deviation": images.std(0, ddof=1), "error of the mean": np.abs(mean - truth),
    }  # fmt: skip
    figure = Figure(figsize=(9, 6.2), layout="constrained")
    for k, (axis, (title, image)) in enumerate(zip(figure.subplots(2, 3).flat, panels.items())):
        window = {"cmap": "gray", "vmin": 0.3, "vmax": 0.7} if k < 4 else {
            "cmap": "magma", "vmin": 0, "vmax": 0.06}  # fmt: skip
        shown = axis.imshow(data.to_rows(image), **window)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
        if k % 3 == 2:
            figure.colorbar(shown, ax=axis, shrink=0.8)
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    numbers = judged(results)
    assert numbers["mean"] >= numbers["sample"] + 1, "the mean is no better than samples"
    assert numbers["mean"] >= numbers["tv"] + 0.5, "total variation is as good"
    assert numbers["correlation"] > 0.4, "the spread does not say where the error is"
    assert 0.5 < numbers["ratio"] < 2, "the spread is not as large as the error"
    assert 0.65 < numbers["coverage"] < 0.9, "intervals do not hold as much as they say"


def main(size, out):
    """Compute, draw and claim."""
    results = compute(size, np.random.default_rng(0))
    out.mkdir(parents=True, exist_ok=True)
    path = out / "posterior_of_a_slice.png"
    draw(results, path)
    claim(results)
    n = judged(results)
    print(f"{path}: mean {n['mean']:.2f} dB, samples {n['sample']:.2f} dB, TV {n['tv']:.2f} dB, "
          f"correlation {n['correlation']:.2f}, spread over error {n['ratio']:.2f}, intervals of "
          f"{LEVEL:.0%} hold {n['coverage']:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    main(arguments.size, arguments.out)
