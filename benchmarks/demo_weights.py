"""Train the weights that ship with the demonstration; writes ``odl_learned/demo/weights``.

    python benchmarks/demo_weights.py ct --data FOLDER --steps 1500        what ships
    python benchmarks/demo_weights.py mri --data FOLDER --steps 1500 1000

The folder holds ``ct/ct_slices_256.npz`` (``images`` in Hounsfield units, ``pixel_mm``, ``split``,
``patient``) and ``mri/mri_brain_256.npz`` (magnitudes ``images``, ``p999``, ``split``,
``subject``). Training takes the split "train", the printed gains the split "val"; none of the
patients is one of the demonstration, whose slices come from pydicom-data. Where the slices come
from, under which licenses, is said in ``odl_learned/demo/weights/README.md``.

Measurements are those of the demonstration, `demo.scenes`, of random reflections of the slices, at
64 x 64 and then 128 x 128 pixels. An image of CT is scaled with the width of the body: it is
reconstructed on [-1, 1]^2, so that one operator serves all slices. Photons are chosen such that the
noise of a pixel is that of the demonstration at 256 x 256, up to twice as many. In MRI every pair
has lines of its own, which the model reads off the data: they are zero elsewhere.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, learning, metrics, operators, reconstruction
from odl_learned.demo import learned, scenes

SIDES, BATCHES, COPIES = (64, 128), (2, 1), (3, 2)
LEARNING_RATES, CLIP_NORM = (2.5e-3, 1.5e-3), 0.05


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


def ct_pairs(folder, split, n, copies, rng):
    """Sinograms, divided by the half width of the image, and images."""
    with np.load(Path(folder) / "ct" / "ct_slices_256.npz") as file:
        chosen = file["split"] == split
        slices, pixels = data.from_rows(file["images"][chosen].astype("float32")), file["pixel_mm"]
    slices, pixels = data.downsample(slices, 128 // n), pixels[chosen] * (128 // n)
    pairs = []
    for hounsfield, pixel_mm in [*zip(slices, pixels)] * copies:
        photons = scenes.PHOTONS * n / 256 * 2 ** rng.random()
        scene = scenes.ct_scene(reflected(hounsfield, rng), float(pixel_mm), n, rng, photons)
        half_width = 0.05 * float(pixel_mm) * 2 * n
        pairs.append((scene.data.data / np.float32(half_width), scene.truth.data))
    return data.FixedPairs(*zip(*pairs))


def mri_pairs(folder, split, n, copies, rng):
    """Fourier data and complex images, of squares of twice the side at random places."""
    with np.load(Path(folder) / "mri" / "mri_brain_256.npz") as file:
        chosen = file["split"] == split
        slices, bright = data.from_rows(file["images"][chosen].astype("float32")), file["p999"]
    pairs = []
    for slice, scale in [*zip(slices, bright[chosen])] * copies:
        i, j = rng.integers(256 - 2 * n + 1, size=2)
        square = np.clip(slice[i : i + 2 * n, j : j + 2 * n] / scale, 0, None)
        if np.mean(square > 0.15) < 0.2:
            continue  # next to nothing but background
        scene = scenes.mri_scene(reflected(square, rng), n, rng)
        pairs.append((scene.data.data, scene.truth.data))
    return data.FixedPairs(*zip(*pairs))


def reflected(image, rng):
    """The image or one of its reflections, at random."""
    return image[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]


def train(kind, folder, steps, out):
    """Train at both sizes, keep the weights, and return gains over the analytical method."""
    make_model, make_pairs = {"ct": (ct_model, ct_pairs), "mri": (OwnLines, mri_pairs)}[kind]
    rng = np.random.default_rng(0)
    nets = torch.nn.ModuleList(learned.step_modules(2 if kind == "mri" else 1,
                                                    learned.SHIPPED_WIDTH))
    numbers = {"parameters": sum(p.numel() for p in nets.parameters())}
    for n, number, batch, copies, rate in zip(SIDES, steps, BATCHES, COPIES, LEARNING_RATES):
        pairs = make_pairs(folder, "train", n, copies, rng)
        held = make_pairs(folder, "val", n, 1, np.random.default_rng(1))
        held = [held[i] for i in range(0, len(held), len(held) // 16)]
        model = make_model(n, list(nets))
        optimizer = torch.optim.Adam(nets.parameters(), lr=rate, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=number,
                                                       pct_start=0.1)
        began = time.process_time()
        history = learning.train(
            model, pairs, steps=number, optimizer=optimizer, schedule=schedule, batch_size=batch,
            clip_norm=CLIP_NORM, validation=held, validation_metric=metrics.psnr,
            validate_every=max(1, number // 5), progress=False)  # fmt: skip
        numbers[n] = {"pairs": len(pairs), "cpu_seconds": round(time.process_time() - began),
                      "validation_db": np.round(history.validation, 2).tolist()}
        print(json.dumps(numbers[n]), flush=True)
        out.mkdir(parents=True, exist_ok=True)
        torch.save(nets.state_dict(), out / f"{kind}.pt")
    return numbers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("ct", "mri"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="+", default=(1500, 1000),
                        help="at 64 x 64 pixels, and then at 128 x 128")
    parser.add_argument("--out", type=Path, default=learned.WEIGHTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(train(arguments.kind, arguments.data, arguments.steps, arguments.out)))
