r"""Analytic methods meet deep learning: seven learned maps on one problem of tomography, and TV.

M. J. Ehrhardt's talk of 2023, from no operator at all to operators inside the network: AUTOMAP (Zhu
et al. 2018), a U-Net behind filtered backprojection (Jin et al. 2017), LISTA with a wavelet
dictionary (Gregor and LeCun 2010), the variational network (Hammernik et al. 2018), learned
gradient descent and the learned primal-dual method (Adler and Oktem 2017, 2018), and a deep
equilibrium (Gilton et al. 2021). All are trained on the same ellipses for equally many steps, a
short time: the question is what the operator is worth. Beside them is total variation, which needs
no training, and numbers that say how far to trust them (Antun et al. 2020): whether an image
explains the data, ``|A u - y| / |A x - y|``; how far the worst perturbation that is found moves it,
``|Phi(y + e) - Phi(y)| / eps`` with ``|e| <= eps``, the norm of the noise; and the norm of the
derivative by power iteration, where there is a derivative. The last two are lower bounds.

Claims, as means over test images: AUTOMAP, which has to learn the operator, is at least 2 dB worse
than filtered backprojection, and its misfit at least twice those of all others; the other learned
maps are at least 0.5 dB better than filtered backprojection, and the best of those that look at the
data in every step is at least 0.5 dB better than the U-Net, which never does again; TV explains the
data up to 30 % of the noise. On examined images: accuracy has a price, since all that are better
than filtered backprojection are moved at least 10 % further than it, TV at least as far as AUTOMAP
twice over; filtered backprojection, which is linear, moves by its norm, up to 5 %. The derivative
of a deep equilibrium has to be accurate here: a rough one, good enough for training, climbs less
and makes it look more stable than it is.

    python examples/figures/talk2023/analysis_meets_learning.py [smoke | paper] [--out results]
"""

import argparse
import contextlib
import warnings
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure
from torch import nn

from odl_learned import bridge, data, learning, metrics, networks, operators, reconstruction
from odl_learned.functionals import BoxConstraint
from odl_learned.reconstruction.trust.tried_maps import Spaces, norm

SIZES = {
    "smoke": {"n": 16, "pairs": 30, "tests": 5, "steps": 40, "examined": 1, "ascent": 3,
              "alphas": (1e-5, 3e-5)},
    "paper": {"n": 64, "pairs": 400, "tests": 20, "steps": 300, "examined": 3, "ascent": 15,
              "alphas": (2e-6, 4e-6, 8e-6, 1.6e-5, 3.2e-5)},
}
VIEWS, RELATIVE_NOISE, ITERATIONS, MEMORY, WIDTH = 30, 0.025, 5, 4, 16
ANALYTICAL, VARIATIONAL = "filtered backprojection", "total variation"
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
            dimension=2, initial=inverse, accuracy=1e-3, backward_accuracy=1e-1, maxiter=200),
    }  # fmt: skip


def tv_of(forward_op, pairs, alphas, size=4):
    """Return total variation with the alpha that is best on some images, and this alpha."""
    bounds = BoxConstraint(forward_op.domain, -1, 3)  # out of reach
    truth, y = pairs.truth[:size], torch.as_tensor(pairs.data[:size])
    quality = {alpha: mean_psnr(reconstruction.tv_map(forward_op, alpha, bounds, accuracy=1e-2)(y),
                                truth) for alpha in alphas}  # fmt: skip
    alpha = max(quality, key=quality.get)
    return reconstruction.tv_map(forward_op, alpha, bounds, accuracy=2e-3, maxiter=5000), alpha


