"""The learned method: an unrolled proximal gradient, trained on phantoms on the spot.

``u_{k+1}, m_{k+1} = N_k(u_k, A^+ (A u_k - y), m_k)`` from ``u_0 = A^+ y``. Preconditioning the
gradient by ``A^+`` in place of ``A*`` makes the iteration independent of the resolution, and the
networks, trained at half of it, are used in full.
"""

import time

import torch

from odl_learned import data, learning, networks, reconstruction
from odl_learned.bridge import as_module, as_operator
from odl_learned.demo.methods import Result

ITERATIONS, MEMORY, WIDTH, DEPTH = 6, 4, 16, 3
STEP_SIZE, LEARNING_RATE, CLIP_NORM = 0.8, 2.5e-3, 0.05


def learned_proximal_gradient(scene, steps, pairs, checkpoint):
    """Train on phantoms, bring the map back as an ODL operator, and apply it to the data.

    Parameters
    ----------
    scene : Scene
    steps, pairs : int
        Numbers of updates and of phantoms.
    checkpoint : path
        Where an interrupted training continues.
    """
    start = time.perf_counter()
    training = scene.training()
    simulated = data.SimulatedPairs(training.truth, training.measure, pairs, seed=1)
    model = unrolled(training, step_modules(training))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    learning.train(model, data.FixedPairs.drawn(simulated), steps=steps, optimizer=optimizer,
                   schedule=schedule, clip_norm=CLIP_NORM, checkpoint=checkpoint,
                   checkpoint_every=max(1, steps // 4))
    reconstruct = as_operator(unrolled(scene, model.steps).eval(), scene.forward_op.range,
                              scene.forward_op.domain)
    x = reconstruct(scene.data)
    return Result("learned proximal gradient", x, time.perf_counter() - start, ITERATIONS,
                  f"{steps} steps")


def unrolled(where, steps):
    """The reconstruction map with the operators of a scene or a training."""
    inverse = as_module(where.inverse_op)
    return reconstruction.LearnedProximalGradient(as_module(where.forward_op), inverse, steps,
                                                  initial=inverse)


def step_modules(training):
    """One small convolutional network per iteration."""
    generator = torch.Generator().manual_seed(0)
    channels = 2 if training.forward_op.domain.is_complex else 1
    nets = [networks.CNN(2 * channels + MEMORY, channels + MEMORY, WIDTH, DEPTH,
                         generator=generator)
            for _ in range(ITERATIONS)]
    return [reconstruction.MemoryStep(net, MEMORY, STEP_SIZE, dimension=2) for net in nets]
