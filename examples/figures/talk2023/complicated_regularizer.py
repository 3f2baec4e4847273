r"""A regularizer with three parameters: what each of them does, and what it costs.

    min_x  1/2 |x - y|^2 + alpha ( int sqrt(|grad x|^2 + nu^2) + xi / 2 |x|^2 )

is total variation made smooth and strongly convex (Ehrhardt and Roberts, Inexact derivative-free
optimization for bilevel learning, J. Math. Imaging Vis. 63 (2021), section 4). Gradient descent
with acceleration certifies its solutions, ``|x_k - x| <= |grad f(x_k)| / mu`` with
``mu = 1 + alpha xi`` (Nesterov 2004), in about ``sqrt(L / mu)`` steps, ``L = mu + 8 alpha / nu``.

Claims, when one parameter varies around a good choice, and up to the certified accuracy:

* alpha has to be chosen between too little and too much: both ends lose at least 4 dB;
* nu and xi have to be small enough: at their large ends the image is worse by at least 4 dB, at
  their small ends at most 0.3 dB worse than at best;
* a small nu costs time: at least five times the iterations of a large one;
* the solution tends to that of total variation, ``|x_nu - x_0|^2 <= alpha nu area / mu``, since
  the two energies, strongly convex, differ by numbers from zero to ``alpha nu area``;
* xi takes contrast away: the mean of the solution is exactly that of the data divided by ``mu``.

    python examples/figures/talk2023/complicated_regularizer.py [smoke | paper] [--out results]
"""

import argparse
import math
from pathlib import Path

import numpy as np
import odl
from matplotlib.figure import Figure

from odl_learned import data, metrics, solvers
from odl_learned.functionals import SmoothedTV, l2_fidelity

SIZES = {"smoke": {"n": 48, "number": 7}, "paper": {"n": 128, "number": 13}}
NOISE_LEVEL, ACCURACY = 0.1, 1e-3  # both root mean squares
GOOD = {"alpha": 0.1, "nu": 1e-2, "xi": 1e-2}
RANGES = {"alpha": (1e-3, 10.0), "nu": (1e-4, 1e2), "xi": (1e-4, 1e2)}


def solve(y, alpha, nu, xi):
    """The solution of the problem, to a mean square error of ``ACCURACY ** 2``."""
    mu = 1 + alpha * xi
    f = l2_fidelity(y) + SmoothedTV(y.space, alpha, nu, alpha * xi)
    accuracy = ACCURACY * math.sqrt(y.size)
    return solvers.accelerated_gradient(f, y, accuracy, 20000, mu + 8 * alpha / nu, mu)


def total_variation(y, alpha, xi):
    """The solution for nu = 0: by completing the square, that of ``y / mu`` and ``alpha / mu``."""
    mu = 1 + alpha * xi
    return solvers.rof((1 / mu) * y, alpha / mu, accuracy=1e-6)


def compute(size, rng):
    """Return one curve for each parameter.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``truth`` and ``noisy``, elements; for each parameter a dict of arrays: ``value``, the
        three ``params`` of each point, ``psnr``, ``mean``, ``niter``, ``error_bound`` and
        ``images``; of ``"nu"`` also ``distance`` to total variation and its ``distance_error``.
    """
    n, number = SIZES[size]["n"], SIZES[size]["number"]
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float64")
    truth = data.random_body(space, rng)
    noisy = data.add_white_noise(truth, NOISE_LEVEL, rng)
    results: dict = {"truth": truth, "noisy": noisy}
    for name, ends in RANGES.items():
        values = np.geomspace(*ends, number)
        params = [GOOD | {name: float(value)} for value in values]
        found = [solve(noisy, **p) for p in params]
        results[name] = {
            "value": values, "params": params, "images": [s.x for s in found],
            "psnr": np.array([metrics.psnr(s.x, truth) for s in found]),
            "mean": np.array([s.x.data.mean() for s in found]),
            "niter": np.array([s.niter for s in found]),
            "error_bound": np.array([s.error_bound for s in found]),
        }  # fmt: skip
    limit = total_variation(noisy, GOOD["alpha"], GOOD["xi"])
    smooth = results["nu"]
    smooth["distance"] = np.array([(x - limit.x).norm() for x in smooth["images"]])
    smooth["distance_error"] = smooth["error_bound"] + limit.error_bound
    return results


