"""What `speed.py` times of the compiled sweeps, and how their cost grows with the pixels.

Tasks are functions of a size that return a function without arguments, for the package of today and
of an earlier commit alike.
"""

import math
import statistics
import time

import numpy as np
import odl
import timing  # noqa: F401  (before torch)
import torch

import odl_learned  # noqa: F401  (imports odl first)
from odl_learned import functionals, solvers
from odl_learned.bridge import as_module

#: Pixels along a side of one image and of a batch, images of the batch, pixels to grow from and to.
SIZES = {"tiny": (32, 16, 2, 16, 32), "full": (512, 96, 25, 256, 2048)}
#: Of smoothed total variation, and of the noise.
ALPHA, NU, NOISE = 0.5 * math.exp(-5), math.exp(-5), 0.1


def noisy(n, count, dtype):
    """Phantoms with noise, of shape ``(count, n, n)``."""
    space = odl.uniform_discr([-1, -1], [1, 1], (n, n))
    image = odl.phantom.shepp_logan(space, modified=True).data
    noise = np.random.default_rng(0).standard_normal((count, n, n))
    return torch.from_numpy((image + NOISE * noise).astype(dtype))


def hessian_product(n):
    """Return ``h -> f''(x) h`` for smoothed total variation of an image, by a backward pass."""
    space = odl.uniform_discr([0, 0], [n, n], (n, n), dtype="float32")
    module = as_module(functionals.SmoothedTV(space, 0.7, 0.5, 0.1))
    x = noisy(n, 1, np.float32).requires_grad_(True)
    (slope,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
    h = noisy(n, 1, np.float32).flip(1).contiguous()
    return lambda: torch.autograd.grad(slope, x, h, retain_graph=True)[0]


def hessian(size):
    """Ten products with the Hessian of smoothed total variation."""
    product = hessian_product(SIZES[size][0])
    return lambda: [product() for _ in range(10)]


def newton(size):
    """Newton's method for a batch of denoising problems with smoothed anisotropic variation."""
    try:
        from odl_learned.energies import Denoising, VariationEnergy
        from odl_learned.energies.coefficients import Coefficients
        from odl_learned.energies.potentials import Charbonnier
        from odl_learned.energies.transforms import ForwardDifferences, Separate
        from odl_learned.learning.bilevel import BilevelProblem, SquaredError
        from odl_learned.learning.bilevel.lower import LowerLevel, Newton
    except ImportError:  # where the earlier commit had them
        from odl_learned.learning.bilevel.coefficients import Coefficients
        from odl_learned.learning.bilevel.differences import ForwardDifferences
        from odl_learned.learning.bilevel.fidelities import Denoising
        from odl_learned.learning.bilevel.lower_level import LowerLevel
        from odl_learned.learning.bilevel.lower_solvers import Newton
        from odl_learned.learning.bilevel.potentials import Charbonnier
        from odl_learned.learning.bilevel.transforms import Separate
        from odl_learned.learning.bilevel.variation_energy import VariationEnergy

        from odl_learned.learning.bilevel.problem import BilevelProblem, SquaredError
    _, n, count, _, _ = SIZES[size]
    y = noisy(n, count, np.float64)
    energy = VariationEnergy(Denoising(), Separate(ForwardDifferences((n, n))), Charbonnier(),
                             lambda p: Coefficients(ALPHA * p[0], NU, 0.0))  # fmt: skip
    problem = BilevelProblem(energy, y, SquaredError(y, 1.0), y.clone())
    return lambda: LowerLevel(problem, Newton()).solve(torch.ones(1, dtype=y.dtype), 1e-6)


def large_tgv(size):
    """The proximal of total generalized variation of a large image to a relative gap of 1e-3."""
    y = noisy(SIZES[size][0], 1, np.float32)
    return lambda: solvers.tgv_denoising(y, 0.1, 1.0, 1e-3, cell_sides=(1, 1))


TASKS = {task.__name__: task for task in (hessian, newton, large_tgv)}


def growth(size, rounds=5):
    """The largest exponent of cost against pixels of an iteration or product, and each of them.

    ``log(t_2 / t_1) / log(N_2 / N_1)`` for CPU seconds ``t`` of the smallest and largest image.
    """
    _, _, _, small, large = SIZES[size]
    niter = 40 if size == "full" else 5

    def iterations(solver, *parameters):
        def of(n):
            y = noisy(n, 1, np.float32)
            return lambda: solver(y, 0.1, *parameters, 1e-12, niter, cell_sides=(1, 1))

        return of

    exponents = {}
    for name, of in (("total variation", iterations(solvers.rof)),
                     ("total generalized variation", iterations(solvers.tgv_denoising, 1.0)),
                     ("Hessian product", hessian_product)):  # fmt: skip
        seconds = [_median(of(n), repeats, rounds) for n, repeats in ((small, 8), (large, 1))]
        exponents[name] = math.log(seconds[1] / seconds[0]) / math.log((large / small) ** 2)
        print(f"  {name:28s} grows from {small}^2 to {large}^2 as N^{exponents[name]:.2f}")
    return max(exponents.values())


def _median(run, repeats, rounds):
    """CPU seconds of a run."""
    run()
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(repeats):
            run()
        seconds.append((time.process_time() - began) / repeats)
    return statistics.median(seconds)
