r"""A network for CT that has seen noisy sinograms only: split views (Noise2Inverse).

    min_theta  | Phi(3/2 M_J y) - R(3 M_J' y) |^2,    Phi = N R,

with filtered backprojection R: from two thirds of the views, J, the network N predicts what the
last third, J', shows. The noise of the two sides is independent, so that nothing but the image can
be predicted. Supervised training of the same network, with the truth, is the bound.

    python examples/ct_learned_without_truth.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import odl
import torch

from odl_learned import bridge, data, learning, metrics, networks, operators, plotting
from odl_learned.learning.objectives import Noise2Inverse, ViewSplit
from odl_learned.reconstruction import Postprocessing

SIZES = {
    "smoke": {"n": 32, "views": 96, "pairs": 20, "steps": 100, "noise": 0.25},
    "paper": {"n": 64, "views": 96, "pairs": 100, "steps": 500, "noise": 0.1},
}


def main(n, views, pairs, steps, noise, out):
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.parallel_ray_transform(X, views)
    fbp = operators.fbp(A, "Ram-Lak")

    def measure(x, rng):
        exact = A(x)
        return data.add_white_noise(exact, data.noise_level_for(exact, noise), rng)

    def bodies(size, seed):
        return data.FixedPairs.drawn(
            data.SimulatedPairs(lambda rng: data.random_body(X, rng), measure, size, seed))

    def learned(pairs, loss):
        net = networks.ResidualCNN(1, 1, 16, 4, generator=torch.Generator().manual_seed(0))
        model = Postprocessing(bridge.as_module(fbp), networks.OnImages(net, dimension=2))
        learning.train(model, pairs, loss=loss, steps=steps, batch_size=4, progress=False,
                       optimizer=torch.optim.Adam(model.parameters(), lr=3e-3))  # fmt: skip
        return bridge.as_operator(model.eval(), A.range, X)

    training, (y, truth) = bodies(pairs, seed=1), bodies(1, seed=2)[0]
    y, truth = A.range.element(y), X.element(truth)
    split = Noise2Inverse(bridge.as_module(fbp), ViewSplit(3))
    images = {"filtered backprojection": fbp(y),
              "without truth": learned(training.data, split)(y),
              "with truth": learned(training, learning.mean_squared_error)(y)}  # fmt: skip

    before, without, supervised = (metrics.psnr(x, truth) for x in images.values())
    captions = dict(zip(images, (f"PSNR {v:.1f} dB" for v in (before, without, supervised))))
    path = out / "ct_learned_without_truth.png"
    plotting.comparison(images, truth, path, (0, 1), captions=captions)
    print(f"PSNR {before:.2f} -> {without:.2f} dB without truth, {supervised:.2f} dB with it, "
          f"after {steps} steps -> {path}")
    assert without > before + 1, "training gains less than 1 dB over its starting point"
    assert without > supervised - 2, "more than 2 dB worse than with the truth"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
