r"""From ODL to torch: inpainting of a whole batch, with an energy that is written in ODL.

    E(x, y) = 1/2 |M x - y|^2 + alpha int sqrt(|grad x|^2 + nu^2) + xi/2 |x|^2   on  X x X,

where ``M`` keeps 40 % of the pixels. The data are a block of the domain: one module for all images.
Torch's L-BFGS minimizes it. Strongly convex in x: the minimizer is at most ``|grad E| / xi`` away.

    python examples/odl_to_torch_smoothed_tv.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from odl.functionals import L2NormSquared

from odl_learned import bridge, data, metrics, operators, plotting, solvers
from odl_learned.functionals import SmoothedTV, l2_fidelity

SIZES = {"smoke": {"n": 32}, "paper": {"n": 128}}
BATCH, XI, NOISE_LEVEL, STEP = 4, 1e-2, 0.05, 1e-5


def main(n, out):
    rng = np.random.default_rng(0)
    space = odl.uniform_discr([0, 0], [1, 1], (n, n), dtype="float64")
    M = operators.mask_operator(space, rng.random((n, n)) < 0.4)
    R = SmoothedTV(space, alpha=0.05 / n, nu=0.1 * n, xi=XI)
    truth = torch.stack([torch.from_numpy(data.random_body(space, rng).data) for _ in range(BATCH)])
    noise, direction = torch.from_numpy(rng.standard_normal((2, *truth.shape)))
    y = bridge.as_module(M)(truth + NOISE_LEVEL * noise)  # (BATCH, n, n)

    residual = odl.ReductionOperator(M, -odl.IdentityOperator(space))  # (x, y) -> M x - y
    E = 0.5 * L2NormSquared(space) @ residual + R @ odl.ComponentProjection(space**2, 0)
    energy = bridge.as_module(E)  # (BATCH, 2, n, n) -> (BATCH,)
    x = y.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([x], max_iter=2000, tolerance_grad=1e-13, tolerance_change=0,
                                  history_size=20, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = energy(torch.stack((x, y), dim=1)).sum()
        value.backward()
        return value

    optimizer.step(closure)
    values = energy(torch.stack((x, y), dim=1))
    (slope,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    (product,) = torch.autograd.grad(slope, x, direction)  # a weight times Hessian @ direction
    for i in range(BATCH):
        f = l2_fidelity(space.element(y[i].numpy())) @ M + R  # the energy of one image
        u, h = space.element(x[i].detach().numpy()), space.element(direction[i].numpy())
        assert abs(f(u) - values[i].item()) < 1e-12 * f(u)
        quotient = (f.gradient(u + STEP * h) - f.gradient(u - STEP * h)) / (2 * STEP)
        Hh = space.element(product[i].numpy()) / space.weighting.const
        assert (Hh - quotient).norm() < 1e-6 * quotient.norm()
        odls = solvers.accelerated_gradient(f, space.zero(), 1e-6, 5000, 1 + R.grad_lipschitz, XI)
        distance, bound = (u - odls.x).norm(), f.gradient(u).norm() / XI + odls.error_bound
        assert distance <= bound < 1e-5

    before, after = metrics.psnr(y, truth), metrics.psnr(x, truth)
    tiles = [torch.cat([*torch.cat([*z.detach()]).view(2, 2 * n, n)], 1) for z in (y, x, truth)]
    path = out / "odl_to_torch_smoothed_tv.png"
    captions = {"data": f"PSNR {before:.1f} dB", "torch": f"PSNR {after:.1f} dB"}
    one = ((0, n), (0, n))
    plotting.comparison(dict(zip(captions, tiles)), tiles[2], path, (0, 1), one, captions=captions)
    print(f"PSNR {before:.2f} -> {after:.2f} dB, {distance:.0e} from ODL's minimizer -> {path}")
    assert after > before + 5


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
