r"""Chambolle and Pock (2011): the two rates of PDHG, measured against their proven bounds.

A. Chambolle and T. Pock, A first-order primal-dual algorithm for convex problems with applications
to imaging, J. Math. Imaging Vis. 40 (2011). The problem is total variation denoising (ROF),

    min_u  f(u) + g(grad u),   f(u) = 1/2 |u - y|^2,   g(p) = alpha int |p|,

solved by ``odl.solvers.pdhg`` from zero, without and with ``gamma_primal`` (algorithms 1 and 2).

Claims, for every iteration k and with dual variables bounded by ``|p| <= P = alpha sqrt(area)``:

* theorem 1: the duality gap of the averages of algorithm 1 is at most ``D_k / k``,
  ``D_k = |u_k|^2 / (2 tau) + P^2 / (2 sigma)`` with the ``u_k`` that attains the gap, and its decay
  is of this order: it falls like 1/k and no faster than a bit more;
* theorem 2, for gamma up to 1: ``|x_k - x|^2 <= tau_k^2 (|x|^2 / tau^2 + P^2 / (sigma tau))`` for
  the iterates of algorithm 2, where ``gamma tau_k k -> 1``: they fall like 1/k^2 or faster;
* the best bound, of gamma = 1, does not make the best algorithm: gamma = 0.35 is nearer to the
  minimizer in the end, and nearer than algorithm 1 by a factor of ten at least.

    python examples/figures/pdhg2011/gap_decay.py [smoke | paper] [--out results]
"""

import argparse
import math
from pathlib import Path

import numpy as np
import odl
from matplotlib.figure import Figure

from odl_learned import data
from odl_learned.functionals import l2_fidelity, precise_inner, precise_value
from odl_learned.operators import gradient, operator_norm

SIZES = {
    "smoke": {"n": 32, "niter": 400, "reference": 2000},
    "paper": {"n": 128, "niter": 1000, "reference": 5000},
}
ALPHA, NOISE_LEVEL, GAMMAS = 0.1, 0.1, (1.0, 0.35)


def compute(size, rng):
    """Return curves over k = 1, ..., niter and the images.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``gap`` and ``gap_bound`` of the averages of algorithm 1, arrays; ``distance``, squared
        distances to the minimizer, a dict of arrays with the key ``gamma``, 0.0 for algorithm 1;
        ``distance_bound``, their bounds for positive gamma; ``reference_error``, a bound of the
        squared error of the minimizer.
    """
    n, niter, reference = (SIZES[size][key] for key in ("n", "niter", "reference"))
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float64")
    y = data.add_white_noise(data.random_body(space, rng), NOISE_LEVEL, rng)
    L = gradient(space)
    f, g = l2_fidelity(y), ALPHA * odl.functionals.GroupL1Norm(L.range)
    tau = sigma = math.sqrt(0.99) / operator_norm(L)

    def dual_minimizer(p):
        return y - L.adjoint(p)  # argmin_u f(u) + <grad u, p>

    def gap(u, p):
        z = L.adjoint(p)  # the dual value is -f*(-z) = <z, y> - 1/2 |z|^2 for |p| <= alpha
        value = precise_value(f, u) + precise_value(g, L(u))
        return value - precise_inner(z, y) + precise_inner(z, z) / 2

    def run(niter, observe, gamma_primal=None):
        u, p = space.zero(), L.range.zero()
        odl.solvers.pdhg(u, f, g, L, niter, tau=tau, sigma=sigma, y=p, gamma_primal=gamma_primal,
                         callback=lambda u: observe(u, p))  # fmt: skip
        return u, p

    minimizer, p = run(reference, lambda u, p: None, GAMMAS[-1])
    reference_error = 2 * gap(minimizer, p)  # the energy is strongly convex with constant 1
    largest_dual = ALPHA**2 * n**2

    gap_bounds, mean_u, mean_p = [], space.zero(), L.range.zero()
    gaps: list[float] = []
    distance: dict[float, list] = {gamma: [] for gamma in (0.0, *GAMMAS)}

    def average(u, p):
        k = len(gaps) + 1
        mean_u.lincomb(1 - 1 / k, mean_u, 1 / k, u)
        mean_p.lincomb(1 - 1 / k, mean_p, 1 / k, p)
        attained = dual_minimizer(mean_p).norm() ** 2
        gaps.append(gap(mean_u, mean_p))
        gap_bounds.append((attained / tau + largest_dual / sigma) / (2 * k))
        distance[0.0].append((u - minimizer).norm() ** 2)

    run(niter, average)
    for gamma in GAMMAS:
        run(niter, lambda u, p: distance[gamma].append((u - minimizer).norm() ** 2), gamma)
    start = minimizer.norm() ** 2 / tau**2 + largest_dual / (sigma * tau)
    return {
        "gap": np.array(gaps), "gap_bound": np.array(gap_bounds),
        "distance": {gamma: np.array(curve) for gamma, curve in distance.items()},
        "distance_bound": {gamma: start * steps(tau, gamma, niter) ** 2 for gamma in GAMMAS},
        "reference_error": reference_error,
    }  # fmt: skip


