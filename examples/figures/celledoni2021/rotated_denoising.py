r"""A denoiser that is trained on upright patches, applied to turned images.

Celledoni et al., Equivariant neural networks for inverse problems (2021): equivariance by design
in place of learning. Two DnCNN with the same number of weights, one of ordinary convolutions and
one of group convolutions, which commutes with quarter turns, are trained on a few upright patches
of MR slices with white noise, and applied to slices of others (from the package: to the other half
of the slice), upright and turned by 90, 180 and 270 degrees.

Claims: the equivariant denoiser commutes with quarter turns to 1e-6, the ordinary one differs by at
least 1 % (relative); their numbers of weights differ by at most 5 %; on turned images the
equivariant one is ahead by at least 0.3 dB, at the training error at which the ordinary one is best
for validation (`matched_training`), as a mean over images and seeds.

    python examples/figures/celledoni2021/rotated_denoising.py [smoke | paper] [--out results]
        [--data FOLDER]   brains of several subjects, mri/mri_brain_256.npz
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matched_training
import numpy as np
import torch
from matplotlib.figure import Figure

from odl_learned import conformance, data, networks
from odl_learned.networks import equivariant as eq

SIZES = {
    "smoke": {"counts": (6,), "seeds": 2, "stages": 3, "every": 35},
    "paper": {"counts": (6, 50), "seeds": 4, "stages": 8, "every": 75},
}
QUARTERS, NOISE, SIDE, BATCH, RATE = eq.Cyclic(4), 0.1, 32, 6, 2e-3
NAMES = ("ordinary", "equivariant")


def denoisers(seed):
    """Return the two networks, with 16 channels and with 8 regular fields, 32 channels."""
    generator = torch.Generator().manual_seed(seed)
    nets = (networks.DnCNN(1, 16, 5, dimension=2, generator=generator),
            eq.EquivariantDnCNN(QUARTERS, 1, 8, 5, generator=generator))  # fmt: skip
    return {name: networks.OnImages(net, dimension=2) for name, net in zip(NAMES, nets)}


class NoisyPatches(Sequence):
    """Pairs of patches with new noise in each step; `learning.train` seeds torch for each item."""

    def __init__(self, patches):
        self.patches = torch.as_tensor(patches)

    def __len__(self):
        return len(self.patches)

    def __getitem__(self, k):
        return self.patches[k] + NOISE * torch.randn(SIDE, SIDE), self.patches[k]


def slices(folder):
    """Return images for training, validation and tests, ``(N, n, n)`` each, values up to one."""
    if folder is None:  # 256 x 204 pixels, two halves: the upper one is new
        image = data.example_mr().array[:, 103:-103]
        whole = data.downsample(image[:, : image.shape[1] // 4 * 4], 4)
        whole = (whole / np.percentile(whole, 99.9)).astype(np.float32)
        n = min(whole.shape[0] // 2, whole.shape[1] // 2)
        x, y = (length // 2 for length in whole.shape)
        return (np.stack([whole[x - n : x, :n], whole[x : x + n, :n]]),
                whole[None, x - n : x, -n:], whole[None, x : x + n, -n:])  # fmt: skip
    file = folder / "mri" / "mri_brain_256.npz"
    parts = (data.read_slices(file, part, count, 2) for part, count in
             (("train", 56), ("val", 6), ("test", 9)))  # fmt: skip
    return tuple(part.astype(np.float32) for part in parts)


def patches(images, count, rng):
    """Return ``count`` squares of the images that are not empty, one image after the other."""
    found = []
    while len(found) < count:
        image = images[rng.integers(len(images))]
        i, j = rng.integers(image.shape[0] - SIDE + 1), rng.integers(image.shape[1] - SIDE + 1)
        patch = image[i : i + SIDE, j : j + SIDE]
        if patch.mean() > 0.1:
            found.append(patch)
    return np.stack(found)


def compute(size, rng, folder=None):
    """Return by network rows of `matched_training.SETS`, the PSNR, ``(counts, seeds, 4)``; errors.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
        Source of the noise of tests; seeds are counted from zero.
    folder : Path, optional
        Where the slices of several subjects are; by default one that a package brings.
    """
    counts, seeds, stages, every = SIZES[size].values()
    training, *held_out = slices(folder)
    noisy = [x + NOISE * rng.standard_normal(x.shape, np.float32) for x in held_out]
    sets = {"validation": (noisy[0], held_out[0]), "upright": (noisy[1], held_out[1])}
    sets["turned"] = tuple(np.concatenate([np.rot90(x, k, (1, 2)) for k in (1, 2, 3)])
                           for x in sets["upright"])  # fmt: skip
    results = {"counts": counts, "noisy": matched_training.quality(torch.nn.Identity(),
                                                                   *sets["upright"])}
    results |= {name: np.empty((len(counts), seeds, 4)) for name in NAMES}
    for row, count in enumerate(counts):
        for seed in range(seeds):
            own = np.random.default_rng([2, seed])
            few = patches(training, count, own)
            sets["training"] = few + NOISE * own.standard_normal(few.shape, np.float32), few
            models = denoisers(seed)
            found = matched_training.curves(models, sets, stages, every, seed, BATCH, RATE,
                                            NoisyPatches(few))  # fmt: skip
            for name, values in matched_training.matched(found).items():
                results[name][row, seed] = values
    image = torch.as_tensor(noisy[1][len(noisy[1]) // 2])
    return results | {
        "weights": {name: sum(p.numel() for p in model.parameters())
                    for name, model in models.items()},
        "errors": {name: float(conformance.equivariance_error(model, QUARTERS, image[None]))
                   for name, model in models.items()},
        "pictures": {"noisy": (image.numpy(), image.numpy())} | {
            name: seen(model, image) for name, model in models.items()},
    }  # fmt: skip


def seen(model, image):
    """Return what becomes of an image, and of the turned one, turned back."""
    with torch.no_grad():
        upright, turned = model(image[None])[0], model(QUARTERS.act(1, image)[None])[0]
    return upright.numpy(), QUARTERS.act(3, turned).numpy()


def draw(results, path):
    """Draw an image, what became of it and of the turned one, their difference, and the table."""
    figure = Figure(figsize=(9, 9.2), layout="compressed")
    axes = figure.subplots(4, 3, height_ratios=(3, 3, 3, 1.5))
    for column, (name, (upright, turned)) in enumerate(results["pictures"].items()):
        for ax, image in zip(axes[:, column], (upright, turned)):
            ax.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1)
        axes[2, column].imshow(data.to_rows(turned - upright), cmap="RdBu", vmin=-0.1, vmax=0.1)
        axes[0, column].set(title=name)
    for ax, label in zip(axes[:, 0], ("upright", "turned, and back", "difference, -0.1 to 0.1")):
        ax.set(ylabel=label)
    for ax in axes[:3].flat:
        ax.set(xticks=[], yticks=[])
    grid = axes[3, 0].get_gridspec()
    for ax in axes[3]:
        ax.remove()
    ax = figure.add_subplot(grid[3, :])
    ax.axis("off")
    ax.table(table(results), loc="center", colLabels=COLUMNS).scale(1, 1.3)
    figure.savefig(path, dpi=100)


COLUMNS = ("patches", "denoiser", "weights", "upright, dB", "turned, dB", "not commuting")


def table(results):
    """Return the rows of the table, PSNR with its spread over seeds."""
    rows = []
    for row, count in enumerate(results["counts"]):
        for name in NAMES:
            values = results[name][row, :, 2:]
            spread = values.std(0, ddof=1) if len(values) > 1 else (None, None)
            rows.append([count, name, results["weights"][name], *(
                f"{mean:.2f}" + ("" if each is None else f" ± {each:.2f}")
                for mean, each in zip(values.mean(0), spread)), f"{results['errors'][name]:.1e}"])
    return [list(map(str, row)) for row in rows]


def claim(results):
    """Assert the claims of the figure."""
    assert results["errors"]["equivariant"] <= 1e-6, "the equivariant denoiser does not commute"
    assert results["errors"]["ordinary"] >= 1e-2, "the ordinary denoiser nearly commutes"
    first, second = results["weights"].values()
    assert abs(first - second) <= 0.05 * max(first, second), "the networks are not of one size"
    found = matched_training.summary(results)
    assert found["rotated_gain_db"] >= 0.3, "equivariance gains next to nothing on turned images"


def main(size, out, folder=None):
    """Compute, draw, print, and assert the claims."""
    results = compute(size, np.random.default_rng(0), folder)
    path = out / f"celledoni2021_rotated_denoising{'' if folder is None else '_brains'}.png"
    draw(results, path)
    rows = "; ".join(f"{name} from {count} patches {upright} upright, {turned} turned"
                     for count, name, _, upright, turned, _ in table(results))
    numbers = ", ".join(f"{key} {value:.2f}"
                        for key, value in matched_training.summary(results).items())
    errors = ", ".join(f"{value:.1e}" for value in results["errors"].values())
    print(f"noisy {results['noisy']:.2f} dB; {rows}; {numbers}; not commuting {errors} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out, arguments.data)