def draw(results, path):
    """Draw a row for each parameter: quality and price, and four of the images."""
    figure = Figure(figsize=(14.5, 7), layout="constrained")
    axes = figure.subplots(3, 6, width_ratios=[1, 1.5, 1, 1, 1, 1])
    shown = {"truth": results["truth"],
             f"noisy, {metrics.psnr(results['noisy'], results['truth']):.1f} dB": results["noisy"]}
    for ax, (title, image) in zip(axes[:, 0], shown.items()):
        picture(ax, image, title)
    smooth = results["nu"]
    axes[2, 0].loglog(smooth["value"], distance_bound(results), "k--", label="bound")
    axes[2, 0].loglog(smooth["value"], smooth["distance"], "C2o-", markersize=3, label="measured")
    axes[2, 0].set(title="distance to TV", xlabel="$\\nu$")
    axes[2, 0].legend(fontsize=7)
    for row, name in zip(axes, RANGES):
        curve, symbol = results[name], rf"$\{name}$"
        row[1].semilogx(curve["value"], curve["psnr"], "C0o-", markersize=4)
        row[1].axvline(GOOD[name], color="0.6", linewidth=1, linestyle=":")
        row[1].set(xlabel=symbol)
        row[1].set_ylabel("PSNR in dB", color="C0")
        price = row[1].twinx()
        price.semilogx(curve["value"], curve["niter"], "C3s--", markersize=3, linewidth=1)
        price.set_ylabel("iterations", color="C3")
        last = len(curve["value"]) - 1
        for ax, index in zip(row[2:], (last // 6, last // 2, 2 * last // 3, 5 * last // 6)):
            picture(ax, curve["images"][index],
                    f"{symbol} = {curve['value'][index]:.2g}: {curve['psnr'][index]:.1f} dB")
    figure.savefig(path, dpi=150)


def picture(ax, image, title):
    """Draw one image."""
    ax.imshow(data.to_rows(image.data), cmap="gray", vmin=0, vmax=0.9, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=10)


def distance_bound(results):
    """``sqrt(alpha nu area / mu)`` for all nu."""
    alpha, mu = GOOD["alpha"], 1 + GOOD["alpha"] * GOOD["xi"]
    return np.sqrt(alpha * results["nu"]["value"] * results["noisy"].size / mu)


def claim(results):
    """Assert the claims of the figure."""
    noisy = results["noisy"].data
    for name in RANGES:
        curve = results[name]
        assert np.all(curve["error_bound"] <= ACCURACY * math.sqrt(noisy.size)), "not certified"
        lost = curve["psnr"].max() - curve["psnr"][[0, -1]]
        assert lost[1] >= 4, f"a large {name} does no harm"
        assert lost[0] >= 4 if name == "alpha" else lost[0] <= 0.3, f"a small {name} surprises"
        for mean, bound, params in zip(curve["mean"], curve["error_bound"], curve["params"]):
            expected = noisy.mean() / (1 + params["alpha"] * params["xi"])
            assert abs(mean - expected) <= bound / math.sqrt(noisy.size) + 1e-12, "wrong mean"
    smooth = results["nu"]
    assert smooth["niter"][0] >= 5 * max(smooth["niter"][-1], 1), "a small nu costs nothing"
    nearest = smooth["distance"] - smooth["distance_error"]
    assert np.all(nearest <= distance_bound(results)), "too far from total variation"
    assert smooth["distance"][0] < 0.05 * smooth["distance"][-1], "it does not tend to TV"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "talk2023_complicated_regularizer.png"
    draw(results, path)
    parts = []
    for name in RANGES:
        quality, niter = results[name]["psnr"], results[name]["niter"]
        parts.append(f"{name}: {quality[0]:.1f}, at best {quality.max():.1f}, {quality[-1]:.1f} dB "
                     f"({niter[0]} to {niter[-1]} iterations)")  # fmt: skip
    print("; ".join(parts), "->", path)
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
