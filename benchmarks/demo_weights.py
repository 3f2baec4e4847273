"""Train the weights that ship with the demonstration; writes ``odl_learned/demo/weights``.

    python benchmarks/demo_weights.py ct --data FOLDER                what ships
    python benchmarks/demo_weights.py mri --data FOLDER --keep FOLDER

The folder of ``--data`` holds ``ct/ct_slices_256.npz`` (``images`` in Hounsfield units,
``pixel_mm``, ``split``, ``patient``), ``mri/mri_brain_256.npz`` (magnitudes ``images``, ``p999``,
``split``, ``subject``) and ``natural/kodak24_gray.npz`` (``images``). Training takes the split
"train", the printed gains the split "val"; none of the patients is one of the demonstration, whose
slices come from pydicom-data. Where the slices come from, under which licenses, is said in
``odl_learned/demo/weights/README.md``.

Measurements are those of the demonstration, `demo.scenes`, of random reflections of the slices, in
the stages of `STAGES`. An image of CT is scaled with the width of the body: it is reconstructed on
[-1, 1]^2, so that one operator serves all slices. Photons are chosen such that the noise of a pixel
is that of the demonstration at 256 x 256, up to twice as many.

In MRI every pair has lines of its own, which the model reads off the data: they are zero elsewhere.
Two pairs of five are brains, two are trunks by CT whose tissues have random intensities, one is a
photograph: learned from brains alone, the gain over total variation on other parts of the body is
small. Noise of a pixel, wavelength of the artifacts and sharpness of edges, in pixels, are part of
what is learned: squares have the pixels of the slices or, half of them where the slice has so many,
those of half the resolution; the last stage is at the size of the demonstration. With
``--keep``, a training that was interrupted continues.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import odl
import torch
from reconstruction_training import LowPrecision

from odl_learned import bridge, data, learning, metrics, operators, reconstruction
from odl_learned.demo import learned, scenes

CLIP_NORM = 0.05
#: Between these numbers, the intensity of a tissue is interpolated.
HOUNSFIELD = (-900, -400, -150, -50, 20, 80, 200, 600)


class Stage(NamedTuple):
    """Training at one size: pixels of a side, updates, samples in a batch, pairs, learning rate."""

    n: int
    steps: int
    batch: int
    pairs: int
    rate: float


STAGES = {
    "ct": [Stage(64, 1500, 2, 900, 2.5e-3)],
    "mri": [Stage(128, 5000, 1, 1000, 2e-3), Stage(256, 700, 1, 200, 1e-3)],
}


class OwnLines(torch.nn.Module):
    """The unrolled method for Fourier data whose lines are where the data are not zero."""

    def __init__(self, n, steps):
        super().__init__()
        space = odl.uniform_discr([-n / 2] * 2, [n / 2] * 2, (n, n), dtype="complex64")
        fourier = operators.SampledFourier(space, np.ones((n, n)))
        self.fourier = bridge.as_module(fourier)
        back = bridge.as_module(fourier.adjoint)
        self.map = reconstruction.LearnedProximalGradient(self._sampled, lambda y: back(y), steps,
                                                          initial=lambda y: back(y))

    def _sampled(self, u):
        return self.lines * self.fourier(u)

    def forward(self, y):
        self.lines = y != 0
        return self.map(y)


def ct_model(n, steps):
    """The unrolled method on [-1, 1]^2."""
    forward_op, inverse_op = scenes.ct_operators(1.0, n, views(n))
    return learned.unrolled(scenes.Training(forward_op, inverse_op, None, None), steps)


def views(n):
    """The number of views that the demonstration has at this size."""
    return len(scenes.ct_scene(np.zeros((2 * n, 2 * n)), 1.0, n, np.random.default_rng(0))
               .forward_op.range.grid.coord_vectors[0])


def ct_pairs(folder, split, n, number, rng):
    """Sinograms, divided by the half width of the image, and images."""
    with np.load(Path(folder) / "ct" / "ct_slices_256.npz") as file:
        chosen = file["split"] == split
        slices, pixels = data.from_rows(file["images"][chosen].astype("float32")), file["pixel_mm"]
    slices, pixels = data.downsample(slices, 128 // n), pixels[chosen] * (128 // n)
    pairs = []
    for i in _rounds(len(slices), number, rng):
        photons = scenes.PHOTONS * n / 256 * 2 ** rng.random()
        scene = scenes.ct_scene(reflected(slices[i], rng), float(pixels[i]), n, rng, photons)
        half_width = 0.05 * float(pixels[i]) * 2 * n
        pairs.append((scene.data.data / np.float32(half_width), scene.truth.data))
    return data.FixedPairs(*zip(*pairs))


def mri_pairs(folder, split, n, number, rng):
    """Fourier data and complex images of squares at random places, of all kinds in turn."""
    kinds = [kind(Path(folder), split, rng)
             for kind in (brains, brains, contrasts, contrasts, photographs)]
    pairs = []
    while len(pairs) < number:
        image = next(kinds[len(pairs) % len(kinds)])
        side = n * (1 + (rng.random() < 0.5 and min(image.shape) >= 2 * n))
        i, j = (int(rng.integers(m - side + 1)) for m in image.shape)
        square = image[i : i + side, j : j + side]
        if np.mean(square > 0.15) < 0.2:
            continue  # next to nothing but background
        turned = np.rot90(reflected(square, rng), rng.integers(2))
        scene = scenes.mri_scene(np.ascontiguousarray(turned), n, rng)
        pairs.append((scene.data.data, scene.truth.data))
    return data.FixedPairs(*zip(*pairs))


def brains(folder, split, rng):
    """Magnitudes of brains without end, the brightest of them about one."""
    with np.load(folder / "mri" / "mri_brain_256.npz") as file:
        chosen = file["split"] == split
        slices, bright = data.from_rows(file["images"][chosen].astype("float32")), file["p999"]
    bright = bright[chosen]
    for k in _rounds(len(slices), None, rng):
        yield np.clip(slices[k] / bright[k], 0, None)


def contrasts(folder, split, rng):
    """Slices of trunks by computed tomography, whose tissues have random intensities."""
    with np.load(folder / "ct" / "ct_slices_256.npz") as file:
        slices = data.from_rows(file["images"][file["split"] == split].astype("float32"))
    for k in _rounds(len(slices), None, rng):
        image = np.interp(slices[k], HOUNSFIELD, [0, *rng.uniform(0.05, 1, len(HOUNSFIELD) - 1)])
        yield (image / np.quantile(image, 0.999)).astype("float32")


def photographs(folder, split, rng):
    """Photographs, the last four of them for validation."""
    with np.load(folder / "natural" / "kodak24_gray.npz") as file:
        images = data.from_rows(file["images"].astype("float32"))
    images = images[:20] if split == "train" else images[20:]
    for k in _rounds(len(images), None, rng):
        yield (images[k] / 255) ** rng.uniform(0.5, 2)


def _rounds(count, number, rng):
    """So many indices below ``count``, or without end, every one once in each round."""
    drawn = 0
    while True:
        for i in rng.permutation(count):
            if drawn == number:
                return
            yield i
            drawn += 1


def reflected(image, rng):
    """The image or one of its reflections, at random."""
    return image[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]


def train(kind, folder, out, keep):
    """Train in all stages, keep the weights, and return what was measured on the way."""
    make_model, make_pairs = {"ct": (ct_model, ct_pairs), "mri": (OwnLines, mri_pairs)}[kind]
    nets = torch.nn.ModuleList(learned.step_modules(2 if kind == "mri" else 1,
                                                    learned.SHIPPED_WIDTH))
    fast = [reconstruction.MemoryStep(LowPrecision(step.net), step.memory_channels,
                                      learned.STEP_SIZE, dimension=2) for step in nets]
    numbers = {"parameters": sum(p.numel() for p in nets.parameters())}
    for k, stage in enumerate(STAGES[kind]):
        pairs = make_pairs(folder, "train", stage.n, stage.pairs, np.random.default_rng([0, k]))
        held = make_pairs(folder, "val", stage.n, 16, np.random.default_rng([1, k]))
        model = make_model(stage.n, fast)
        optimizer = torch.optim.Adam(nets.parameters(), lr=stage.rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.rate, pct_start=0.1,
                                                       total_steps=stage.steps)
        began = time.process_time()
        history = learning.train(
            model, pairs, steps=stage.steps, optimizer=optimizer, schedule=schedule,
            batch_size=stage.batch, clip_norm=CLIP_NORM, validation=held,
            validation_metric=metrics.psnr, validate_every=max(1, stage.steps // 5),
            checkpoint=keep / f"demo_{kind}_{stage.n}.pt", progress=False,
            checkpoint_every=max(1, stage.steps // 10))  # fmt: skip
        numbers[stage.n] = {"pairs": len(pairs), "validation_db": np.round(
            history.validation, 2).tolist(), "cpu_seconds": round(time.process_time() - began)}
        print(json.dumps({stage.n: numbers[stage.n]}), flush=True)
        out.mkdir(parents=True, exist_ok=True)
        torch.save(nets.state_dict(), out / f"{kind}.pt")
    return numbers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("ct", "mri"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="folder for the states of the training")
    parser.add_argument("--out", type=Path, default=learned.WEIGHTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder) if arguments.keep is None else arguments.keep
        keep.mkdir(parents=True, exist_ok=True)
        print(json.dumps(train(arguments.kind, arguments.data, arguments.out, keep)))
