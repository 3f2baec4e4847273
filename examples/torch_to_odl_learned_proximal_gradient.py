r"""From torch to ODL: an unrolled network for CT comes down as an ordinary ODL operator.

    (u_{k+1}, m_{k+1}) = N_k(u_k, A^+ (A u_k - y), m_k),   u_0 = A^+ y  (filtered backprojection).

``A`` and ``A^+`` go up as modules, the networks are trained on random bodies, and the map
``R: data -> image`` comes down again: the residual ``A R(y) - y`` is an ODL expression, with a
derivative whose adjoint belongs to the weighted spaces.

    python examples/torch_to_odl_learned_proximal_gradient.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, learning, metrics, networks, operators, plotting
from odl_learned.reconstruction import LearnedProximalGradient, MemoryStep

SIZES = {
    "smoke": {"n": 32, "views": 16, "pairs": 20, "steps": 40},
    "paper": {"n": 128, "views": 40, "pairs": 100, "steps": 600},
}
RELATIVE_NOISE, MEMORY = 0.03, 4


def main(n, views, pairs, steps, out):
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.parallel_ray_transform(X, views)
    Y, fbp = A.range, operators.fbp(A, "Hann", 0.8)

    def measure(x, rng):
        exact = A(x)
        return data.add_white_noise(exact, data.noise_level_for(exact, RELATIVE_NOISE), rng)

    def bodies(size, seed):
        return data.SimulatedPairs(lambda rng: data.random_body(X, rng), measure, size, seed)

    generator = torch.Generator().manual_seed(0)
    nets = [networks.CNN(2 + MEMORY, 1 + MEMORY, 16, 3, generator=generator) for _ in range(4)]
    model = LearnedProximalGradient(bridge.as_module(A), bridge.as_module(fbp),
                                    [MemoryStep(net, MEMORY, 0.8, dimension=2) for net in nets],
                                    initial=bridge.as_module(fbp))  # fmt: skip
    learning.train(
        model, data.FixedPairs.drawn(bodies(pairs, seed=1)), steps=steps, batch_size=2,
        optimizer=torch.optim.Adam(model.parameters(), lr=3e-3), clip_norm=1.0, progress=False,
    )  # fmt: skip

    R = bridge.as_operator(model.eval(), Y, X)  # down again
    y, truth = (space.element(array) for space, array in zip((Y, X), bodies(1, seed=2)[0]))
    start, x = fbp(y), R(y)
    residual = A @ R - odl.IdentityOperator(Y)
    slope = residual.derivative(y)
    h, w = (operators.random_element(Y, np.random.default_rng(seed)) for seed in (3, 4))
    left, right = slope(h).inner(w), h.inner(slope.adjoint(w))

    before, after = metrics.psnr(start, truth), metrics.psnr(x, truth)
    path = out / "torch_to_odl_learned_proximal_gradient.png"
    captions = {"filtered backprojection": f"PSNR {before:.1f} dB",
                "learned": f"PSNR {after:.1f} dB"}  # fmt: skip
    plotting.comparison(dict(zip(captions, (start, x))), truth, path, (0, 1), captions=captions)
    print(f"PSNR {before:.2f} -> {after:.2f} dB after {steps} steps, |A R(y) - y| / |y| = "
          f"{residual(y).norm() / y.norm():.3f} -> {path}")
    assert after > before + 1, "training gains less than 1 dB over its starting point"
    assert abs(left - right) <= 1e-5 * slope(h).norm() * w.norm(), "the adjoint is none"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
