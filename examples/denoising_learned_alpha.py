r"""Learn the regularization parameter of total variation from images, then use it in ODL.

The energy is written in ODL, with ``theta = log alpha`` and the data as blocks of its domain,

    E(u, theta, y) = 1/2 |u - y|^2 + exp(theta) int sqrt(|grad u|^2 + nu^2),

and theta minimizes the mean squared error. Then alpha goes into an ordinary problem for pdhg.

    python examples/denoising_learned_alpha.py [smoke | paper] [--images FOLDER] [--out results]

The folder holds .png pictures, the last one by name to test; default: phantoms.
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from matplotlib.image import imread

from odl_learned import bridge, data, energies, functionals, metrics, plotting, solvers, variational
from odl_learned.learning import bilevel

SIZES = {"smoke": {"n": 32, "steps": 20}, "paper": {"n": 96, "steps": 20}}
IMAGES, NOISE_LEVEL, NU, START = 7, 0.1, 0.01, torch.tensor([-5.0], dtype=torch.float64)


def picture(path, n):
    """The middle n x n pixels, x to the right and y up, divided by the largest value."""
    rows = imread(path)
    image = data.orientation.from_rows(rows if rows.ndim == 2 else rows[..., :3].mean(-1))
    return image[tuple(slice((m - n) // 2, (m + n) // 2) for m in image.shape)] / image.max()


def main(n, steps, out, folder=None):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float64")  # lengths in pixels
    truth = np.stack([data.random_body(X, rng).data for _ in range(IMAGES)] if folder is None
                     else [picture(path, n) for path in sorted(folder.iterdir())])  # fmt: skip
    noisy = truth + NOISE_LEVEL * rng.standard_normal(truth.shape)

    domain = odl.ProductSpace(X, functionals.parameter_space(X, 1), X)
    u, theta, y = (odl.ComponentProjection(domain, i) for i in range(3))
    tv = functionals.SmoothedTV(X, alpha=1, nu=NU, xi=0) @ u
    alpha = functionals.Exponential(functionals.Coordinate(domain[1], 0)) @ theta
    fidelity = 0.5 * odl.functionals.L2NormSquared(X) @ (u - y)
    E = bridge.as_energy(fidelity + odl.functionals.FunctionalProduct(alpha, tv))
    energy = energies.AutogradEnergy(E, lambda theta: 1 + 8 / NU * theta.exp(), lambda theta: 1)
    target, given = (torch.from_numpy(z[:-1].astype("float64")) for z in (truth, noisy))
    loss = bilevel.SquaredError(target, 1 / target.numel())
    problem = bilevel.BilevelProblem(energy, given, loss, given)
    learned = bilevel.first_order.lbfgsb(
        problem, START, bilevel.hypergradients.Implicit(), bilevel.lower.Newton(), maxiter=steps)
    alpha = float(learned.params.exp())
    f, g, L = tested = variational.tv_problem(
        odl.IdentityOperator(X), functionals.l2_fidelity(X.element(noisy[-1])), alpha)
    (tau, sigma), x, dual = tested.step_sizes(), X.zero(), L.range.zero()
    odl.solvers.pdhg(x, f, g, L, 500, tau=tau, sigma=sigma, y=dual)
    gap = tested.gap(x, dual) / tested.value(x)
    found = [solvers.rof(noisy[:-1], c * alpha, 1e-5, cell_sides=(1, 1)) for c in (0.7, 1, 1.4)]
    lower, best, upper = (np.mean((s.x - truth[:-1]) ** 2) for s in found)
    before, after = metrics.psnr(noisy[-1], truth[-1]), metrics.psnr(x, truth[-1])
    captions, path = {"TV": f"PSNR {after:.1f} dB"}, out / "denoising_learned_alpha.png"
    plotting.comparison({"data": noisy[-1], "TV": x}, truth[-1], path, captions=captions)
    print(f"alpha {alpha:.4f}, PSNR {before:.2f} -> {after:.2f} dB, relative gap {gap:.0e}, "
          f"training error {learned.value:.3e} +- {learned.value_bound:.0e} -> {path}")
    assert best < min(lower, upper), "another alpha is better for the training images"
    assert after > before + 2 and 0 <= gap < 1e-3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out, folder=arguments.images)
