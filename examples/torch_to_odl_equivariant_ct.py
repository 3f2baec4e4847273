r"""From torch to ODL: a learned map for CT that commutes with quarter turns, ``R(P y) = g R(y)``.

The steps of a learned proximal gradient are equivariant networks, and the symmetrized ray transform
S turns data by P where g turns images, up to rounding. Upright images suffice for training.

    python examples/torch_to_odl_equivariant_ct.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import odl
import torch

from odl_learned import bridge, data, learning, metrics, operators, plotting
from odl_learned.networks.equivariant import Cyclic, EquivariantCNN
from odl_learned.reconstruction import LearnedProximalGradient, MemoryStep

SIZES = {"smoke": {"n": 32, "views": 16, "pairs": 20, "steps": 30},
         "paper": {"n": 64, "views": 30, "pairs": 50, "steps": 400}}  # fmt: skip


def main(n, views, pairs, steps, out):
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    S = operators.SymmetrizedRayTransform(operators.parallel_ray_transform(X, views))
    fbp = operators.fbp(S, "Hann", 0.8)

    def measure(x, rng):
        return data.add_white_noise(S(x), data.noise_level_for(S(x), 0.03), rng)

    bodies = data.FixedPairs.drawn(data.SimulatedPairs(
        lambda rng: data.random_body(X, rng), measure, pairs + 1, seed=1))
    seed = torch.Generator().manual_seed(0)
    nets = [EquivariantCNN(Cyclic(4), 6, 5, 4, 3, generator=seed) for _ in range(3)]
    model = LearnedProximalGradient(
        bridge.as_module(S), bridge.as_module(fbp),
        [MemoryStep(net, 4, 0.8, dimension=2) for net in nets], bridge.as_module(fbp))  # fmt: skip
    learning.train(
        model, [bodies[k] for k in range(pairs)], steps=steps, batch_size=2, clip_norm=1.0,
        progress=False, optimizer=torch.optim.Adam(model.parameters(), lr=3e-3))  # fmt: skip
    R = bridge.as_operator(model.eval(), S.range, X)
    y, truth = (space.element(array) for space, array in zip((S.range, X), bodies[pairs]))
    g, P = operators.QuarterTurn(X, 1), operators.SinogramTurn(S.forward_op, 1)
    x, turned = R(y), (g.inverse @ R @ P)(y)
    error = (turned - x).norm() / x.norm()
    gain = metrics.psnr(x, truth) - metrics.psnr(fbp(y), truth)
    path = out / "torch_to_odl_equivariant_ct.png"
    plotting.comparison({"backprojection": fbp(y), "R(y)": x, "turned": turned}, truth, path)
    print(f"gain {gain:.2f} dB, |g^-1 R(P y) - R(y)| / |R(y)| = {error:.1e} -> {path}")
    assert error <= 1e-6, "the map does not commute with quarter turns"
    assert gain > 1, "training gains less than 1 dB over filtered backprojection"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
