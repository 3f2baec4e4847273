"""Symmetry by design, by averaging, by chance and by learning: what each costs, and what it gives.

All maps are learned proximal gradients through the symmetrized ray transform, trained for as many
steps on the same upright bodies.
"""

import time

import numpy as np
import odl
import torch

from odl_learned import bridge, data, learning, metrics, networks, operators, reconstruction
from odl_learned.networks import equivariant as eq

Z4, CHANNELS, NOISE = eq.Cyclic(4), 32, 0.01


def ordinary(before, after, generator):
    return networks.CNN(before, after, CHANNELS, 3, dimension=2, generator=generator)


def designed(before, after, generator):
    return eq.EquivariantCNN(Z4, before, after, CHANNELS // Z4.order, 3, generator=generator)


def averaged(before, after, generator):
    return eq.GroupAverage(ordinary(before, after, generator), Z4)


def by_chance(before, after, generator):
    return eq.RandomElement(ordinary(before, after, generator), Z4, generator)


def ways(n, images, steps, tests):
    """Yield names and ``(seconds of a step, equivariance error, PSNR upright, PSNR turned)``.

    Seconds are those of the CPU; the error is the largest of ``|R(P y) - g R(y)| / |R(y)|`` over
    test data y and quarter turns g, which move data by P.
    """
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    rays = operators.parallel_ray_transform(space, 16)
    A = operators.normalized(operators.SymmetrizedRayTransform(rays))
    moves = [(operators.SinogramTurn(rays, k), operators.QuarterTurn(space, k)) for k in range(4)]
    turns = [turn for _, turn in moves]

    def measure(x, rng):
        return data.add_white_noise(A(x), NOISE, rng)

    few = [data.random_body(space, np.random.default_rng([1, k])) for k in range(images)]
    pairs = data.FixedPairs([measure(x, np.random.default_rng([2, k])) for k, x in enumerate(few)],
                            few)
    drawn = data.SimulatedPairs(lambda rng: turns[rng.integers(4)](few[rng.integers(images)]),
                                measure, 4 * images, 3)
    held_out = data.FixedPairs.drawn(data.SimulatedPairs(
        lambda rng: data.random_body(space, rng), measure, tests, 4))
    cases = {"ordinary": (ordinary, pairs), "averaged": (averaged, pairs),
             "by chance": (by_chance, pairs),
             "augmented in data space": (ordinary, data.AugmentedPairs(pairs, moves)),
             "augmented in image space": (ordinary, data.FixedPairs.drawn(drawn)),
             "by design": (designed, pairs)}  # fmt: skip
    for name, (network, training) in cases.items():
        model = map_of(A, network)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        begin = time.process_time()
        learning.train(model, training, steps=steps, optimizer=optimizer, batch_size=2, seed=0,
                       clip_norm=1.0, progress=False)  # fmt: skip
        seconds = (time.process_time() - begin) / steps
        yield name, (seconds, *judged(model.eval(), held_out, moves))


def map_of(A, network):
    generator = torch.Generator().manual_seed(0)
    steps = [reconstruction.MemoryStep(network(4, 3, generator), 2, 1.0, dimension=2)
             for _ in range(4)]  # fmt: skip
    return reconstruction.LearnedProximalGradient(
        bridge.as_module(A), bridge.as_module(A.adjoint), steps, bridge.as_module(operators.fbp(A)))


def judged(model, pairs, moves):
    """The equivariance error, and the mean PSNR on upright and on turned data."""
    with torch.no_grad():
        found = [model(torch.as_tensor(np.stack(
            [on_data(on_data.domain.element(y)).asarray() for y in pairs.data])))
            for on_data, _ in moves]  # fmt: skip
    upright = found[0]
    error = max(float((moved - Z4.act(k, upright)).flatten(1).norm(dim=1).div(
        upright.flatten(1).norm(dim=1)).max()) for k, moved in enumerate(found) if k)  # fmt: skip
    quality = [np.mean([metrics.psnr(*pair) for pair in zip(Z4.act(-k % 4, moved).numpy(),
                                                            pairs.truth)])
               for k, moved in enumerate(found)]  # fmt: skip
    return error, float(quality[0]), float(np.mean(quality[1:]))
