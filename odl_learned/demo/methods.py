"""The methods that the demonstration compares, each as a function of a scene."""

import dataclasses
import time

import numpy as np
import odl
from tqdm import tqdm

from odl_learned.functionals import l2_fidelity
from odl_learned.variational import tgv_problem, tv_problem


@dataclasses.dataclass(frozen=True)
class Result:
    """A reconstruction: the image, seconds, iterations, and how accurate it is, in words."""

    name: str
    x: object
    seconds: float
    niter: int | None = None
    certificate: str = "direct"


def analytical(scene):
    """Filtered backprojection or zero filling."""
    start = time.perf_counter()
    x = scene.inverse_op(scene.data)
    return Result(scene.analytical, x, time.perf_counter() - start)


def tikhonov(scene, niter):
    r"""Tikhonov regularization, ``(A* A + alpha) x = A* y``, by ODL's conjugate gradients.

    The operator is bounded below by ``alpha``, so that ``|x - x_hat| <= |residual| / alpha``.
    """
    A, alpha = scene.forward_op, scene.alphas["Tikhonov"]
    start = time.perf_counter()
    normal = A.adjoint @ A + alpha * odl.IdentityOperator(A.domain)
    rhs, x = A.adjoint(scene.data), A.domain.zero()
    with _bar("Tikhonov", niter) as bar:
        odl.solvers.conjugate_gradient(normal, x, rhs, niter=niter,
                                       callback=lambda _: bar.update())
    seconds = time.perf_counter() - start
    bound = (rhs - normal(x)).norm() / alpha / x.norm()
    return Result("Tikhonov", x, seconds, niter, f"error <= {bound:.0e}")


def total_variation(scene, niter):
    """Total variation by ODL's pdhg, with a duality gap."""
    problem = tv_problem(scene.forward_op, l2_fidelity(scene.data), scene.alphas["TV"],
                         scene.constraint)
    x, seconds, gap = _pdhg("TV", problem, niter)
    return Result("TV", x, seconds, niter, f"gap {gap:.0e}")


def total_generalized_variation(scene, niter):
    """Second-order total generalized variation by ODL's pdhg, with a duality gap."""
    pixel = float(min(scene.forward_op.domain.cell_sides))
    problem = tgv_problem(scene.forward_op, l2_fidelity(scene.data), scene.alphas["TGV"],
                          2 * pixel, scene.constraint)
    x, seconds, gap = _pdhg("TGV", problem, niter)
    return Result("TGV", x[0], seconds, niter, f"gap {gap:.0e}")


def _pdhg(name, problem, niter):
    f, g, L = problem
    start = time.perf_counter()
    tau, sigma = problem.step_sizes()
    x, y = L.domain.zero(), L.range.zero()
    with _bar(name, niter) as bar:
        odl.solvers.pdhg(x, f, g, L, niter=niter, tau=tau, sigma=sigma, y=y,
                         callback=lambda _: bar.update())
    seconds = time.perf_counter() - start
    return x, seconds, problem.gap(x, y) / problem.value(x)


def discrepancy(scene, x):
    """``|A x - y| / |noise|``, about one where the data are explained and no more."""
    return float((scene.forward_op(x) - scene.data).norm()) / scene.noise_norm


def _bar(name, niter):
    return tqdm(total=niter, desc=f"{name:>26}", unit="it", leave=False)


def as_array(x):
    """The entries of an element as a numpy array."""
    return np.asarray(x.data)
