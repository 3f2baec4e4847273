r"""Anchor: the Shepp-Logan phantom of Adler and Oktem (2018), classical methods.

J. Adler and O. Oktem, Learned primal-dual reconstruction, IEEE Trans. Med. Imaging 37 (2018),
section IV: the modified Shepp-Logan phantom of 128 x 128 pixels on ``[-64, 64]^2``, 30 parallel
beams of 183 bins, white noise of 5 % of the mean data, PSNR with range 1. Reconstructed are

    min_u  1/2 |A u - y|^2 + alpha int |grad u|_p,   p = 1, 2,

for the best of several alpha (ODL 1.0 weighs data by one, older versions by the size of a cell, so
that their alpha was smaller by the factor 9.65 here). Published: filtered backprojection 19.75 dB
(19.70 by others), total variation 29.83 dB with p = 1; with p = 2 about 28.1 to 28.5 dB.

Claims: backprojection with the full Hann filter has 19.70 dB up to 0.1; the best anisotropic total
variation has 29.7 to 30.3 dB and the best isotropic one 28.0 to 28.8 dB, by solutions with a
relative duality gap of at most 5e-3, and both best alpha are inside of their range.

    python examples/figures/anchors/shepp_logan_ellipses.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
from matplotlib.figure import Figure
from odl.applications.tomo import RayTransform, parallel_beam_geometry
from odl.functionals import GroupL1Norm, SeparableSum, ZeroFunctional

from odl_learned import bridge, data, metrics, operators, solvers
from odl_learned.functionals import BoxConstraint, l2_fidelity
from odl_learned.variational import Problem, tv_problem

SIZES = {
    "smoke": {"n": 64, "accuracy": 2e-2, "alphas": {2: (0.01, 0.1, 1.0), 1: (0.01, 0.1, 1.0)}},
    "paper": {"n": 128, "accuracy": 5e-3, "alphas": {2: (0.7, 1.0, 1.4, 2.0, 2.8),
                                                     1: (0.7, 1.0, 1.4, 2.0, 2.8)}},
}  # fmt: skip
BOX = (-1, 2)  # the phantom has values in [0, 1]; makes the gap finite, and is not attained
ANCHORS = {0: (19.6, 19.8), 2: (28.0, 28.8), 1: (29.7, 30.3)}
NAMES = {0: "filtered backprojection", 2: "isotropic TV", 1: "anisotropic TV"}


def scanner(n):
    """Thirty views of 183 bins for 128 pixels in a row; fewer bins for fewer pixels."""
    space = odl.uniform_discr([-64, -64], [64, 64], (n, n), dtype="float32")
    return RayTransform(space, parallel_beam_geometry(space, 30), impl="astra_cpu")


def problem_of(A, y, alpha, exponent):
    r"""Return ``min_u 1/2 |A u - y|^2 + alpha int |grad u|_p``, in an inactive box.

    For p = 1 each derivative is a field of its own, so that its bound is one of lengths.
    """
    box, fidelity = BoxConstraint(A.domain, *BOX), l2_fidelity(y)
    isotropic = tv_problem(A, fidelity, alpha, box)
    if exponent == 2:
        return isotropic
    grad, norm = operators.gradient(A.domain), operators.operator_norm(A)
    derivatives = [odl.BroadcastOperator(odl.PartialDerivative(
        A.domain, axis, method=grad.method, pad_mode=grad.pad_mode)) for axis in (0, 1)]
    scale = operators.operator_norm(derivatives[0])
    free, D = [ZeroFunctional(d.range) for d in derivatives], fidelity * norm
    return Problem(
        box,
        SeparableSum(D, *((alpha * scale) * GroupL1Norm(d.range) for d in derivatives)),
        odl.BroadcastOperator((1 / norm) * A, *((1 / scale) * d for d in derivatives)),
        g_conj=SeparableSum(D.convex_conj, *free),
        radii=((1, alpha * scale), (2, alpha * scale)),
        balance=isotropic.balance,
    )


def compute(size, rng):
    """Return images and their PSNR.

    Parameters
    ----------
    size : key of ``SIZES``
    rng : numpy.random.Generator

    Returns
    -------
    results : dict
        ``size``; ``truth``; by exponent (0 for backprojection) ``images`` of the best alpha and
        ``curves``, dicts of PSNR by alpha; ``certified``; ``range``, of all images by TV.
    """
    n, accuracy, alphas = SIZES[size].values()
    A = scanner(n)
    truth = odl.phantom.shepp_logan(A.domain, modified=True)
    exact = A(truth)
    y = data.add_white_noise(exact, data.noise_level_for(exact, 0.05), rng)
    back = operators.fbp(A, "Hann")(y)
    images, curves = {0: back.asarray()}, {0: {1.0: metrics.psnr(back, truth, 1.0)}}
    certified, extremes = True, []
    for exponent in alphas:
        found = {}
        for alpha in alphas[exponent]:
            problem = bridge.as_batch([problem_of(A, y, alpha, exponent)])
            solution = solvers.primal_dual(problem, accuracy=accuracy, maxiter=3000)
            certified = certified and solution.reason[0] == "accuracy"
            found[alpha] = solution.x[0].numpy()
            extremes += [float(found[alpha].min()), float(found[alpha].max())]
        curves[exponent] = {a: metrics.psnr(x, truth, 1.0) for a, x in found.items()}
        images[exponent] = found[max(found, key=curves[exponent].get)]
    return {"size": size, "truth": truth.asarray(), "images": images, "curves": curves,
            "certified": certified, "range": (min(extremes), max(extremes))}  # fmt: skip


def draw(results, path):
    """Draw the best images, and PSNR over alpha."""
    figure = Figure(figsize=(13, 3.2), layout="compressed")
    *axes, right = figure.subplots(1, 5)
    axes[0].imshow(data.to_rows(results["truth"]), cmap="gray", vmin=0.1, vmax=0.4)
    axes[0].set_title("truth")
    for ax, (exponent, image) in zip(axes[1:], results["images"].items()):
        curve = results["curves"][exponent]
        ax.imshow(data.to_rows(image), cmap="gray", vmin=0.1, vmax=0.4)
        ax.set_title(f"{NAMES[exponent]}\n{max(curve.values()):.2f} dB")
        if exponent:
            right.semilogx(curve.keys(), curve.values(), ".-", label=NAMES[exponent])
    for ax in axes:
        ax.set(xticks=[], yticks=[])
    right.set(xlabel="$\\alpha$", ylabel="PSNR / dB")
    right.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def claim(results):
    """Assert the claims of the figure."""
    best = {p: max(curve.values()) for p, curve in results["curves"].items()}
    assert results["certified"], "a duality gap is larger than it should be"
    assert BOX[0] < results["range"][0] and results["range"][1] < BOX[1], "the box is attained"
    assert min(best[1], best[2]) >= best[0] + 3, "TV gains less than 3 dB over backprojection"
    for p in (1, 2):
        curve = list(results["curves"][p].values())
        assert max(curve) > max(curve[0], curve[-1]), "the best alpha is at the end of its range"
    if results["size"] == "paper":
        for p, (low, high) in ANCHORS.items():
            assert low <= best[p] <= high, f"{NAMES[p]} is off the anchor"


def main(size, out):
    """Compute, draw, print one line, and assert the claims."""
    results = compute(size, np.random.default_rng(0))
    path = out / "anchors_shepp_logan_ellipses.png"
    draw(results, path)
    best = {NAMES[p]: max(curve.values()) for p, curve in results["curves"].items()}
    print(", ".join(f"{name} {value:.2f} dB" for name, value in best.items()), f"-> {path}")
    claim(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.size, arguments.out)
