r"""Equivariant networks need fewer images and do not care which way up these are.

Celledoni et al., Equivariant neural networks for inverse problems (2021), section 5: the learned
proximal gradient, once with ordinary convolutions and once with ones that commute with quarter
turns, is trained on few upright images of a body, and tried on upright and on turned ones. The
views are even, so that ``A* A`` commutes with quarter turns, too. Both have the same number of
channels; the equivariant map has a quarter of the weights and needs more steps to the same training
error, at which the two are compared (`matched_training`).

Claims, as means over test images and seeds: between upright and turned images the quality of the
equivariant map differs by at most 0.1 dB, that of the ordinary one by at least 0.3 dB; on turned
images the equivariant one is ahead by at least 0.3 dB.

    python examples/figures/celledoni2021/small_data.py [smoke | paper] [--out results]
        [--data FOLDER]   slices of patients, ct/ct_slices_256.npz, in place of random bodies
        [--keep FOLDER]   keeps the curves of each seed and number of images, and goes on from there
"""

import argparse
import itertools
from pathlib import Path

import matched_training
import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import bridge, data, networks, operators, reconstruction
from odl_learned.networks.equivariant import Cyclic, EquivariantCNN

SIZES = {
    "smoke": {"n": 16, "counts": (3,), "seeds": 1, "stages": 3, "every": 30, "tests": 20},
    "paper": {"n": 32, "counts": (10, 30, 100, 300, 1000), "seeds": 4, "stages": 16, "every": 50,
              "tests": 60},
}  # fmt: skip
#: Of slices of patients, of which there are 298 for training, 20 for validation and 43 for tests.
SLICES = {"n": 32, "counts": (10, 50), "seeds": 3, "stages": 12, "every": 75, "tests": 43}
ORIGIN = ("Slices of many patients, such as those of the Cancer Imaging Archive, with the arrays "
          "images (N, 256, 256) in Hounsfield units, split and patient (N,).")  # fmt: skip
VIEWS, RELATIVE_NOISE, ITERATIONS, MEMORY, CHANNELS, VALIDATION = 16, 0.03, 4, 2, 32, 20
QUARTERS = Cyclic(4)


def ordinary(before, after, generator):
    return networks.CNN(before, after, CHANNELS, 3, dimension=2, generator=generator)


def equivariant(before, after, generator):
    fields = CHANNELS // QUARTERS.order
    return EquivariantCNN(QUARTERS, before, after, fields, 3, generator=generator)


NETWORKS = {"ordinary": ordinary, "equivariant": equivariant}


def measured(forward_op, images, seed):
    """Return data of the images as tensors, with noise."""
    rng = np.random.default_rng(seed)
    exact = bridge.as_module(forward_op)(torch.as_tensor(images))
    levels = RELATIVE_NOISE * exact.abs().mean((1, 2), keepdim=True)
    return exact + levels * torch.as_tensor(rng.standard_normal(exact.shape), dtype=exact.dtype)


class Bodies:
    """Random upright bodies of a space; the parts are drawn apart anyway."""

    def __init__(self, space):
        self.space = space

    def drawn(self, part, number, rng):
        return np.stack([data.random_body(self.space, rng).asarray() for _ in range(number)])


class Slices:
    """Slices of patients, water is one; each part, train, val or test, has patients of its own."""

    def __init__(self, space, file):
        images, self.split, self.patient = data.read_measurement(
            file, ORIGIN, "images", "split", "patient")
        factor = images.shape[1] // space.shape[0]
        relative = np.maximum(images, -1000) / np.float32(1000) + 1
        self.images = data.downsample(data.from_rows(relative), factor)

    def drawn(self, part, number, rng):
        """Return slices of a part at random, second ones of a patient after one of each."""
        mine = rng.permutation(np.flatnonzero(self.split == part))
        patients = self.patient[mine]
        turns = [np.count_nonzero(patients[:i] == each) for i, each in enumerate(patients)]
        return self.images[mine[np.argsort(turns, kind="stable")[:number]]]


def learned(forward_op, network, generator):
    """Return an untrained map, which is filtered backprojection before its first step."""
    forward, adjoint = bridge.as_module(forward_op), bridge.as_module(forward_op.adjoint)
    steps = [reconstruction.MemoryStep(network(2 + MEMORY, 1 + MEMORY, generator), MEMORY, 1.0,
                                       dimension=2) for _ in range(ITERATIONS)]  # fmt: skip
    initial = bridge.as_module(operators.fbp(forward_op))
    return reconstruction.LearnedProximalGradient(forward, adjoint, steps, initial=initial)


