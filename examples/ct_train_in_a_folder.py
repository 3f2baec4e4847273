r"""A training in a folder, by one process or several, that can be killed and goes on.

    min_theta  mean_i | Phi_theta(y_i) - x_i |^2,    Phi learned gradient steps from A^+ y;

the best weights on validation pairs are in the folder, beside that of the picture.

    python examples/ct_train_in_a_folder.py [smoke | paper] [--out results]
    torchrun --nproc_per_node=2 examples/ct_train_in_a_folder.py [smoke | paper] [--out results]
"""

import argparse
import contextlib
from pathlib import Path

import odl
import torch

from odl_learned import bridge, data, learning, metrics, networks, operators, plotting
from odl_learned.reconstruction import LearnedProximalGradient, MemoryStep

SIZES = {"smoke": dict(n=24, pairs=20, steps=120), "paper": dict(n=64, pairs=200, steps=1000)}


def main(n, pairs, steps, out, rank=0):
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A = operators.normalized(operators.parallel_ray_transform(X, 20))
    forward, inverse = bridge.as_module(A), bridge.as_module(operators.fbp(A))

    def ellipses(size, seed):
        return data.SimulatedPairs(lambda rng: data.random_ellipses(X, rng),
                                   lambda x, rng: data.add_white_noise(A(x), 0.01, rng), size, seed)

    generator = torch.Generator().manual_seed(0)
    steps_of_map = [MemoryStep(networks.CNN(4, 3, 8, 3, generator=generator), 2, 1.0, dimension=2)
                    for _ in range(3)]  # fmt: skip
    model = LearnedProximalGradient(forward, inverse, steps_of_map, initial=inverse)
    folder, every, validation = f"{out}_run", max(1, steps // 6), ellipses(4, seed=2)
    history = learning.train(
        model, ellipses(pairs, seed=1), steps=steps, batch_size=4, clip_norm=1.0, progress=False,
        optimizer=torch.optim.Adam(model.parameters(), lr=2e-3), folder=folder,
        validation=validation, validation_metric=metrics.psnr, validate_every=every,
        checkpoint_every=every, best=learning.Best(max))  # fmt: skip
    if rank == 0:
        before = sum(metrics.psnr(inverse(torch.from_numpy(y)), x) for y, x in validation) / 4
        plotting.learning_curves({"learned": history}, path := out / "ct_train_in_a_folder.png")
        assert history.best is not None, "nothing was validated"
        print(f"filtered backprojection {before:.2f} dB, best {history.best.value:.2f} dB after "
              f"step {history.best.step}, kept in {folder} -> {path}")
        assert history.best.value > before + 1, "training gains less than 1 dB over its start"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    launched = torch.distributed.is_torchelastic_launched()
    with learning.processes() if launched else contextlib.nullcontext((0, 1)) as (rank, _):
        main(**SIZES[arguments.size], out=arguments.out, rank=rank)
