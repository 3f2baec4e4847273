r"""Equivariant networks need fewer images and do not care which way up these are.

Celledoni et al., Equivariant neural networks for inverse problems (2021), section 5: the learned
proximal gradient, once with ordinary convolutions and once with ones that commute with quarter
turns, is trained on few upright images of a body, and tried on upright and on turned ones. The
views are even, so that ``A* A`` commutes with quarter turns, too. Both have about the same number
of channels; the equivariant map has a fraction of the weights and needs more steps to the same
training error, at which the two are compared.

Claims, as means over test images and seeds: between upright and turned images the quality of the
equivariant map differs by at most 0.1 dB, that of the ordinary one by at least 0.3 dB; on turned
images the equivariant one is ahead by at least 0.3 dB.

    python examples/figures/celledoni2021/small_data.py [smoke | paper] [--out results]

``--keep FOLDER`` keeps the curves of each seed and number of images, and goes on from there.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import bridge, data, learning, metrics, networks, operators, reconstruction
from odl_learned.networks.equivariant import Cyclic, EquivariantCNN

SIZES = {
    "smoke": {"n": 16, "counts": (6,), "seeds": 1, "stages": 3, "every": 30, "tests": 20},
    "paper": {"n": 32, "counts": (10, 30, 100, 300, 1000), "seeds": 4, "stages": 8, "every": 500,
              "tests": 100},
}  # fmt: skip
VIEWS, RELATIVE_NOISE, ITERATIONS, MEMORY, CHANNELS = 16, 0.03, 4, 2, 32
#: More steps for the equivariant map.
PATIENCE = 1.5
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


def images_of(space, number, rng):
    """Return upright bodies, ``(number, n, n)``."""
    return np.stack([data.random_body(space, rng).asarray() for _ in range(number)])


def learned(forward_op, network, generator):
    """Return an untrained map, which is filtered backprojection before its first step."""
    forward, adjoint = bridge.as_module(forward_op), bridge.as_module(forward_op.adjoint)
    steps = [reconstruction.MemoryStep(network(2 + MEMORY, 1 + MEMORY, generator), MEMORY, 1.0,
                                       dimension=2) for _ in range(ITERATIONS)]  # fmt: skip
    initial = bridge.as_module(operators.fbp(forward_op))
    return reconstruction.LearnedProximalGradient(forward, adjoint, steps, initial=initial)


def quality(model, y, x):
    """Return the mean PSNR."""
    with torch.no_grad():
        found = model(y).numpy()
    return float(np.mean([metrics.psnr(*pair) for pair in zip(found, x)]))


def curve(model, sets, stages, every, seed):
    """Train in stages; return ``(stages + 1, 3)``, the PSNR of training, upright, turned images."""
    pairs = data.FixedPairs(*sets["training"])
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    rows = [[quality(model, *pair) for pair in sets.values()]]
    for stage in range(stages):
        learning.train(model, pairs, steps=every, optimizer=optimizer, batch_size=2,
                       seed=100 * seed + stage, clip_norm=1.0, progress=False)  # fmt: skip
        model.eval()
        rows.append([quality(model, *pair) for pair in sets.values()])
    return np.array(rows)


def at(rows, training):
    """Return the row at which the training images are reconstructed as well as this."""
    reached = np.maximum.accumulate(rows[:, 0])
    return np.array([np.interp(training, reached, column) for column in rows.T])


def compute(size, rng, kept=None):
    """Return by network the PSNR at matched training error, ``(counts, seeds, 3)``.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
        Source of the test images; seeds are counted from zero.
    kept : Path, optional
        Folder of what an earlier run has finished, with the same source of test images.
    """
    return experiment(**SIZES[size], rng=rng, kept=kept)


def experiment(n, counts, seeds, stages, every, tests, rng, kept=None):
    """Return what `compute` returns, for any numbers of pixels, images, seeds and steps."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    forward_op = operators.normalized(operators.parallel_ray_transform(space, VIEWS))
    upright = images_of(space, tests, rng)
    turned = np.ascontiguousarray(np.rot90(upright, axes=(1, 2)))
    results = {"counts": counts} | {name: np.empty((len(counts), seeds, 3)) for name in NETWORKS}
    for row, seed in itertools.product(range(len(counts)), range(seeds)):
        few = images_of(space, counts[row], np.random.default_rng([1, seed]))
        sets = {"training": few, "upright": upright, "turned": turned}
        sets = {name: (measured(forward_op, x, k), x) for k, (name, x) in enumerate(sets.items())}
        file = kept and kept / f"{n}x{n}_{stages}x{every}_{tests}_{counts[row]}_{seed}.npz"
        curves = kept_or_new(file, lambda: curves_of(forward_op, sets, stages, every, seed))
        matched = min(rows[:, 0].max() for rows in curves.values())
        for name, rows in curves.items():
            results[name][row, seed] = at(rows, matched)
    return results


def curves_of(forward_op, sets, stages, every, seed):
    """Return the curve of each network from the same training images."""
    curves = {}
    for name, network in NETWORKS.items():
        model = learned(forward_op, network, torch.Generator().manual_seed(seed))
        length = round(stages * (PATIENCE if name == "equivariant" else 1))
        curves[name] = curve(model, sets, length, every, seed)
    return curves


def kept_or_new(file, new):
    """Return the arrays of a file, which is written first where there is none; None keeps none."""
    if file is None:
        return new()
    if not file.exists():
        unfinished = file.with_suffix(".unfinished.npz")
        np.savez(unfinished, **new())
        unfinished.replace(file)
    with np.load(file) as arrays:
        return dict(arrays)


def draw(results, path):
    """Draw the quality on upright and on turned images over the number of training images."""
    figure = Figure(figsize=(8, 3.6), layout="compressed")
    for ax, column, title in zip(figure.subplots(1, 2, sharey=True), (1, 2),
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


def differences(results):
    """Return by seed the gaps between upright and turned, and the gains of the equivariant map.

    The gain on upright images is that from the fewest training images.
    """
    found = {f"rotation_gap_{name}": (results[name][..., 1] - results[name][..., 2]).mean(0)
             for name in NETWORKS}  # fmt: skip
    gains = results["equivariant"] - results["ordinary"]
    return found | {"rotated_gain_db": gains[..., 2].mean(0),
                    "small_data_gain_db": gains[0, :, 1]}  # fmt: skip


def summary(results):
    """Return the means of `differences` over the seeds."""
    return {key: float(values.mean()) for key, values in differences(results).items()}


def claim(results):
    """Assert the claims of the figure."""
    found = summary(results)
    assert abs(found["rotation_gap_equivariant"]) <= 0.1, "the equivariant map knows the direction"
    assert found["rotation_gap_ordinary"] >= 0.3, "the ordinary map does not care for direction"
    assert found["rotated_gain_db"] >= 0.3, "equivariance gains next to nothing on turned images"


def main(size, out, kept=None):
    """Compute, draw, print, and assert the claims."""
    results = compute(size, np.random.default_rng(0), kept)
    path = out / "celledoni2021_small_data.png"
    draw(results, path)
    values = "; ".join(f"{name} {results[name][row, :, 1].mean():.2f} upright, "
                       f"{results[name][row, :, 2].mean():.2f} dB turned, from {count} images"
                       for row, count in enumerate(results["counts"]) for name in NETWORKS)
    numbers = ", ".join(f"{key} {value:.2f}" for key, value in summary(results).items())
    print(f"{values}; {numbers} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    for folder in filter(None, (arguments.out, arguments.keep)):
        folder.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out, arguments.keep)