def compute(size, rng, kept=None, folder=None):
    """Return by network rows of `matched_training.SETS`, the PSNR, ``(counts, seeds, 4)``.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
        Source of the images for tests and validation; seeds are counted from zero.
    kept : Path, optional
        Folder of what an earlier run has finished, with the same source and the same images.
    folder : Path, optional
        Where the slices of patients are.
    """
    if folder is None:
        return experiment(**SIZES[size], rng=rng, kept=kept)
    return experiment(**(SLICES if size == "paper" else SIZES[size]), rng=rng, kept=kept,
                      file=folder / "ct" / "ct_slices_256.npz")  # fmt: skip


def experiment(n, counts, seeds, stages, every, tests, rng, kept=None, file=None):
    """Return what `compute` returns, for any numbers of pixels, images, seeds and steps.

    The key "curves" has the curves themselves, by number of images and seed.
    """
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    forward_op = operators.normalized(operators.parallel_ray_transform(space, VIEWS))
    source = Bodies(space) if file is None else Slices(space, file)
    held_out = {"validation": source.drawn("val", min(tests, VALIDATION), rng),
                "upright": source.drawn("test", tests, rng)}  # fmt: skip
    held_out["turned"] = matched_training.turned(held_out["upright"])
    results = {"counts": counts, "curves": {}}
    results |= {name: np.empty((len(counts), seeds, 4)) for name in NETWORKS}
    for row, seed in itertools.product(range(len(counts)), range(seeds)):
        few = source.drawn("train", counts[row], np.random.default_rng([1, seed]))
        sets = {name: (measured(forward_op, x, k), x)
                for k, (name, x) in enumerate(({"training": few} | held_out).items())}
        found = matched_training.kept_or_new(
            kept and kept / f"{n}_{stages}x{every}_{tests}_{counts[row]}_{seed}.npz",
            lambda: matched_training.curves(
                {name: learned(forward_op, network, torch.Generator().manual_seed(seed))
                 for name, network in NETWORKS.items()}, sets, stages, every, seed))  # fmt: skip
        results["curves"][counts[row], seed] = found
        for name, values in matched_training.matched(found).items():
            results[name][row, seed] = values
    return results


def draw(results, path):
    """Draw the quality on upright and on turned images over the number of training images."""
    figure = Figure(figsize=(8, 3.6), layout="compressed")
    for ax, column, title in zip(figure.subplots(1, 2, sharey=True), (2, 3),
                                 ("upright, as in training", "turned by 90 degrees")):
        for name, marker in zip(NETWORKS, "os"):
            values = results[name][..., column]
            spread = values.std(1, ddof=1) if values.shape[1] > 1 else None
            ax.errorbar(results["counts"], values.mean(1), spread, marker=marker, capsize=3,
                        label=name)
        ax.set(title=title, xscale="log", xlabel="training images")
        ax.set_xticks(results["counts"], map(str, results["counts"]))
        ax.minorticks_off()
    figure.axes[0].set_ylabel("PSNR in dB, spread over seeds")
    figure.axes[0].legend()
    figure.savefig(path, dpi=110)


def claim(results):
    """Assert the claims of the figure."""
    found = matched_training.summary(results)
    assert abs(found["rotation_gap_equivariant"]) <= 0.1, "the equivariant map knows the direction"
    assert found["rotation_gap_ordinary"] >= 0.3, "the ordinary map does not care for direction"
    assert found["rotated_gain_db"] >= 0.3, "equivariance gains next to nothing on turned images"


def main(size, out, kept=None, folder=None):
    """Compute, draw, print, and assert the claims."""
    results = compute(size, np.random.default_rng(0), kept, folder)
    path = out / f"celledoni2021_small_data{'' if folder is None else '_slices'}.png"
    draw(results, path)
    values = "; ".join(f"{name} {results[name][row, :, 2].mean():.2f} upright, "
                       f"{results[name][row, :, 3].mean():.2f} dB turned, from {count} images"
                       for row, count in enumerate(results["counts"]) for name in NETWORKS)
    numbers = ", ".join(f"{key} {value:.2f}"
                        for key, value in matched_training.summary(results).items())
    print(f"{values}; {numbers} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    for folder in filter(None, (arguments.out, arguments.keep)):
        folder.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out, arguments.keep, arguments.data)
