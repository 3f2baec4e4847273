r"""Analytic methods meet deep learning: seven learned maps on one problem of tomography.

M. J. Ehrhardt's talk of 2023, from no operator at all to operators inside the network: AUTOMAP (Zhu
et al. 2018), a U-Net behind filtered backprojection (Jin et al. 2017), LISTA with a wavelet
dictionary (Gregor and LeCun 2010), the variational network (Hammernik et al. 2018), learned
gradient descent and the learned primal-dual method (Adler and Oktem 2017, 2018), and a deep
equilibrium (Gilton et al. 2021). All are trained on the same ellipses for equally many steps, a
short time: the question is what the operator is worth.

Claims, as means over test images: AUTOMAP, which has to learn the operator, is at least 2 dB worse
than filtered backprojection; all others are at least 0.5 dB better than it; the best of those that
look at the data in every step is at least 0.5 dB better than the U-Net, which never does again.

    python examples/figures/talk2023/analysis_meets_learning.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure
from torch import nn

from odl_learned import bridge, data, learning, metrics, networks, operators, reconstruction

SIZES = {
    "smoke": {"n": 16, "pairs": 30, "tests": 5, "steps": 40},
    "paper": {"n": 64, "pairs": 400, "tests": 20, "steps": 300},
}
VIEWS, RELATIVE_NOISE, ITERATIONS, MEMORY, WIDTH = 30, 0.025, 5, 4, 16
ANALYTICAL = "filtered backprojection"
RATES = {"AUTOMAP": 2e-4, "deep equilibrium": 5e-4}


def problem(n):
    """Return the ray transform, of norm one, and filtered backprojection."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    forward_op = operators.normalized(operators.parallel_ray_transform(space, VIEWS))
    return forward_op, operators.fbp(forward_op)


def pairs_of(forward_op, number, seed):
    """Return data and images of random ellipses."""
    def measure(x, rng):
        exact = forward_op(x)
        return data.add_white_noise(exact, data.noise_level_for(exact, RELATIVE_NOISE), rng)

    return data.FixedPairs.drawn(data.SimulatedPairs(
        lambda rng: data.dival_ellipses(forward_op.domain, rng), measure, number, seed))


def maps_of(forward_op, inverse_op):
    """Return the maps by name, untrained."""
    forward, inverse = bridge.as_module(forward_op), bridge.as_module(inverse_op)
    adjoint = bridge.as_module(forward_op.adjoint)
    generator = torch.Generator().manual_seed(0)
    space, data_space = forward_op.domain, forward_op.range

    def cnn(before, after, depth=3):
        return networks.CNN(before, after, WIDTH, depth, generator=generator)

    def state_steps(inputs):
        return [reconstruction.StateStep(cnn(MEMORY + inputs, MEMORY), dimension=2)
                for _ in range(ITERATIONS)]  # fmt: skip

    def unrolled(step):
        steps = [step() for _ in range(ITERATIONS)]
        return reconstruction.LearnedProximalGradient(forward, inverse, steps, initial=inverse)

    def filters():
        activations = networks.RadialBasis(WIDTH, 31, 1.5, slope=0.01)
        return reconstruction.VariationalStep(WIDTH, 5, activations, step_size(0.8), dimension=2,
                                              generator=generator)  # fmt: skip

    step_size = reconstruction.LearnedStepSize
    unet = networks.UNet(1, 1, (WIDTH, 2 * WIDTH), dimension=2, generator=generator)
    wavelet = operators.OrthogonalWavelet(space, "db2", 3)
    back = nn.Sequential(inverse, bridge.as_module(wavelet))
    denoiser = networks.ResidualCNN(1, 1, WIDTH, 3, generator=generator)
    return {
        "AUTOMAP": reconstruction.AUTOMAP(data_space.shape, space.shape, WIDTH,
                                          generator=generator),
        "U-Net": reconstruction.Postprocessing(
            inverse, networks.OnImages(networks.Residual(unet), dimension=2)),
        "LISTA": reconstruction.LearnedShrinkage(
            forward, bridge.as_module(wavelet.adjoint),
            [reconstruction.CoupledShrinkage(back, torch.full(wavelet.range.shape, 3e-3),
                                             step_size(0.8)) for _ in range(ITERATIONS)]),
        "variational network": unrolled(filters),
        "learned gradient": unrolled(lambda: reconstruction.MemoryStep(
            cnn(2 + MEMORY, 1 + MEMORY), MEMORY, 1.0, dimension=2)),
        "learned primal-dual": reconstruction.LearnedPrimalDual(
            forward, inverse, state_steps(2), state_steps(1), dual_memory=MEMORY,
            primal_memory=MEMORY, dimension=2, initial=inverse),
        "deep equilibrium": reconstruction.DeepEquilibrium(
            forward, adjoint,
            reconstruction.GradientStep(networks.OnImages(denoiser, dimension=2), step_size(1.0)),
            dimension=2, initial=inverse, accuracy=3e-2, backward_accuracy=1e-1, maxiter=200),
    }  # fmt: skip


