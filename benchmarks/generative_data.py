"""Images that the generative models of the benchmark learn from, in three splits, 32 x 32 pixels.

Phantoms of ellipses, digits, and slices of brains, whose splits have different subjects.
"""

import csv
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import affine_transform

#: Folder with real images; where it is missing, only the ellipses are there.
DATA = Path(os.environ.get("ODL_LEARNED_DATA", "../shared/data"))
SIZE = 32


class Images(NamedTuple):
    """Images ``(N, 32, 32)`` of float32 in [0, 1], for training, validation and test."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@cache
def ellipses(train: int = 30000, validation: int = 32, test: int = 100,
             size: int = SIZE) -> Images:  # fmt: skip
    """A skull of value 1/2 and, in it, Poisson(5) ellipses of values in [-0.15, 0.35].

    Semi-axes are in [0.05, 0.25] of half of the image; each pixel is a mean of 2 x 2. The mirror
    images of those for training are there, too.
    """
    parts = []
    for seed, count in enumerate((train, validation, test)):
        rng = np.random.default_rng(seed)
        parts.append(np.stack([_phantom(rng, size) for _ in range(count)]))
    return Images(_with_mirrored(parts[0]), *parts[1:])


def _phantom(rng, n):
    y, x = (np.mgrid[: 2 * n, : 2 * n] + 0.5) / n - 1
    image = np.zeros((2 * n, 2 * n))
    for k in range(1 + rng.poisson(5)):
        if k == 0:
            axes, center = (0.8, 0.6) + 0.1 * rng.random(2), 0.05 * rng.standard_normal(2)
            angle, value = 0.2 * rng.standard_normal(), 0.5
        else:
            axes, center = 0.05 + 0.2 * rng.random(2), 0.9 * rng.random(2) - 0.45
            angle, value = np.pi * rng.random(), 0.5 * (rng.random() - 0.3)
        cos, sin = np.cos(angle), np.sin(angle)
        s, t = x - center[0], y - center[1]
        rho = ((cos * s + sin * t) / axes[0]) ** 2 + ((cos * t - sin * s) / axes[1]) ** 2
        image += value * (rho <= 1)
    return _halved(image[None])[0].astype(np.float32)


@cache
def digits(train: int = 10000, validation: int = 32, test: int = 100) -> Images:
    """Digits of MNIST, 28 x 28, with a border of two pixels; the test digits are others."""
    with np.load(DATA / "digits" / "mnist.npz") as archive:
        before = archive["x_train"][: train + validation]
        after = archive["x_test"][:test]
    before, after = (np.pad(x, [(0, 0), (2, 2), (2, 2)]).astype(np.float32) / 255
                     for x in (before, after))  # fmt: skip
    return Images(before[:train], before[train:], after)


@cache
def brains(copies: int = 40, validation: int = 32, test: int = 100) -> Images:
    """Slices of brains; the subjects of the splits are different.

    There are few slices for training: each is there in many copies, turned by up to 10 degrees,
    scaled and brightened by up to a tenth, shifted by up to 2 pixels, and mirrored by chance.
    """
    folder = DATA / "mri"
    with open(folder / "mri_brain_256.csv") as table:
        rows = list(csv.DictReader(table))
    with np.load(folder / "mri_brain_256.npz") as archive:
        images = archive["images"].astype(np.float32)
    images /= np.asarray([float(row["p999"]) for row in rows], np.float32)[:, None, None]
    images = np.clip(images, 0, 1)
    while images.shape[1] > 2 * SIZE:
        images = _halved(images)
    split = np.array([row["split"] for row in rows])
    rng = np.random.default_rng(0)
    train = np.stack([_moved(image, rng) for image in images[split == "train"]
                      for _ in range(copies)])  # fmt: skip
    parts = [_halved(train)]
    for name, count in (("val", validation), ("test", test)):
        chosen = images[split == name]
        at = np.linspace(0, len(chosen) - 1, count).astype(int)
        parts.append(_halved(chosen[at]))
    return Images(*parts)


def _moved(image, rng):
    angle, scale = np.radians(rng.uniform(-10, 10)), rng.uniform(0.9, 1.1)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    center = (np.array(image.shape) - 1) / 2
    offset = center - matrix @ (center + rng.uniform(-4, 4, 2))
    moved = rng.uniform(0.9, 1.1) * affine_transform(image, matrix, offset, order=1)
    return moved[:, ::-1] if rng.random() < 0.5 else moved


def _with_mirrored(images):
    return np.concatenate([images, images[:, :, ::-1]])


def _halved(images):
    n = images.shape[1] // 2
    return images.reshape(len(images), n, 2, n, 2).mean((2, 4))
