r"""Compressed sensing in magnetic resonance imaging: which frequencies to measure, and what for.

    TV:        min_u  1/2 |S F u - y|^2 + alpha int |grad u|,  |u| <= 1.5,
    wavelets:  min_u  1/2 |S F u - y|^2 + alpha |W u|_1

(Lustig, Donoho and Pauly, Sparse MRI, Magn. Reson. Med. 58 (2007)) for a complex image from a
quarter of its noisy frequencies ``y``: the lowest lines, random lines, spokes, or single ones with
a density that decays from the center. Zero filling is ``F* y``, the solution for alpha = 0.

Claims, each method with the best of a grid of parameters for each pattern:

* for zero filling no pattern is better than the lowest lines, which leave out least of the energy;
* from single frequencies of variable density, total variation gains at least 4 dB over zero filling
  and wavelets at least 1.5 dB: what is missing there looks like noise;
* from the lowest lines alone neither gains half as much: what is missing there is resolution;
* so measurement and method belong together: total variation is best with variable density, by at
  least 2 dB over the lowest lines;
* all objectives are within 2 % of their minima, by duality.

    python examples/figures/talk2023/compressed_sensing_mri.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import bridge, data, metrics, solvers
from odl_learned.functionals import MagnitudeBound, WaveletL1, l2_fidelity
from odl_learned.operators import OrthogonalWavelet, SampledFourier
from odl_learned.variational import tv_problem

SIZES = {"smoke": {"n": 48, "fraction": 0.3, "nlevels": 3},
         "paper": {"n": 128, "fraction": 0.25, "nlevels": 4}}  # fmt: skip
NOISE_LEVEL, ACCURACY, NITER = 0.02, 0.02, 200
ALPHAS = {"TV": (2e-3, 7e-3, 2e-2), "wavelets": (7e-3, 2e-2, 5e-2)}
LOW, VARIABLE = "lowest lines", "variable density"


def patterns(n, fraction, rng):
    """Masks by name, with as equal numbers of frequencies as they can have."""
    low = np.zeros((n, n), dtype=bool)
    lines = round(fraction * n)
    low[n // 2 - lines // 2:][:lines] = True
    shares = {spokes: data.radial_mask((n, n), spokes).mean() for spokes in range(2, n)}
    spokes = min(shares, key=lambda number: abs(shares[number] - fraction))
    return {
        LOW: low,
        "random lines": data.cartesian_mask((n, n), fraction, 0.06, rng),
        "spokes": data.radial_mask((n, n), spokes),
        VARIABLE: data.variable_density_mask((n, n), fraction, 3, rng, center_fraction=0.08),
    }


def total_variation(forward_ops, measured, alpha):
    """Reconstructions of all patterns at once, and their relative gaps."""
    bound = MagnitudeBound(forward_ops[0].domain, 1.5)
    problem = bridge.as_batch([tv_problem(A, l2_fidelity(y), alpha, bound)
                               for A, y in zip(forward_ops, measured, strict=True)])  # fmt: skip
    start = torch.zeros(len(measured), *bound.domain.shape, dtype=torch.complex64)
    solution = solvers.primal_dual(problem, start, ACCURACY, maxiter=5000)
    return solution.x.numpy(), solution.gap / problem.value(solution.x)


def wavelets(forward_ops, measured, alpha, nlevels):
    """Reconstructions of all patterns at once, and their relative gaps."""
    space = forward_ops[0].domain
    W = OrthogonalWavelet(space, "db2", nlevels)
    sparsity = alpha * WaveletL1(space, "db2", nlevels)
    fidelities = [l2_fidelity(y) * A for A, y in zip(forward_ops, measured, strict=True)]
    start = np.stack([A.adjoint(y).data for A, y in zip(forward_ops, measured, strict=True)])
    solution = solvers.fista(bridge.as_batch(fidelities), bridge.as_batch(sparsity),
                             torch.from_numpy(start), None, NITER, lipschitz=1.0)  # fmt: skip
    images, gaps = solution.x.numpy(), []
    for A, y, D, image in zip(forward_ops, measured, fidelities, images, strict=True):
        u = space.element(image)
        p = y - A(u)  # The dual problem: max <p, y> - |p|^2 / 2 where |W A* p| <= alpha.
        p *= min(1.0, alpha / float(np.abs(W(A.adjoint(p)).data).max()))
        value = D(u) + sparsity(u)
        gaps.append((value - p.inner(y).real + p.norm() ** 2 / 2) / value)
    return images, np.array(gaps)


def compute(size, rng):
    """Return images and numbers.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``truth``; ``masks`` by name; and by method ``images``, the best one of each pattern,
        ``psnr``, arrays over alphas and patterns, and ``gap``, the largest relative duality gap.
    """
    n, fraction, nlevels = SIZES[size].values()
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="complex64")
    truth = data.random_body(space, rng) * data.smooth_phase(space, rng)
    masks = patterns(n, fraction, rng)
    full = SampledFourier(space, np.ones((n, n)))
    noisy = data.add_white_noise(full(truth), NOISE_LEVEL, rng)
    forward_ops = [SampledFourier(space, mask) for mask in masks.values()]
    measured = [A.range.element(A.weights * noisy.data) for A in forward_ops]

    zero_filling = np.stack([A.adjoint(y).data for A, y in zip(forward_ops, measured)])
    found = {
        "zero filling": [(zero_filling, np.zeros(len(masks)))],
        "wavelets": [wavelets(forward_ops, measured, alpha, nlevels)
                     for alpha in ALPHAS["wavelets"]],
        "TV": [total_variation(forward_ops, measured, alpha) for alpha in ALPHAS["TV"]],
    }  # fmt: skip
    results = {"truth": truth.data, "masks": masks, "images": {}, "psnr": {}, "gap": {}}
    for method, runs in found.items():
        psnr = np.array([[metrics.psnr(u, truth.data) for u in images] for images, _ in runs])
        best = psnr.argmax(axis=0)
        results["images"][method] = [runs[i][0][k] for k, i in enumerate(best)]
        results["psnr"][method] = psnr
        results["gap"][method] = max(gaps.max() for _, gaps in runs)
    return results


def draw(results, path):
    """Draw a column for each pattern: frequencies and reconstructions; and all numbers."""
    masks, psnr = results["masks"], {m: q.max(axis=0) for m, q in results["psnr"].items()}
    figure = Figure(figsize=(12.2, 9.4), layout="constrained")
    grid = figure.add_gridspec(4, 5, width_ratios=[1.3, 1, 1, 1, 1])
    show(figure.add_subplot(grid[0, 0]), np.abs(results["truth"]), "truth, magnitude", 0.9)
    for column, (name, mask) in enumerate(masks.items()):
        show(figure.add_subplot(grid[0, 1 + column]), mask, f"{name}, {mask.mean():.0%}", 1)
        for row, (method, images) in enumerate(results["images"].items()):
            title = f"{method}, {psnr[method][column]:.1f} dB"
            show(figure.add_subplot(grid[1 + row, 1 + column]), np.abs(images[column]), title, 0.9)
    ax = figure.add_subplot(grid[1:, 0])
    places = np.arange(len(masks))[::-1]
    for i, (method, color) in enumerate(zip(psnr, ("0.65", "#9ecae1", "#08519c"), strict=True)):
        ax.barh(places + 0.27 * (1 - i), psnr[method], 0.25, color=color, label=method)
    ax.set_yticks(places, [name.replace(" ", "\n") for name in masks], fontsize=8)
    ax.set(xlabel="PSNR in dB", xlim=(15, None), ylim=(-0.5, 4.1))
    ax.legend(fontsize=8, loc="upper right")
    ax.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=150)


def show(ax, image, title, largest):
    """Draw one image."""
    ax.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=largest, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=10)


def claim(results):
    """Assert the claims of the figure."""
    index = {name: i for i, name in enumerate(results["masks"])}
    shares = [mask.mean() for mask in results["masks"].values()]
    assert max(shares) - min(shares) < 0.02, "the patterns differ in size"
    best = {method: psnr.max(axis=0) for method, psnr in results["psnr"].items()}
    zero, low, variable = best["zero filling"], index[LOW], index[VARIABLE]
    assert zero[low] >= zero.max(), "zero filling does not need low frequencies"
    for method, least in (("TV", 4.0), ("wavelets", 1.5)):
        gain = best[method] - zero
        assert gain[variable] >= least, f"{method} gains too little from variable density"
        assert gain[low] <= gain[variable] / 2, f"{method} gains from the lowest lines"
    assert best["TV"][variable] >= best["TV"].max(), "TV has a better pattern"
    assert best["TV"][variable] >= best["TV"][low] + 2, "the pattern makes no difference"
    for method in ("TV", "wavelets"):
        gap = results["gap"][method]
        assert 0 <= gap <= ACCURACY, f"{method} is further from the minimum than it should be"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "talk2023_compressed_sensing_mri.png"
    draw(results, path)
    lines = []
    for method, psnr in results["psnr"].items():
        numbers = ", ".join(f"{best:.1f}" for best in psnr.max(axis=0))
        lines.append(f"{method} {numbers} dB (gap {results['gap'][method]:.1e})")
    print(f"{', '.join(results['masks'])}: {'; '.join(lines)} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
