"""Measurements of the benchmark of generative models, at any sampling and noise."""

from typing import NamedTuple

import numpy as np
import odl
import torch

from odl_learned import bridge, operators
from odl_learned.regularizers.generative import Measurements

SIZE = 32
SPACE = odl.uniform_discr([-1, -1], [1, 1], (SIZE, SIZE), dtype="float32")


class Cell(NamedTuple):
    """A kind of measurement, how much of it, and the noise.

    Parameters
    ----------
    kind : str
        "mri": share of the lines; "ct": number of views; "inpainting": share of the pixels.
    amount : float
    noise : float
        Standard deviation in each entry; for tomography relative to the mean modulus of the data.
    """

    kind: str
    amount: float
    noise: float


def line_mask(share: float) -> np.ndarray:
    """Lines of k-space with a density that falls off from the center, the center always."""
    rng, distance = np.random.default_rng(3), np.abs(np.arange(SIZE) - SIZE // 2)
    density = 1 / (1 + distance / (SIZE / 10)) ** 1.5
    lines = distance <= max(1, SIZE // 32)
    while lines.sum() < round(share * SIZE):
        lines[rng.choice(SIZE, p=density / density.sum())] = True
    return np.repeat(lines[None], SIZE, 0)


def forward_op(cell: Cell) -> odl.Operator:
    """The operator of a cell, on real images."""
    if cell.kind == "mri":
        sampled = operators.SampledFourier(SPACE.complex_space, line_mask(cell.amount))
        return sampled @ odl.ComplexEmbedding(SPACE)
    if cell.kind == "ct":
        A = operators.parallel_ray_transform(SPACE, int(cell.amount))
        return float(1 / operators.operator_norm(A)) * A
    kept = np.random.default_rng(7).random((SIZE, SIZE)) < cell.amount
    return operators.mask_operator(SPACE, kept)


def simulated(cell: Cell, images: torch.Tensor, seed: int) -> Measurements:
    """Noisy measurements of images ``(N, 32, 32)``."""
    A = forward_op(cell)
    y = bridge.as_module(A)(images)
    level = cell.noise * (float(y.abs().mean()) if cell.kind == "ct" else 1.0)
    return Measurements(A, y + noise_of(cell, y, level, seed), level)


def noise_of(cell: Cell, y: torch.Tensor, level: float, seed: int) -> torch.Tensor:
    """White noise on what is measured, in both parts of complex data."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(y.shape, generator=generator)
    if y.is_complex():
        noise = torch.complex(noise, torch.randn(y.shape, generator=generator))
    if cell.kind == "mri":
        noise = noise * torch.from_numpy(line_mask(cell.amount).astype(np.float32))
    return level * noise


def psnr(images: torch.Tensor, truth: torch.Tensor) -> np.ndarray:
    """Peak signal-to-noise ratios of images in [0, 1], one for each."""
    return (-10 * torch.log10((images - truth).square().mean((1, 2)))).numpy()
