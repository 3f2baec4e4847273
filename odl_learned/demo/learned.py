"""The learned method: an unrolled proximal gradient, with weights that ship or trained on the spot.

``u_{k+1}, m_{k+1} = N_k(u_k, A^+ (A u_k - y), m_k)`` from ``u_0 = A^+ y``. Preconditioning the
gradient by ``A^+`` in place of ``A*`` makes the iteration independent of the resolution, and the
networks, trained at half of it or less, are used in full.
"""

import pathlib
import time

import torch

from odl_learned import data, learning, networks, reconstruction
from odl_learned.bridge import as_module, as_operator
from odl_learned.demo.methods import Result

ITERATIONS, MEMORY, DEPTH, STEP_SIZE = 6, 4, 3, 0.8
SHIPPED_WIDTH, WIDTH = 32, 16
LEARNING_RATE, CLIP_NORM = 2.5e-3, 0.05
WEIGHTS = pathlib.Path(__file__).parent / "weights"


def shipped_reconstruction(scene):
    """Reconstruct by the weights in the folder ``weights``, learned from other patients.

    ``benchmarks/demo_weights.py`` makes them and names the slices.
    """
    start = time.perf_counter()
    steps = step_modules(1 + scene.forward_op.domain.is_complex, SHIPPED_WIDTH)
    state = torch.load(WEIGHTS / f"{scene.name}.pt", weights_only=True)
    torch.nn.ModuleList(steps).load_state_dict(state)
    return _result(scene, steps, start, "weights that ship")


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
    channels = 1 + training.forward_op.domain.is_complex
    model = unrolled(training, step_modules(channels, WIDTH))
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    learning.train(model, data.FixedPairs.drawn(simulated), steps=steps, optimizer=optimizer,
                   schedule=schedule, clip_norm=CLIP_NORM, checkpoint=checkpoint,
                   checkpoint_every=max(1, steps // 4))
    return _result(scene, model.steps, start, f"{steps} steps")


def _result(scene, steps, start, how):
    reconstruct = as_operator(unrolled(scene, steps).eval(), scene.forward_op.range,
                              scene.forward_op.domain)
    x = reconstruct(scene.data)
    return Result("learned proximal gradient", x, time.perf_counter() - start, ITERATIONS, how)


def unrolled(where, steps):
    """The reconstruction map with the operators of a scene or a training."""
    inverse = as_module(where.inverse_op)
    return reconstruction.LearnedProximalGradient(as_module(where.forward_op), inverse, steps,
                                                  initial=inverse)


def step_modules(channels, width):
    """One small convolutional network per iteration; two channels for complex images."""
    generator = torch.Generator().manual_seed(0)
    nets = [networks.CNN(2 * channels + MEMORY, channels + MEMORY, width, DEPTH,
                         generator=generator)
            for _ in range(ITERATIONS)]
    return [reconstruction.MemoryStep(net, MEMORY, STEP_SIZE, dimension=2) for net in nets]
