r"""One generative model for all sampling rates and noise levels, at 128 x 128, on one GPU.

Duff, Simpson, Ehrhardt and Campbell, VAEs with structured image covariance applied to compressed
sensing MRI (2023): models learn from images alone, and then meet every kind of measurement without
tuning. Magnetic resonance of phantoms from 15 to 50 % of the lines with 1 to 10 % noise; images in
the range of the decoder, and near it with one precision, a diagonal one and 3 x 3 neighbors. The
cells run through `odl_learned.comparison`: with a folder, training and cells go on where they were
interrupted. It takes a CUDA device if there is one.

Claims: 3 x 3 neighbors are better than one precision and than the range of the decoder in every
cell with at most 2.5 % noise, and on average over all of them; their PSNR rises with the share of
the lines, and falls with the noise.

    python examples/figures/duff2023/every_cell.py [smoke | paper] [--out results] [--folder F]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from ellipse_models import phantoms, psnr, resonance, trained
from matplotlib.figure import Figure

from odl_learned.comparison import Simulated, compare, grid
from odl_learned.regularizers import generative

SIZES = {"smoke": {"n": 16, "images": 400, "width": 48, "steps": (300, 150, 60), "test": 8,
                   "sampling": (0.25, 0.5), "noise": (0.02, 0.1)},
         "paper": {"n": 128, "images": 4000, "width": 384, "steps": (6000, 2000, 1500),
                   "test": 50, "sampling": (0.15, 0.25, 0.35, 0.5),
                   "noise": (0.01, 0.025, 0.05, 0.1)}}  # fmt: skip
NAMES = {None: "identity", 0: "diagonal", 1: "3 x 3"}


class Near:
    """Reconstruct with a model, near the range of its decoder or, without deviations, in it."""

    def __init__(self, network, device, deviations=True):
        self.network, self.device, self.deviations = network, device, deviations

    def __call__(self, A, data, noise_level):
        measurements = generative.Measurements(A, data.to(self.device), noise_level)
        start = generative.encoder_start(self.network, measurements)
        fitted = generative.range_restricted(self.network.decoder, measurements, start)
        if self.deviations:
            fitted = generative.alternating(generative.prior_of(self.network), measurements,
                                            fitted.latent, maxiter=10)  # fmt: skip
        return fitted.x.cpu()


def compute(size, rng, folder=None):
    """Return the grid and mean PSNR of each method in each cell, ``(sampling, noise)``.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    folder : Path, optional
        Where trainings and cells are kept.
    """
    n, count, width, steps, test, sampling, noise = SIZES[size].values()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = trained(phantoms(n, count, rng), NAMES, width, steps, folder, device)
    truth = phantoms(n, test, rng)

    def simulate(cell):
        m = resonance(truth, cell["sampling"], cell["noise"])
        return Simulated(m.forward_op, m.data, m.noise_level, truth)

    methods = {"the range": Near(models[None], device, deviations=False)} | {
        name: Near(models[radius], device) for radius, name in NAMES.items()}
    cells = grid({"sampling": sampling, "noise": noise})
    table = compare(simulate, methods, cells, psnr, progress=False,
                    folder=None if folder is None else folder / "cells")  # fmt: skip
    shape = len(sampling), len(noise)
    return {"sampling": sampling, "noise": noise, "device": device, "rows": table.rows(),
            "psnr": {name: np.reshape([table.mean(cell, name) for cell in cells], shape)
                     for name in methods}}  # fmt: skip


def draw(results, path):
    """Draw PSNR of the 3 x 3 model and its gains, cell by cell."""
    best = results["psnr"]["3 x 3"]
    panels = {"PSNR of 3 x 3 neighbors (dB)": best,
              **{f"gain over {name} (dB)": best - results["psnr"][name]
                 for name in ("the range", "identity", "diagonal")}}  # fmt: skip
    figure = Figure(figsize=(13, 3.3), layout="constrained")
    for axis, (title, values) in zip(figure.subplots(1, 4), panels.items()):
        bound = np.abs(values).max()
        options = {} if title.startswith("PSNR") else {"cmap": "RdBu_r", "vmin": -bound,
                                                       "vmax": bound}  # fmt: skip
        axis.imshow(values, aspect="auto", **options)
        for place, value in np.ndenumerate(values):
            axis.text(*place[::-1], f"{value:.1f}", ha="center", va="center",
                      bbox={"facecolor": "white", "alpha": 0.6, "linewidth": 0, "pad": 1})
        axis.set_xticks(range(len(results["noise"])), [f"{100 * s:g} %" for s in results["noise"]])
        axis.set_yticks(range(len(results["sampling"])),
                        [f"{100 * s:g} %" for s in results["sampling"]])
        axis.set_xlabel("noise")
        axis.set_title(title, fontsize=9)
    figure.axes[0].set_ylabel("lines")
    figure.savefig(path, dpi=120)


def claim(results):
    """Assert what the figure claims."""
    best, quiet = results["psnr"]["3 x 3"], np.array(results["noise"]) <= 0.025
    for name in ("the range", "identity"):
        gain = best - results["psnr"][name]
        assert (gain[:, quiet] > 0).all() and gain.mean() > 0, f"neighbors do not beat {name}"
    assert (np.diff(best, axis=0) > 0).all(), "more lines do not help"
    assert (np.diff(best, axis=1) < 0).all(), "noise does not hurt"


def main(size, out, folder):
    results = compute(size, np.random.default_rng(0), folder)
    path = out / "every_cell.png"
    draw(results, path)
    means = ", ".join(f"{name} {values.mean():.2f}" for name, values in results["psnr"].items())
    seconds = np.mean([row["seconds"] for row in results["rows"] if row["method"] == "3 x 3"])
    print(f"PSNR over {results['psnr']['3 x 3'].size} cells, mean: {means} dB; {seconds:.3f} CPU "
          f"seconds for an image on {results['device']} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("size", nargs="?", default="paper", choices=SIZES)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out, arguments.folder)
