r"""From torch to ODL: a learned convex regularizer is an ordinary functional for ODL's solvers.

    R(x) = int sum_k sqrt((w_k * x)^2 + nu^2),     min_x  1/2 |M x - y|^2 + alpha R(x).

The filters ``w_k`` of mean zero are trained in torch, so that one gradient step ``x - grad R(x)``
denoises (as in Goujon et al., A neural-network-based convex regularizer for inverse problems,
2023, with a fixed potential); then ODL's bfgs_method fills in the missing half of the pixels.

    python examples/torch_to_odl_functional.py [smoke | paper] [--out results]
"""

import argparse
from pathlib import Path

import numpy as np
import odl
import torch
from torch.nn.functional import conv2d, pad

from odl_learned import bridge, data, metrics, operators, plotting
from odl_learned.functionals import l2_fidelity

SIZES = {"smoke": {"n": 32, "steps": 60}, "paper": {"n": 128, "steps": 200}}
NOISE_LEVEL, NU, ALPHA = 0.05, 4e-4, 0.6


class ConvexRegularizer(torch.nn.Module):
    def __init__(self, filters, cell):
        super().__init__()
        self.w, self.cell = torch.nn.Parameter(filters), cell

    def forward(self, x):  # (batch, n, n) -> (batch,), an integral over pixels of area cell
        w = self.w - self.w.mean((-2, -1), keepdim=True)
        z = conv2d(pad(x.unsqueeze(1), (2, 2, 2, 2), mode="replicate"), w)
        return self.cell * (z.square() + NU**2).sqrt().sum((1, 2, 3))


def main(n, steps, out):
    rng = np.random.default_rng(0)
    X = odl.uniform_discr([0, 0], [1, 1], (n, n), dtype="float64")
    R = ConvexRegularizer(torch.from_numpy(6e-3 * rng.standard_normal((8, 1, 5, 5))), X.cell_volume)
    bodies = torch.stack([torch.from_numpy(data.random_body(X, rng).data) for _ in range(16)])
    optimizer = torch.optim.Adam(R.parameters(), lr=1e-3)
    for _ in range(steps):
        noise = torch.from_numpy(rng.standard_normal(bodies.shape))
        noisy = (bodies + NOISE_LEVEL * noise).requires_grad_()
        (slope,) = torch.autograd.grad(R(noisy).sum(), noisy, create_graph=True)
        loss = (noisy - slope / R.cell - bodies).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    M = operators.mask_operator(X, rng.random((n, n)) < 0.5)
    truth = data.random_body(X, rng)
    y = M(data.add_white_noise(truth, NOISE_LEVEL, rng))
    E = l2_fidelity(y) @ M + ALPHA * bridge.as_functional(R, X)
    x, energies, search = y.copy(), [E(y)], odl.solvers.BacktrackingLineSearch(E)
    odl.solvers.bfgs_method(E, x, search, 30, callback=lambda x: energies.append(E(x)))
    h, t = operators.random_element(X, rng), 1e-5
    slope, quotient = E.gradient(y).inner(h), (E(y + t * h) - E(y - t * h)) / (2 * t)
    before, after = metrics.psnr(y, truth), metrics.psnr(x, truth)
    path = out / "torch_to_odl_functional.png"
    captions = {"data": f"PSNR {before:.1f} dB", "learned regularizer": f"PSNR {after:.1f} dB"}
    plotting.comparison(dict(zip(captions, (y, x))), truth, path, (0, 1), captions=captions)
    print(f"PSNR {before:.2f} -> {after:.2f} dB, energy {energies[0]:.3e} -> {energies[-1]:.3e}, "
          f"denoising error {loss.item() / NOISE_LEVEL**2:.2f} -> {path}")
    assert loss.item() < 0.6 * NOISE_LEVEL**2, "the gradient step does not denoise"
    assert all(np.diff(energies) < 0) and after > before + 5
    assert E.gradient(x).norm() < 1e-3 * E.gradient(y).norm(), "far from the minimum"
    assert abs(slope - quotient) < 1e-6 * abs(slope)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=SIZES, default="paper")
    parser.add_argument("--out", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(**SIZES[arguments.size], out=arguments.out)
