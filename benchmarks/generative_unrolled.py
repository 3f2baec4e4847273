"""An unrolled network that is trained at one cell, to be used at others.

``python benchmarks/generative_unrolled.py FOLDER`` trains it on ellipses in FOLDER, where an
interrupted training goes on.
"""

import sys
from pathlib import Path

import generative_data
import torch
from generative_problems import Cell, forward_op, noise_of

from odl_learned import bridge, learning, networks, reconstruction

CELL = Cell("mri", 0.25, 0.02)
STEPS = 4000


def network(cell: Cell) -> reconstruction.LearnedProximalGradient:
    """Six steps with networks of their own and memory, as at the start of training."""
    A = forward_op(cell)
    torch.manual_seed(0)
    steps = [reconstruction.MemoryStep(networks.CNN(5, 4, 24, 3, dimension=2), memory_channels=3,
                                       step_size=1.0, dimension=2) for _ in range(6)]
    adjoint = bridge.as_module(A.adjoint)
    return reconstruction.LearnedProximalGradient(bridge.as_module(A), adjoint, steps, adjoint)


class Pairs:
    """Fresh noise on every image in every epoch, by torch's global generator."""

    def __init__(self, images: torch.Tensor, cell: Cell) -> None:
        self.images, self.cell = images, cell
        self.data = bridge.as_module(forward_op(cell))(images)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        seed = int(torch.randint(2**62, ()))
        noise = noise_of(self.cell, self.data[i : i + 1], self.cell.noise, seed)[0]
        return self.data[i] + noise, self.images[i]


def trained(images: generative_data.Images, folder: Path, steps: int = STEPS):
    """The network trained at the cell, or read where its training is complete."""
    model = network(CELL)
    optimizer, schedule = learning.adam_with_cosine(2e-3)(list(model.parameters()), steps)
    learning.train(model, Pairs(torch.from_numpy(images.train), CELL), steps=steps,
                   optimizer=optimizer, schedule=schedule, batch_size=8, clip_norm=1.0,
                   folder=folder, progress=False)  # fmt: skip
    return model.eval()


if __name__ == "__main__":
    from odl_learned.threads import limit_threads

    limit_threads(1)
    trained(generative_data.ellipses(), Path(sys.argv[1]))