def steps(tau, gamma, niter):
    """Return ``tau_1, ..., tau_niter`` with ``tau_{k+1} = tau_k / sqrt(1 + 2 gamma tau_k)``."""
    taus = [tau]
    for _ in range(niter):
        taus.append(taus[-1] / math.sqrt(1 + 2 * gamma * taus[-1]))
    return np.array(taus[1:])


def slope(curve, first=0.05):
    """Return the exponent of the power of k that fits the curve after its first part."""
    k = np.arange(1, len(curve) + 1)
    late = k >= max(10, first * len(curve))
    return float(np.polyfit(np.log(k[late]), np.log(curve[late]), 1)[0])


def draw(results, path):
    """Draw both claims side by side."""
    k = np.arange(1, len(results["gap"]) + 1)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog(k, results["gap_bound"], "k--", label="bound of theorem 1, $D_k/k$")
    left.loglog(k, results["gap"], label=f"measured, slope {slope(results['gap']):.2f}")
    left.set(title="algorithm 1: duality gap of the averages", xlabel="iteration k")
    for color, (gamma, curve) in zip(("C0", "C1", "C2"), results["distance"].items()):
        name = f"algorithm 2, $\\gamma$ = {gamma}" if gamma else "algorithm 1"
        right.loglog(k, curve, color, label=f"{name}, slope {slope(curve):.2f}")
        if gamma:
            right.loglog(k, results["distance_bound"][gamma], f"{color}--",
                         label=f"bound of theorem 2, $\\gamma$ = {gamma}")  # fmt: skip
    right.set(title="squared distance to the minimizer", xlabel="iteration k")
    for ax in (left, right):
        ax.legend(fontsize=8)
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def claim(results):
    """Assert the claims of the figure."""
    # The minimizer is known up to e: |x_k - x| differs from what was measured by at most that.
    e = math.sqrt(results["reference_error"])
    distance = {gamma: np.sqrt(curve) for gamma, curve in results["distance"].items()}
    assert e < 0.1 * distance[1.0].min(), "the reference is too inaccurate"
    assert np.all(results["gap"] >= 0), "the gap is negative"
    assert np.all(results["gap"] <= results["gap_bound"]), "theorem 1 is violated"
    assert -1.5 < slope(results["gap"]) < -0.9, "the gap does not fall like 1/k"
    for gamma in GAMMAS:
        bound = np.sqrt(results["distance_bound"][gamma])
        assert np.all(distance[gamma] - e <= bound), "theorem 2 is violated"
        assert slope(results["distance"][gamma]) < -1.9, "the distance does not fall like 1/k^2"
    last = {gamma: curve[-1] + e for gamma, curve in distance.items()}
    assert last[0.35] < 0.1 * (last[0.0] - 2 * e), "acceleration does not pay"
    assert last[0.35] < last[1.0] - 2 * e, "the best bound makes the best algorithm"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "pdhg2011_gap_decay.png"
    draw(results, path)
    slopes = ", ".join(f"{gamma}: {slope(c):.2f}" for gamma, c in results["distance"].items())
    print(f"slopes: gap of the averages {slope(results['gap']):.2f}, squared distance by gamma "
          f"{{{slopes}}}; reference to {math.sqrt(results['reference_error']):.0e} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
