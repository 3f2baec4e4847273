r"""Staircases: total variation makes them of slopes, its second order generalization does not.

    TV:   min_u    1/2 |u - y|^2 + alpha int |grad u|,
    TGV:  min_u,v  1/2 |u - y|^2 + alpha int |grad u - v| + alpha beta int |E v|

(Rudin, Osher and Fatemi 1992; Bredies, Kunisch and Pock 2010) for an image that is affine in parts.
A slope costs TV as much as a jump of the same height, so that minimizers are constant in parts. TGV
has affine images for free.

Claims, each method with the best of a grid of parameters:

* the peak signal-to-noise ratio of TGV is at least 1 dB better;
* call pixels flat where the gradient is shorter than a fifth of the shortest one of the truth,
  which has none: TV makes at least 15 % of the image flat, and TGV at most a tenth of that;
* the best parameters lie inside of the grids, and all images are certified: the duality gap is at
  most as large a part of the objective as was asked for.

    python examples/figures/talk2023/tv_and_tgv_denoising.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from odl_learned import data, metrics, solvers

SIZES = {"smoke": {"n": 48}, "paper": {"n": 128}}
NOISE_LEVEL, ACCURACY = 0.1, 1e-3
ALPHAS = np.geomspace(0.04, 0.2, 6)
BETAS = {"TV": (0.0,), "TGV": (1.0, 2.0, 4.0, 6.0)}  # in pixels


def affine_parts(n):
    """A roof, a tilted disk and a tilted band, with values from 0 to 1; shape ``(n, n)``."""
    t = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(t, t, indexing="ij")
    image = 0.1 + 0.5 * np.minimum(x, 1 - x) + 0.25 * y
    disk = (x - 0.35) ** 2 + (y - 0.62) ** 2 < 0.22**2
    image = np.where(disk, 0.95 - 0.75 * (x - 0.13) / 0.44 - 0.2 * (y - 0.4), image)
    band = abs(0.6 * x + 0.8 * (y - 0.2) - 0.45) < 0.1
    return np.where(band & ~disk & (y < 0.5), 0.35 + 0.65 * x - 0.3 * y, image)


def slopes(image):
    """Lengths of the gradients between pixels, shape ``(n - 1, n - 1)``."""
    return np.hypot(np.diff(image, axis=0)[:, :-1], np.diff(image, axis=1)[:-1])


def relative_gaps(solution, y):
    """Duality gaps over objectives; the dual one is ``|y|^2 / 2 - |y - D* q|^2 / 2``."""
    q = np.pad(solution.dual[:, 0, :-1], ((0, 0), (1, 1), (0, 0)))
    r = np.pad(solution.dual[:, 1, :, :-1], ((0, 0), (0, 0), (1, 1)))
    fall = -np.diff(q, axis=1) - np.diff(r, axis=2)
    dual = np.sum(y**2 - (y - fall) ** 2, axis=(1, 2)) / 2
    return solution.gap / (dual + solution.gap)


def compute(size, rng):
    """Return images and numbers.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``truth``, ``noisy`` and, of the keys ``"TV"`` and ``"TGV"``: ``psnr``, arrays over
        ``BETAS`` and ``ALPHAS``; ``images``, the best ones; ``flat``, where they are flat;
        ``gap``, the largest relative duality gap.
    """
    truth = affine_parts(SIZES[size]["n"])
    noisy = truth + NOISE_LEVEL * rng.standard_normal(truth.shape)
    batch, pixel = np.stack([noisy] * len(ALPHAS)), (1,) * noisy.ndim
    limit = slopes(truth).min() / 5
    results = {"truth": truth, "noisy": noisy, "psnr": {}, "images": {}, "flat": {}, "gap": {}}
    for name, betas in BETAS.items():
        if name == "TV":
            found = [solvers.rof(batch, ALPHAS, ACCURACY, cell_sides=pixel)]
        else:
            found = [solvers.tgv_denoising(batch, ALPHAS, beta, ACCURACY, cell_sides=pixel)
                     for beta in betas]  # fmt: skip
        quality = np.array([[metrics.psnr(x, truth) for x in s.x] for s in found])
        row, column = np.unravel_index(quality.argmax(), quality.shape)
        best = found[row].x[column]
        results["psnr"][name], results["images"][name] = quality, best
        results["flat"][name] = slopes(best) < limit
        results["gap"][name] = max(relative_gaps(s, batch).max() for s in found)
    return results


def draw(results, path):
    """Draw the images, a line through them, the flat pixels, and the choice of parameters."""
    truth, images = results["truth"], results["images"]
    best = {name: quality.max() for name, quality in results["psnr"].items()}
    figure = Figure(figsize=(13.6, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 5, width_ratios=[1, 1, 1, 1, 1.25])
    pictures = {"truth": truth, "noisy image": results["noisy"]} | {
        f"{name}, {best[name]:.1f} dB": image for name, image in images.items()}  # fmt: skip
    line = int(0.62 * len(truth))
    for column, (title, image) in enumerate(pictures.items()):
        ax = figure.add_subplot(grid[0, column])
        ax.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.axhline(len(truth) - 1 - line, color="#ffb000", linewidth=0.8)
        ax.set(title=title, xticks=[], yticks=[])
    for column, (name, flat) in enumerate(results["flat"].items()):
        ax = figure.add_subplot(grid[1, 2 + column])
        ax.imshow(data.to_rows(flat), cmap="Reds", vmin=0, vmax=1.4, interpolation="nearest")
        ax.set(title=f"flat pixels of {name}, {flat.mean():.2%}", xticks=[], yticks=[])
    ax = figure.add_subplot(grid[1, :2])
    ax.plot(truth[:, line], "k", linewidth=1, label="truth")
    for name, color in (("TV", "C3"), ("TGV", "C0")):
        ax.plot(images[name][:, line], color, linewidth=1.3, label=name)
    ax.set(title="along the line", xticks=[], xlim=(0, len(truth) - 1))
    ax.legend(fontsize=8)
    ax = figure.add_subplot(grid[:, 4])
    for name, colors in (("TV", ("C3",)), ("TGV", ("#9ecae1", "#4f9bcb", "#1764ab", "#08306b"))):
        for beta, curve, color in zip(BETAS[name], results["psnr"][name], colors, strict=True):
            label = f"TGV, $\\beta$ = {beta:g}" if beta else name
            ax.semilogx(ALPHAS, curve, "o-", color=color, markersize=4, label=label)
    ax.set(title="choice of parameters", xlabel="$\\alpha$", ylabel="PSNR in dB")
    ax.set_xticks([0.04, 0.06, 0.1, 0.2], ["0.04", "0.06", "0.1", "0.2"])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    tv, tgv = (results["psnr"][name] for name in ("TV", "TGV"))
    assert tgv.max() >= tv.max() + 1, "TGV is not 1 dB better than TV"
    flat = {name: where.mean() for name, where in results["flat"].items()}
    assert flat["TV"] >= 0.15, "TV makes no staircases"
    assert flat["TGV"] <= 0.1 * flat["TV"], "TGV makes staircases"
    for quality in (tv, tgv):
        edges = quality[:, [0, -1]].max(axis=0)
        assert edges.max() < quality.max(), "the best alpha is at the end of the grid"
    edges = tgv[[0, -1]].max()
    assert edges < tgv.max(), "the best beta is at the end of the grid"
    for name, gap in results["gap"].items():
        assert 0 <= gap <= ACCURACY * (1 + 1e-6), f"a gap of {name} is too large"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "talk2023_tv_and_tgv_denoising.png"
    draw(results, path)
    print(", ".join(f"{name}: {results['psnr'][name].max():.2f} dB, {flat.mean():.2%} flat, "
                    f"gap {results['gap'][name]:.1e}" for name, flat in results["flat"].items()),
          "->", path)  # fmt: skip
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