def compute(size, rng):
    """Return quality and residuals of all methods, and an image of each.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        By method ``psnr`` and ``residual``, ``|A u - y| / |y|``, means over the test images;
        ``shown``, the first reconstruction, and the truth under ``"truth"``.
    """
    n, number, tests, steps = SIZES[size].values()
    forward_op, inverse_op = problem(n)
    seeds = rng.integers(2**31, size=2).tolist()
    train, test = (pairs_of(forward_op, k, seed) for k, seed in zip((number, tests), seeds))
    results = {"psnr": {}, "residual": {}, "shown": {"truth": test.truth[0]}}
    forward, y = bridge.as_module(forward_op), torch.as_tensor(test.data)
    for name, model in {ANALYTICAL: bridge.as_module(inverse_op),
                        **maps_of(forward_op, inverse_op)}.items():  # fmt: skip
        if name != ANALYTICAL:
            optimizer = torch.optim.Adam(model.parameters(), lr=RATES.get(name, 2e-3))
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            learning.train(model, train, steps=steps, optimizer=optimizer, schedule=schedule,
                           batch_size=2, clip_norm=1.0, progress=False)  # fmt: skip
            model.eval()
        with torch.no_grad():
            x = model(y)
            residual = (forward(x) - y).flatten(1).norm(dim=1) / y.flatten(1).norm(dim=1)
        results["residual"][name] = float(residual.mean())
        results["psnr"][name] = float(np.mean([metrics.psnr(*pair)
                                               for pair in zip(x, test.truth)]))  # fmt: skip
        results["shown"][name] = x[0].numpy()
    return results


def draw(results, path):
    """Draw an image of each method, with its quality and residual."""
    figure = Figure(figsize=(11, 8), layout="compressed")
    for ax, (name, image) in zip(figure.subplots(3, 3).flat, results["shown"].items()):
        ax.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1)
        said = "" if name == "truth" else (
            f"\n{results['psnr'][name]:.1f} dB, residual {results['residual'][name]:.3f}")
        ax.set(title=name + said, xticks=[], yticks=[])
    figure.savefig(path, dpi=110)


def claim(results):
    """Assert the claims of the figure."""
    psnr = results["psnr"]
    assert psnr["AUTOMAP"] <= psnr[ANALYTICAL] - 2, "the operator is learned from few images"
    others = {name: value for name, value in psnr.items() if name not in (ANALYTICAL, "AUTOMAP")}
    assert min(others.values()) >= psnr[ANALYTICAL] + 0.5, "a map gains next to nothing"
    assert max(others.values()) >= others["U-Net"] + 0.5, "looking at the data gains nothing"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "talk2023_analysis_meets_learning.png"
    draw(results, path)
    values = ", ".join(f"{name} {value:.2f} dB ({results['residual'][name]:.3f})"
                       for name, value in results["psnr"].items())
    print(f"PSNR (residual): {values} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
