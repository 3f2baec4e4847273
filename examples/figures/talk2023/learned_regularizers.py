r"""Learned regularizers on a denoising and a CT problem: images, sizes, times and certificates.

    min_x  1/2 |A x - y|^2 + alpha R(x),

with total variation and with three regularizers that come with the package, learned by denoising
photographs and nothing else: a convex and a weakly convex ridge (Goujon, Neumayer and Unser 2023
and 2024), and total deep variation (Kobler, Effland, Kunisch and Pock 2020), which stops early on
its gradient flow. They never saw a medical image. A shoulder by magnetic resonance has noise of the
level at which they were learned; a slice of an abdomen is measured from a few views. For TV alpha
is the best for each image, in tomography that of the others, too; for denoising they have none.

Claims: the convex ridge denoises better than TV, the weakly convex ridge and total deep variation
better than it and at least 0.5 dB better than TV, and in tomography these are better than TV. The
convex ridge is certified to be convex, the weakly convex one to be as convex as it claims, and
denoising with it to be a convex problem; that total deep variation is convex is refuted.

    python examples/figures/talk2023/learned_regularizers.py [smoke | paper] [--out results]
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.figure import Figure

from odl_learned import (
    bridge,
    data,
    functionals,
    learning,
    metrics,
    operators,
    reconstruction,
    regularizers,
    solvers,
    variational,
)
from odl_learned.reconstruction import plug_and_play
from odl_learned.regularizers import certificates

SIZES = {"smoke": {"n": 32, "views": 15, "niter": 150},
         "paper": {"n": 128, "views": 40, "niter": 400}}  # fmt: skip
SIGMA, RELATIVE_NOISE = 25 / 255, 0.02
#: steps of the flow, and noise levels of regularizers in tomography
STEPS, TOMOGRAPHY_STEPS, RIDGE_LEVEL, DEEP_LEVEL = 8, 24, 0.04, 0.08
ALPHAS = {"denoising": (0.03, 0.045, 0.06, 0.075), "total variation": (5e-5, 1e-4, 2e-4, 4e-4),
          "ridge": (1.5e-3, 3e-3, 6e-3), "total deep variation": (5e-4, 1e-3, 2e-3)}  # fmt: skip
FILES = {"convex ridge": learning.CONVEX_RIDGE, "weakly convex ridge": learning.WEAKLY_CONVEX_RIDGE,
         "total deep variation": learning.DEEP_VARIATION}  # fmt: skip
ACCURACY = 1e-3  # root mean square


def problems(n, views, rng):
    """The images, operators of norm one, data, and first images of both problems."""
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float32")
    mr = data.example_mr().array[:, 103:-103]
    mr = mr[: len(mr) // n * n, : mr.shape[1] // n * n].astype(float)
    side = min(mr.shape) // n
    low = [(m - n * side) // 2 for m in mr.shape]
    mr = data.downsample(mr[low[0] : low[0] + n * side, low[1] : low[1] + n * side], side)
    shoulder = space.element(np.clip(mr / np.quantile(mr, 0.995), 0, 1))
    noisy = shoulder + SIGMA * space.element(rng.standard_normal(space.shape))
    A = operators.normalized(operators.parallel_ray_transform(space, views))
    ct = data.downsample(np.clip((data.example_ct().array + 1000) / 2000, 0, 1), 512 // n)
    slice_ = space.element(ct[:n, :n])
    exact = A(slice_)
    level = RELATIVE_NOISE * float(np.mean(exact.asarray()))
    y = exact + level * A.range.element(rng.standard_normal(A.range.shape))
    identity = odl.IdentityOperator(space)
    return {"denoising": (shoulder, identity, noisy, noisy),
            "CT": (slice_, A, y, operators.fbp(A)(y))}  # fmt: skip


def total_variation(A, y, first, alphas, niter):
    """The minimizers for all alphas, as one batch."""
    tasks = [variational.tv_problem(A, functionals.l2_fidelity(y), alpha) for alpha in alphas]
    batch = solvers.primal_dual(bridge.as_batch(tasks), accuracy=1e-3, maxiter=niter).x
    return [A.domain.element(x) for x in np.asarray(batch)]


def each(reconstruct):
    """One image for each alpha."""
    return lambda A, y, first, alphas, niter: [
        reconstruct(A, y, first, alpha, niter) for alpha in alphas]


def ridge(R):
    """The minimizer, or a stationary point where the problem is not convex."""

    def reconstruct(A, y, first, alpha, niter):
        level = SIGMA if alpha is None else RIDGE_LEVEL
        f = regularizers.RidgeRegularizer(R, A.domain, level)
        alpha = 1.0 if alpha is None else alpha
        D = functionals.LeastSquares(A, y)
        E, L = D + alpha * f, D.grad_lipschitz + alpha * f.grad_lipschitz
        accuracy = ACCURACY * math.sqrt(A.domain.size * A.domain.cell_volume)
        if isinstance(A, odl.IdentityOperator):
            return solvers.restarted_gradient(
                E, first, accuracy, niter, L, 1 - alpha * f.weak_convexity).x
        rho = max(alpha * f.weak_convexity, 1e-12 * L)
        return solvers.stationary_gradient(E, first, 0.01 * accuracy, niter, L, rho).x

    return reconstruct


def deep_variation(step):
    """The gradient flow to its time, with the data term implicit in tomography."""

    def reconstruct(A, y, first, alpha, niter):
        if alpha is None:
            flow = reconstruction.LearnedProximalGradient(
                torch.nn.Identity(), torch.nn.Identity(), [step] * STEPS, torch.nn.Identity())
            return bridge.as_operator(flow.requires_grad_(False), A.domain, A.domain)(y)
        f = regularizers.network_functional(step.regularizer, A.domain, DEEP_LEVEL)
        tau = float(step.step_size().detach()) / alpha
        return plug_and_play.descent(functionals.LeastSquares(A, y), alpha * f, first, None,
                                     TOMOGRAPHY_STEPS, tau).x

    return reconstruct


def compute(size, rng):
    """Return images, PSNR, seconds, sizes and certificates of all methods.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator
    """
    n, views, niter = SIZES[size].values()
    learned = {name: learning.load_regularizer(path) for name, path in FILES.items()}
    methods = {"total variation": total_variation} | {
        name: each(deep_variation(R) if "deep" in name else ridge(R))
        for name, R in learned.items()}
    results: dict = {"images": {}, "methods": {
        name: {"psnr": {}, "seconds": {}} for name in methods}}  # fmt: skip
    for problem, (truth, A, y, first) in problems(n, views, rng).items():
        shown = {"truth": truth.asarray(), "data": first.asarray()}
        before = metrics.psnr(first, truth, data_range=1.0)
        for name, reconstruct in methods.items():
            if problem == "denoising":
                alphas = ALPHAS["denoising"] if name == "total variation" else (None,)
            else:
                alphas = ALPHAS["ridge" if "ridge" in name else name]
            began = time.process_time()
            found = reconstruct(A, y, first, alphas, niter)
            seconds = (time.process_time() - began) / len(alphas)
            quality = [metrics.psnr(x, truth, data_range=1.0) for x in found]
            best = int(np.argmax(quality))
            shown[name] = found[best].asarray()
            results["methods"][name]["psnr"][problem] = quality[best]
            results["methods"][name]["seconds"][problem] = seconds
        results["images"][problem] = {"before": before, "shown": shown}
    for name, R in learned.items():
        results["methods"][name] |= certified(getattr(R, "regularizer", R), name)
    return results


def certified(R, name):
    """Number of parameters, what is claimed of convexity, and the verdict."""
    count = sum(p.numel() for p in R.parameters())
    R = R.double()
    modulus = -R.constants()[1] if "ridge" in name else 0.0
    verdict = certificates.certify_convexity(R, modulus, shape=(9, 8),
                                             generator=torch.Generator().manual_seed(0))
    return {"parameters": count, "modulus": modulus, "verdict": type(verdict).__name__}


def draw(results, path):
    """Draw the images of both problems and a table."""
    names = list(results["methods"])
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    axes = figure.subplots(3, 2 + len(names), gridspec_kw={"height_ratios": (1, 1, 0.6)})
    for row, (problem, found) in zip(axes, results["images"].items()):
        for axis, (name, image) in zip(row, found["shown"].items()):
            axis.imshow(data.to_rows(image), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            quality = {"truth": None, "data": found["before"]}.get(
                name, results["methods"].get(name, {}).get("psnr", {}).get(problem))
            label = "filtered backprojection" if (name, problem) == ("data", "CT") else name
            axis.set_title(label + ("" if quality is None else f"\n{quality:.2f} dB"), fontsize=10)
        row[0].set_ylabel(problem)
    grid = axes[2, 0].get_gridspec()
    for axis in axes[2]:
        axis.remove()
    table = figure.add_subplot(grid[2, :])
    table.axis("off")
    rows = [_row(name, entry) for name, entry in results["methods"].items()]
    drawn = table.table(rows, loc="center", cellLoc="center", colLabels=(
        "", "denoising", "CT", "parameters", "seconds: denoising, CT", "convexity"))
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(9)
    drawn.scale(1, 1.3)
    figure.savefig(path, dpi=110)


def _row(name, entry):
    words = {"Certified": "certified", "Refuted": "refuted", "Unknown": "unknown"}
    if "verdict" not in entry:
        claim = "convex"
    elif entry["modulus"] < 0:
        claim = f"{-entry['modulus']:.2f}-weakly convex: {words[entry['verdict']]}"
    else:
        claim = f"convex: {words[entry['verdict']]}"
    return [name, *(f"{entry['psnr'][key]:.2f} dB" for key in ("denoising", "CT")),
            f"{entry.get('parameters', 1)}",
            ", ".join(f"{entry['seconds'][key]:.1f}" for key in ("denoising", "CT")), claim]


def claim(results):
    """Assert the claims of the module's docstring."""
    methods = results["methods"]
    denoised = {name: entry["psnr"]["denoising"] for name, entry in methods.items()}
    tomography = {name: entry["psnr"]["CT"] for name, entry in methods.items()}
    least = denoised["total variation"]
    assert denoised["convex ridge"] > least, "the convex ridge denoises no better"
    for name in ("weakly convex ridge", "total deep variation"):
        assert denoised[name] >= least + 0.5, f"{name} denoises no better"
        assert denoised[name] > denoised["convex ridge"], f"{name} is no better than a convex one"
        assert tomography[name] > tomography["total variation"], f"{name} is worse than TV in CT"
    ridges = [methods[name] for name in FILES if "ridge" in name]
    assert all(entry["verdict"] == "Certified" for entry in ridges), "a ridge is not certified"
    assert -1 < ridges[1]["modulus"] < ridges[0]["modulus"] == 0, "denoising is not convex"
    assert methods["total deep variation"]["verdict"] == "Refuted", "a deep network is convex"


def main(size, out):
    results = compute(size, np.random.default_rng(0))
    path = out / "learned_regularizers.png"
    draw(results, path)
    print("; ".join(f"{name} {entry['psnr']['denoising']:.2f} and {entry['psnr']['CT']:.2f} dB"
                    for name, entry in results["methods"].items()), "->", path)
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
