r"""Learn alpha and nu of smoothed total variation for CT from 30 views, then use them in ODL.

The energy is an ODL functional of image, parameters and sinogram,

    E(u, theta, y) = 1/2 |A u - y|^2 + e^theta_0 int sqrt(|grad u|^2 + e^(2 theta_1)) + xi/2 |u|^2,

and `energy_of` makes of it what bilevel learning needs, with a certificate of every number.

    python examples/ct_learned_variation.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, energies, functionals, metrics, operators, plotting
from odl_learned.learning import bilevel

SIZES = {"smoke": {"n": 24, "pairs": 2, "steps": 30}, "paper": {"n": 64, "pairs": 3, "steps": 30}}
VIEWS, XI, START = 30, 1e-2, torch.tensor([-5.0, -1.0], dtype=torch.float64)


def main(n, pairs, steps, out):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    A, norm = operators.parallel_ray_transform(X, VIEWS), odl.functionals.L2NormSquared
    domain = odl.ProductSpace(X, functionals.parameter_space(X, 2), A.range)
    u, theta, y = (odl.ComponentProjection(domain, i) for i in range(3))
    alpha, nu = (functionals.Exponential(functionals.Coordinate(domain[1], i)) @ theta
                 for i in (0, 1))  # fmt: skip
    E = (0.5 * norm(A.range) @ (A @ u - y) + 0.5 * XI * norm(X) @ u
         + functionals.smoothed_length(operators.gradient(X) @ u, alpha, nu))  # fmt: skip

    images = np.stack([data.random_body(X, rng).data for _ in range(pairs + 1)])
    clean = bridge.as_module(A)(torch.from_numpy(images))
    noisy = clean + 0.01 * clean.abs().max() * torch.from_numpy(
        rng.standard_normal(clean.shape).astype("float32"))  # fmt: skip
    truth, measured = torch.from_numpy(images).double(), noisy.double()
    loss = bilevel.SquaredError(truth[:-1], 1 / truth[:-1].numel())
    problem = bilevel.BilevelProblem(energies.energy_of(E), measured[:-1], loss, 0 * truth[:-1])
    learned = bilevel.first_order.lbfgsb(
        problem, START, bilevel.hypergradients.Implicit(), bilevel.lower.Newton(), ftol=1e-3,
        maxiter=steps)  # fmt: skip

    def solved(params, problem):
        return bilevel.lower.LowerLevel(problem).solve(params, 1e-3 * n)

    shift = torch.tensor([np.log(2.0), 0.0])
    worse = [float(loss.value(solved(learned.params + s * shift, problem).x).sum())
             for s in (-1, 1)]  # fmt: skip
    test = bilevel.BilevelProblem(problem.energy, measured[-1:],
                                  bilevel.SquaredError(truth[-1:]), 0 * truth[-1:])  # fmt: skip
    x, fbp = X.element(solved(learned.params, test).x[0].numpy()), operators.fbp(A)
    backprojected = fbp(A.range.element(noisy[-1].numpy()))
    gain = metrics.psnr(x, images[-1]) - metrics.psnr(backprojected, images[-1])
    # what was learned is an ordinary ODL functional again, and its gradient vanishes at x
    f = functionals.fix_block(functionals.fix_block(E, 2, A.range.element(noisy[-1].numpy())), 1,
                              domain[1].element(learned.params.numpy()))  # fmt: skip
    slope = f.gradient(x).norm() / f.gradient(X.zero()).norm()
    path = out / "ct_learned_variation.png"
    plotting.comparison({"backprojection": backprojected, "learned": x}, images[-1], path)
    alpha, nu = learned.params.exp().tolist()
    print(f"alpha {alpha:.3g}, nu {nu:.3g}, training error {learned.value:.3e} +- "
          f"{learned.value_bound:.0e}, {gain:.1f} dB over backprojection -> {path}")
    assert learned.value_bound < 1e-3 * learned.value and learned.value < min(worse)
    assert gain > 2 and slope < 1e-2, "the learned functional does not reconstruct well"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
