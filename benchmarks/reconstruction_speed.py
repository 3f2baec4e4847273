"""What parts of reconstruction maps cost: activations, filtered backprojection, fixed points.

What a whole step of training costs is in ``reconstruction_steps``.
"""

import numpy as np
import odl
import torch
from timing import race, require_close, without_gradients

from odl_learned import bridge, networks, operators, solvers

SIZES = {"tiny": (16, 1, 3), "full": (64, 2, 9)}  # pixels, batch, rounds
FILTERS, CENTERS, RADIUS = 16, 31, 1.5


def measure(size):
    """Return the ratios by name."""
    n, batch, rounds = SIZES[size]
    return {"rbf_speedup": activations(n, batch, rounds), "fbp_vs_adjoint": backprojection(
        n, batch, rounds), "anderson_vs_plain": acceleration(n)}


def activations(n, batch, rounds):
    """Time of a loop over Gaussians over that of the table, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    table = networks.RadialBasis(FILTERS, CENTERS, RADIUS)
    table.weights.data = torch.randn(FILTERS, CENTERS, generator=generator)
    mu = torch.linspace(-RADIUS, RADIUS, CENTERS)
    t = torch.randn(batch, FILTERS, n, n, generator=generator, requires_grad=True)

    def loop(x):
        total = 0
        for j, center in enumerate(mu):
            bell = torch.exp(-0.5 * ((x - center) / (mu[1] - mu[0])) ** 2)
            total = total + table.weights[:, j].view(1, -1, 1, 1) * bell
        return total

    require_close("the table", table(t), loop(t), 3e-4)
    seconds = race(
        f"{FILTERS} activations of {CENTERS} Gaussians, {batch} x {n}^2, forward and backward",
        {name: lambda f=f: f(t).square().sum().backward() for name, f in
         (("loop over Gaussians", loop), ("networks.RadialBasis", table))}, rounds)
    return seconds["loop over Gaussians"] / seconds["networks.RadialBasis"]


def backprojection(n, batch, rounds):
    """Time of the module of filtered backprojection over that of the adjoint."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    op = operators.parallel_ray_transform(space, 30)
    y = torch.randn(batch, *op.range.shape, generator=torch.Generator().manual_seed(0))
    adjoint, inverse = bridge.as_module(op.adjoint), bridge.as_module(operators.fbp(op))
    seconds = race(f"backprojection, {batch} x {n}^2, 30 views", {
        "adjoint": without_gradients(lambda: adjoint(y)),
        "filtered": without_gradients(lambda: inverse(y))}, rounds)
    return seconds["filtered"] / seconds["adjoint"]


def acceleration(n):
    """Iterations of Anderson's method over those of the plain one, to a residual of 1e-4.

    Gradient steps ``u -> S (u - A^* (A u - y))`` with a Gaussian blur S, a contraction.
    """
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float32")
    op = operators.normalized(operators.parallel_ray_transform(space, 30))
    forward, adjoint = bridge.as_module(op), bridge.as_module(op.adjoint)
    blur = bridge.as_module(operators.ReflectingConvolution(space, operators.gaussian_kernel(
        space, 0.5 * float(space.cell_sides[0]))))
    y = forward(torch.rand(4, n, n, generator=torch.Generator().manual_seed(0)))

    class Step:
        def __init__(self, data):
            self.data = data

        def __call__(self, u):
            with torch.no_grad():
                return blur(u - adjoint(forward(u) - self.data))

        def take(self, index):
            return Step(self.data[index])

    plain, mixed = (solvers.fixed_point(Step(y), torch.zeros(4, n, n), 1e-4, 5000, memory)
                    for memory in (0, 5))  # fmt: skip
    print(f"\nfixed point, {n}^2, residual 1e-4: plain {plain.niter.tolist()} iterations, "
          f"Anderson {mixed.niter.tolist()}", flush=True)
    return float(np.mean(mixed.niter) / np.mean(plain.niter))
