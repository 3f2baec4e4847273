r"""Positron emission tomography is sensitive to noise: what helps is to stop early, or to damp.

    counts ~ Poisson(A u + r),   A = attenuation, integrals along lines, blur of 6 mm,

in the plane, with a background ``r`` of a fifth of the counts. With the singular values ``s_k`` and
vectors of ``A``, three ways to reconstruct from ``y = counts - r`` (or from the counts):

    inversion:     u = sum_k s_k^-1 <u_k, y> v_k,
    Tikhonov:      u = sum_k s_k / (s_k^2 + alpha) <u_k, y> v_k,
    expectation maximization (Shepp and Vardi 1982), to the end, or stopped when the mean deviance
    is down to that of the truth, about one (Bertero et al. 2010).

Claims:

* without noise inversion is exact up to a millionth; but singular values decay, and with the fewest
  counts its result is worse than an empty image, which has the relative error one;
* the singular values foretell it: the expected squared error is ``sum_k s_k^-2 sum_i u_ki^2 var_i``
  with the variances of the counts; the measured one is off by at most three times its standard
  deviation, for normal noise at least ``(2 sum_k lambda_k^2)^(1/2)`` with the terms ``lambda_k``;
* expectation maximization gets better and then worse: in the end the error is at least 1.5 times
  the smallest one, which comes the earlier the fewer the counts;
* stopped by its discrepancy it is at most 25 % worse than at best, for all numbers of counts;
* with the best alpha, inside of its grid, Tikhonov's error is at most half of that of inversion
  with the fewest counts, and at most 30 % above that of expectation maximization at its best.

    python examples/figures/talk2023/ill_posedness_of_pet.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
from matplotlib.figure import Figure

from odl_learned import data, metrics, operators, solvers
from odl_learned.functionals import KullbackLeiblerFidelity

SIZES = {"smoke": {"n": 24, "niter": 200}, "paper": {"n": 48, "niter": 1000}}
COUNTS = 1e4, 1e5, 1e6
BLUR, WATER, BACKGROUND = 6.0, 0.0096, 0.2  # full width in mm, attenuation in 1/mm, share
ALPHAS = np.geomspace(1e-6, 1.0, 61)  # relative to the square of the largest singular value


def scanner(n, rng):
    """An image, and the forward operator for a field of view of 20 cm."""
    space = odl.uniform_discr([-100, -100], [100, 100], (n, n), dtype="float32")
    truth = data.random_body(space, rng)
    blur = operators.ZeroConvolution(space, operators.gaussian_kernel(space, BLUR / 2.355))
    ray = operators.parallel_ray_transform(space, 2 * n, num_bins=2 * n)
    mu = WATER * space.element((truth.data > 0.05).astype("float32"))
    factors = operators.attenuation_factors(ray, mu)
    return truth, operators.emission_operator(ray @ blur, factors)


def dense(forward_op):
    """The matrix of an operator, in double precision."""
    shape = forward_op.domain.shape
    columns = []
    for k in range(forward_op.domain.size):
        pixel = np.zeros(shape, dtype="float32")
        pixel.flat[k] = 1
        columns.append(forward_op(pixel).data.ravel())
    return np.stack(columns, axis=1).astype(float)


def compute(size, rng):
    """Return images, singular values and errors.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``truth``; ``singular_values``; ``exact``, relative error of inversion without noise; and
        lists over ``COUNTS``: ``inversion``, ``expected`` and ``deviation``, the relative
        error, its expected square and the standard deviation of that; ``em`` and ``tikhonov``,
        arrays of errors over iterations and ``ALPHAS``; ``stopped``, the number of
        iterations by the discrepancy; ``images``, dicts of the reconstructions.
    """
    n, niter = SIZES[size]["n"], SIZES[size]["niter"]
    truth, forward_op = scanner(n, rng)
    matrix, u = dense(forward_op), truth.data.astype(float)
    U, s, V = np.linalg.svd(matrix, full_matrices=False)
    exact = matrix @ u.ravel()
    length = np.linalg.norm(u)

    def image(coefficients):
        return (V.T @ coefficients).reshape(u.shape)

    results = {"truth": u, "singular_values": s, "exact": metrics.relative_error(
        image(U.T @ exact / s), u)}  # fmt: skip
    results |= {name: [] for name in
                ("inversion", "expected", "deviation", "em", "tikhonov", "stopped", "images")}
    for counts in COUNTS:
        scale = counts / exact.sum()
        A = float(scale) * forward_op
        background = A.range.element(np.full(A.range.shape, BACKGROUND * counts / A.range.size))
        measured = data.poisson_counts(A(truth) + background, rng)
        y = (measured - background).data.ravel() / scale
        variances = (A(truth) + background).data.ravel() / scale**2
        c = U.T @ y
        inverse, damped = image(c / s), [image(s * c / (s**2 + a * s[0] ** 2)) for a in ALPHAS]
        iterates = []
        start = A.domain.element(np.full(u.shape, u.mean()))
        solvers.mlem(A, measured, start, background, niter,
                     callback=lambda x: iterates.append(x.data.copy()))  # fmt: skip
        misfit = KullbackLeiblerFidelity(measured, background)(A(truth))
        tau = 2 * misfit / (A.range.weighting.const * A.range.size)
        stopped = solvers.mlem(A, measured, start, background, niter, tau)

        em, tikhonov = (np.array([metrics.relative_error(x, u) for x in images])
                        for images in (iterates, damped))  # fmt: skip
        results["inversion"].append(metrics.relative_error(inverse, u))
        terms = (U**2).T @ variances / (s * length) ** 2
        results["expected"].append(float(np.sum(terms)))
        results["deviation"].append(float(np.sqrt(2 * np.sum(terms**2))))
        results["em"].append(em)
        results["tikhonov"].append(tikhonov)
        results["stopped"].append(stopped.niter)
        results["images"].append({
            "inversion": inverse, f"EM, {niter} iterations": iterates[-1],
            f"EM, stopped after {stopped.niter}": stopped.x.data,
            "Tikhonov": damped[int(tikhonov.argmin())],
        })  # fmt: skip
    return results


def draw(results, path):
    """Draw the reconstructions, a row for each number of counts, and the curves."""
    truth = results["truth"]
    figure = Figure(figsize=(12.6, 10), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.15, 1]).ravel()
    axes = above.subplots(len(COUNTS), 5)
    for row, (counts, images) in enumerate(zip(COUNTS, results["images"], strict=True)):
        if row == 0:
            show(axes[row, 0], truth, "truth")
        else:
            axes[row, 0].axis("off")
        axes[row, 1].set_ylabel(f"{power(counts)} counts")
        for ax, (name, image) in zip(axes[row, 1:], images.items(), strict=True):
            show(ax, image, f"{name}, {metrics.relative_error(image, truth):.2f}")
    left, middle, right = below.subplots(1, 3)
    s = results["singular_values"]
    left.semilogy(np.arange(1, len(s) + 1) / len(s), s / s[0], "k")
    left.set(title="singular values", xlabel="part of all", ylabel="$s_k / s_1$")
    for counts, em, tikhonov, stopped, color in zip(
            COUNTS, results["em"], results["tikhonov"], results["stopped"], ("C3", "C1", "C0")):
        name = f"{power(counts)} counts"
        middle.loglog(np.arange(1, len(em) + 1), em, color, label=name)
        middle.plot(stopped, em[stopped - 1], "o", color=color)
        right.loglog(ALPHAS, tikhonov, color, label=name)
        right.plot(ALPHAS[tikhonov.argmin()], tikhonov.min(), "o", color=color)
    middle.set(title="expectation maximization, and where it is stopped", xlabel="iterations",
               ylabel="relative error")  # fmt: skip
    right.set(title="Tikhonov, and the best", xlabel=r"$\alpha / s_1^2$", ylabel="relative error")
    right.legend(fontsize=8)
    for ax in (left, middle, right):
        ax.title.set_fontsize(10)
        ax.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=150)


def power(number):
    """A power of ten for a label."""
    exponent = int(np.log10(number))
    return rf"$10^{exponent}$"


def show(ax, image, title):
    """Draw one image."""
    ax.imshow(data.to_rows(image), cmap="gray_r", vmin=0, vmax=0.9, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=10)


def claim(results):
    """Assert the claims of the figure."""
    assert results["exact"] <= 1e-6, "inversion is not exact without noise"
    s = results["singular_values"]
    assert s[-1] <= s[0] / 50, "singular values do not decay"
    assert results["inversion"][0] >= 1, "inversion survives the noise"
    for measured, expected, deviation in zip(
            results["inversion"], results["expected"], results["deviation"], strict=True):
        assert deviation <= 0.35 * expected, "the expected error says little"
        assert abs(measured**2 - expected) <= 3 * deviation, "the error is not as foretold"
    best = [em.argmin() for em in results["em"]]
    assert np.all(np.diff(best) > 0), "fewer counts do not ask for fewer iterations"
    assert results["em"][0][-1] >= 1.5 * results["em"][0].min(), "iterating on does no harm"
    for em, stopped in zip(results["em"], results["stopped"], strict=True):
        assert 1 <= stopped <= len(em) and em[stopped - 1] <= 1.25 * em.min(), "stopped badly"
    assert results["tikhonov"][0].min() <= 0.5 * results["inversion"][0], "damping does not help"
    for em, tikhonov in zip(results["em"], results["tikhonov"], strict=True):
        assert 0 < tikhonov.argmin() < len(ALPHAS) - 1, "the best alpha is at the end of the grid"
        assert tikhonov.min() <= 1.3 * em.min(), "Tikhonov is much worse"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "talk2023_ill_posedness_of_pet.png"
    draw(results, path)
    s = results["singular_values"]
    lines = [f"{counts:g} counts: inversion {results['inversion'][i]:.2f} (expected "
             f"{results['expected'][i] ** 0.5:.2f}), EM {em.min():.3f} at {em.argmin() + 1}, "
             f"stopped {em[results['stopped'][i] - 1]:.3f} at {results['stopped'][i]}, in the end "
             f"{em[-1]:.3f}, Tikhonov {results['tikhonov'][i].min():.3f}"
             for i, (counts, em) in enumerate(zip(COUNTS, results["em"]))]  # fmt: skip
    print(f"condition {s[0] / s[-1]:.0f}; {'; '.join(lines)} -> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
