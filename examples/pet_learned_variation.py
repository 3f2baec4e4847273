r"""Learn alpha of total variation for emission tomography with Poisson counts.

    E(u, theta, y) = L(A u, y) + e^theta int sqrt(|grad u|^2 + nu^2) + xi/2 |u|^2

with the negative log-likelihood L of counts with a known background, an ODL functional.

    python examples/pet_learned_variation.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch

from odl_learned import bridge, data, energies, functionals, metrics, operators, plotting, solvers
from odl_learned.learning import bilevel

SIZES = {"smoke": {"n": 24, "pairs": 2, "steps": 30}, "paper": {"n": 64, "pairs": 4, "steps": 30}}
VIEWS, NU, XI, COUNTS, START = 40, 0.1, 1e-2, 20.0, torch.tensor([2.0], dtype=torch.float64)


def main(n, pairs, steps, out):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    rays = operators.parallel_ray_transform(X, VIEWS)
    A, module = COUNTS * rays, bridge.as_module(rays)
    images = np.stack([data.random_body(X, rng).data for _ in range(pairs + 1)])
    mean = COUNTS * module(torch.from_numpy(images)).numpy() + 1.0
    counts = rng.poisson(mean).astype("float32")

    domain = odl.ProductSpace(X, functionals.parameter_space(X, 1), A.range)
    u, theta, y = (odl.ComponentProjection(domain, i) for i in range(3))
    alpha = functionals.Exponential(functionals.Coordinate(domain[1], 0)) @ theta
    likelihood = functionals.PoissonLikelihood(A.range.one(), float(counts.max()))
    E = (likelihood @ odl.BroadcastOperator(A @ u, y)
         + functionals.smoothed_length(operators.gradient(X) @ u, alpha, NU)
         + 0.5 * XI * odl.functionals.L2NormSquared(X) @ u)  # fmt: skip

    truth, measured = (torch.from_numpy(z).double() for z in (images, counts))
    loss = bilevel.SquaredError(truth[:-1], 1 / truth[:-1].numel())
    energy = energies.energy_of(E)
    start = torch.full_like(truth, float(truth[:-1].mean()))
    problem = bilevel.BilevelProblem(energy, measured[:-1], loss, start[:-1])
    learned = bilevel.first_order.lbfgsb(
        problem, START, bilevel.hypergradients.Implicit(), bilevel.lower.Newton(), ftol=1e-3,
        maxiter=steps)  # fmt: skip

    def error(params):
        x = bilevel.lower.LowerLevel(problem).solve(params, 1e-3 * n).x
        return float(loss.value(x).sum())

    test = bilevel.BilevelProblem(
        energy, measured[-1:], bilevel.SquaredError(truth[-1:]), start[-1:])
    x = bilevel.lower.LowerLevel(test).solve(learned.params, 1e-3 * n).x[0].numpy()
    em = X.element(np.full(X.shape, images.mean(), "float32"))
    em = solvers.mlem(A, A.range.element(counts[-1]), em, A.range.one(), 30).x
    gain = metrics.psnr(X.element(x), images[-1]) - metrics.psnr(em, images[-1])
    path = out / "pet_learned_variation.png"
    plotting.comparison({"30 x MLEM": em, "learned": x}, images[-1], path)
    print(f"alpha {float(learned.params.exp()):.3g}, training error {learned.value:.3e} +- "
          f"{learned.value_bound:.0e}, {gain:.1f} dB over MLEM -> {path}")
    assert learned.value_bound < 1e-3 * learned.value and gain > 0.5
    assert learned.value < min(error(learned.params + s * np.log(2)) for s in (-1, 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
