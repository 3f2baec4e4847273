r"""Train a learned primal-dual for CT, and use it in ODL as an operator.

    h_{k+1} = h_k + D_k(h_k, A f_k^(2), y),    f_{k+1} = f_k + P_k(f_k, A^+ h_{k+1}^(1)),

from ``f_0 = A^+ y`` (filtered backprojection), with small networks D_k and P_k between operators of
ODL. ``bridge.as_operator`` makes an operator of it, whose derivative has an adjoint.

    python examples/torch_to_odl_learned_primal_dual.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, learning, metrics, networks, operators, plotting
from odl_learned.reconstruction import LearnedPrimalDual, StateStep

SIZES = {
    "smoke": {"n": 32, "pairs": 20, "steps": 60},
    "paper": {"n": 64, "pairs": 400, "steps": 1000},
}
VIEWS, RELATIVE_NOISE, ITERATIONS, MEMORY = 30, 0.025, 4, 4


def main(n, pairs, steps, out):
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(X, VIEWS))
    Y, fbp = A.range, operators.fbp(A)

    def measure(x, rng):
        exact = A(x)
        return data.add_white_noise(exact, data.noise_level_for(exact, RELATIVE_NOISE), rng)

    def ellipses(size, seed):
        return data.SimulatedPairs(lambda rng: data.dival_ellipses(X, rng), measure, size, seed)

    generator = torch.Generator().manual_seed(0)

    def learned_steps(inputs):  # s <- s + N(s, inputs), one small network per iteration
        return [StateStep(networks.CNN(MEMORY + inputs, MEMORY, 16, 3, generator=generator),
                          dimension=2) for _ in range(ITERATIONS)]  # fmt: skip

    inverse = bridge.as_module(fbp)
    model = LearnedPrimalDual(
        bridge.as_module(A), inverse, dual_steps=learned_steps(2), primal_steps=learned_steps(1),
        dual_memory=MEMORY, primal_memory=MEMORY, dimension=2, initial=inverse)  # fmt: skip
    learning.train(
        model, data.FixedPairs.drawn(ellipses(pairs, seed=1)), steps=steps, batch_size=2,
        optimizer=torch.optim.Adam(model.parameters(), lr=2e-3), clip_norm=1.0, progress=False,
    )  # fmt: skip

    R = bridge.as_operator(model.eval(), Y, X)
    y, truth = (space.element(array) for space, array in zip((Y, X), ellipses(1, seed=2)[0]))
    start, x = fbp(y), R(y)
    slope = (A @ R).derivative(y)  # how the simulated data follow the measured ones
    h, w = (operators.random_element(Y, np.random.default_rng(seed)) for seed in (3, 4))
    left, right = slope(h).inner(w), h.inner(slope.adjoint(w))

    before, after = metrics.psnr(start, truth), metrics.psnr(x, truth)
    path = out / "torch_to_odl_learned_primal_dual.png"
    captions = {"filtered backprojection": f"PSNR {before:.1f} dB",
                "learned primal-dual": f"PSNR {after:.1f} dB"}  # fmt: skip
    plotting.comparison(dict(zip(captions, (start, x))), truth, path, (0, 1), captions=captions)
    print(f"PSNR {before:.2f} -> {after:.2f} dB after {steps} steps, |A R(y) - y| / |y| = "
          f"{(A(x) - y).norm() / y.norm():.3f} -> {path}")
    assert after > before + 1, "training gains less than 1 dB over its starting point"
    assert abs(left - right) <= 1e-5 * slope(h).norm() * w.norm(), "the adjoint is none"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