@contextlib.contextmanager
def rough_limits():
    """Say nothing of limits that are not reached: in training and in an ascent some are not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the (equilibrium|derivative)")
        yield


def mean_psnr(x, truth):
    """Mean over images."""
    return float(np.mean([metrics.psnr(*pair) for pair in zip(x, truth)]))


def compute(size, rng):
    """Return quality and stability of all methods, and an image of each.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        By method ``psnr`` and ``discrepancy``, ``|A u - y| / |A x - y|``, means over the test
        images; ``worst`` and ``lipschitz``, the largest of the examined images, the latter None
        for total variation; ``again``, the worst change, found by applying the map, over the one
        reported; ``shown`` and ``moved``, the first reconstruction and its change, and the truth
        under ``"truth"``; ``alpha``, and whether total variation is ``solved``.
    """
    n, number, tests, steps, examined, ascent, alphas = SIZES[size].values()
    forward_op, inverse_op = problem(n)
    seeds = rng.integers(2**31, size=2).tolist()
    train, test = (pairs_of(forward_op, k, seed) for k, seed in zip((number, tests), seeds))
    y, truth = torch.as_tensor(test.data), torch.as_tensor(test.truth)
    spaces = Spaces(forward_op)
    noise = norm(spaces.data, spaces.simulate(truth) - y)
    tv, alpha = tv_of(forward_op, train, alphas)
    maps = {ANALYTICAL: bridge.as_module(inverse_op), VARIATIONAL: tv,
            **maps_of(forward_op, inverse_op)}
    results = {"psnr": {}, "discrepancy": {}, "again": {}, "shown": {"truth": test.truth[0]},
               "alpha": alpha, "solved": set(tv.solve(y[:examined]).reason) == {"accuracy"}}
    for name, model in maps.items():
        if list(model.parameters()):  # all but filtered backprojection and TV
            optimizer = torch.optim.Adam(model.parameters(), lr=RATES.get(name, 2e-3))
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            with rough_limits():
                learning.train(model, train, steps=steps, optimizer=optimizer, schedule=schedule,
                               batch_size=2, clip_norm=1.0, progress=False)  # fmt: skip
            model.eval()
        if isinstance(model, reconstruction.DeepEquilibrium):
            model.backward_accuracy = 1e-2  # rough derivatives train, but do not measure slopes
        with torch.no_grad():
            x = model(y)
            misfit = norm(spaces.data, spaces.simulate(x) - y)
        results["discrepancy"][name] = float((misfit / noise).mean())
        results["psnr"][name] = mean_psnr(x, test.truth)
        results["shown"][name] = x[0].numpy()
    with rough_limits():
        report = reconstruction.stability_report(
            maps, forward_op, truth[:examined], y[:examined],
            epsilon=float(noise[:examined].mean()), generator=torch.Generator().manual_seed(0),
            steps=ascent, starts=1)  # fmt: skip
    rows = report.rows
    results["worst"] = {k: float(r.worst_change.max()) / report.epsilon for k, r in rows.items()}
    results["lipschitz"] = {k: None if r.lipschitz is None else float(r.lipschitz.max())
                            for k, r in rows.items()}  # fmt: skip
    results["moved"] = {k: (r.after - r.before)[0].numpy() for k, r in rows.items()}
    with torch.no_grad():
        for name, row in rows.items():
            change = maps[name](y[:examined] + row.perturbation) - maps[name](y[:examined])
            results["again"][name] = (norm(spaces.images, change) / row.worst_change).tolist()
    return results


def columns(results, name):
    """The numbers of one method as strings."""
    slope = results["lipschitz"][name]
    return [f"{results['psnr'][name]:.1f} dB", f"{results['discrepancy'][name]:.2f}",
            f"{results['worst'][name]:.2f}", "" if slope is None else f"{slope:.2f}"]  # fmt: skip


def draw(results, path):
    """Draw an image of each method above what its worst perturbation changes, and a table."""
    figure = Figure(figsize=(11.5, 10.5), layout="constrained")
    pictures, lines = figure.subfigures(2, 1, squeeze=False, height_ratios=(8.5, 2.2)).ravel()
    axes, shown = pictures.subplots(4, 5), results["shown"]
    # Total variation may move a few pixels by more than all the others together.
    most = max(float(np.quantile(np.abs(x), 0.99)) for x in results["moved"].values())
    for number, (name, image) in enumerate(shown.items()):
        row, column = 2 * (number // 5), number % 5
        axes[row, column].imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1)
        axes[row, column].set(title=name)
        if name != "truth":
            change = axes[row + 1, column].imshow(data.to_rows(results["moved"][name]),
                                                  cmap="RdBu_r", vmin=-most, vmax=most)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
    axes[1, 0].axis("off")
    explained = "second rows: the change\nby the worst perturbation\nof the size of the noise"
    axes[1, 0].text(0.5, 0.5, explained, ha="center", va="center", transform=axes[1, 0].transAxes)
    pictures.colorbar(change, ax=axes, shrink=0.8, extend="both")
    ax = lines.subplots()
    ax.axis("off")
    ax.table([columns(results, name) for name in results["psnr"]], rowLabels=list(results["psnr"]),
             colLabels=["PSNR", "|A u - y| / |noise|", "worst |change| / |e|", "Lipschitz >="],
             loc="center", cellLoc="center", bbox=(0.2, 0, 0.7, 1))
    figure.savefig(path, dpi=100)


def claim(results):
    """Assert the claims of the figure."""
    psnr, worst, slope = results["psnr"], results["worst"], results["lipschitz"]
    assert psnr["AUTOMAP"] <= psnr[ANALYTICAL] - 2, "the operator is learned from few images"
    learned = {k: v for k, v in psnr.items() if k not in (ANALYTICAL, VARIATIONAL, "AUTOMAP")}
    assert min(learned.values()) >= psnr[ANALYTICAL] + 0.5, "a map gains next to nothing"
    assert max(learned.values()) >= learned["U-Net"] + 0.5, "looking at the data gains nothing"
    others = {k: v for k, v in results["discrepancy"].items() if k != "AUTOMAP"}
    assert results["discrepancy"]["AUTOMAP"] >= 2 * max(others.values()), "AUTOMAP explains data"
    assert abs(others[VARIATIONAL] - 1) <= 0.3, "TV does not explain the data"
    better = [worst[name] for name in (*learned, VARIATIONAL)]
    assert min(better) >= 1.1 * worst[ANALYTICAL], "accuracy comes without a price"
    assert worst[VARIATIONAL] >= 2 * worst["AUTOMAP"], "what explains no data is no calmer"
    assert abs(worst[ANALYTICAL] / slope[ANALYTICAL] - 1) <= 0.05, "a linear map has two norms"
    assert all(abs(share - 1) <= 1e-3 for shares in results["again"].values()
               for share in shares), "a change is not found again"
    assert results["solved"], "total variation is not solved"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "talk2023_analysis_meets_learning.png"
    draw(results, path)
    numbers = "; ".join(f"{name} {', '.join(columns(results, name))}" for name in results["psnr"])
    print(f"PSNR, discrepancy, worst/eps, Lipschitz: {numbers}; alpha {results['alpha']:g} "
          f"-> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
