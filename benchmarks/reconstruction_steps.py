"""What a training step of an unrolled map costs, here and in deepinv.

Six proximal gradient steps ``u <- N(u - tau A^T (A u - y))`` with one network N, a DnCNN, in all of
them, mean squared error, backward, and Adam: 64 x 64 pixels, 30 views, a batch of four. The
networks have as many convolutions and parameters here and there. deepinv has its own geometry,
which rotates images, so that values are not compared; ours is ASTRA's projector as a matrix.
"""

import numpy as np
import odl
import peers
import torch
from reconstruction_training import LowPrecision
from timing import race

from odl_learned import bridge, networks, operators
from odl_learned.reconstruction import GradientStep, LearnedProximalGradient, LearnedStepSize

SIZES = {"tiny": (16, 1, 2), "full": (64, 4, 7)}  # pixels, batch, rounds
VIEWS, ITERATIONS = 30, 6
NETWORKS = {"dncnn": (5, 32), "small": (3, 16)}  # convolutions, channels


def measure(size):
    """Ratios of the times by name, in single precision; None without deepinv."""
    n, batch, rounds = SIZES[size]
    numbers = {}
    for name, (depth, width) in NETWORKS.items():
        steps = {"ours": training_step(*ours(n, depth, width, batch)),
                 "ours, bfloat16": training_step(*ours(n, depth, width, batch, LowPrecision))}
        if peers.deepinv() is not None:
            steps = {"deepinv": training_step(*theirs(n, depth, width, batch)), **steps}
        seconds = race(f"training step, DnCNN {depth} x {width}, {batch} x {n}^2", steps, rounds)
        for key, mine in ((f"step_vs_deepinv_{name}", "ours"),
                          (f"step_vs_deepinv_{name}_bfloat16", "ours, bfloat16")):
            numbers[key] = seconds[mine] / seconds["deepinv"] if "deepinv" in seconds else None
    return numbers


def training_step(model, y, truth):
    """A function that makes one step of Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6)

    def step():
        optimizer.zero_grad()
        (model(y) - truth).square().mean().backward()
        optimizer.step()

    return step


def ours(n, depth, width, batch, wrap=lambda net: net):
    """The map, data and truth."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    op = operators.normalized(operators.parallel_ray_transform(space, VIEWS))
    net = wrap(networks.DnCNN(1, width, depth, dimension=2))
    step = GradientStep(networks.OnImages(net, dimension=2), LearnedStepSize(1.0))
    model = LearnedProximalGradient(bridge.as_module(op), bridge.as_module(op.adjoint),
                                    [step] * ITERATIONS)
    return model, torch.rand(batch, *op.range.shape), torch.rand(batch, n, n)


def theirs(n, depth, width, batch):
    """The same in deepinv: a proximal gradient method, unfolded, from zero."""
    deepinv = peers.deepinv()
    angles = torch.from_numpy(np.linspace(0, 180, VIEWS, endpoint=False))
    physics = deepinv.physics.Tomography(angles=angles, img_width=n, circle=False, normalize=True)
    net = deepinv.models.DnCNN(1, 1, depth, nf=width, pretrained=None)
    truth = torch.rand(batch, 1, n, n)
    norm = float(physics.compute_norm(truth[:1]))
    unfolded = deepinv.optim.PGD(
        data_fidelity=deepinv.optim.L2(), prior=deepinv.optim.PnP(denoiser=net), unfold=True,
        max_iter=ITERATIONS, stepsize=1 / norm, trainable_params=["stepsize"])  # fmt: skip

    class Unfolded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unfolded = unfolded

        def forward(self, y):
            return self.unfolded(y, physics)

    return Unfolded(), torch.rand_like(physics.A(truth)), truth
