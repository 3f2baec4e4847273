"""What `speed.py` times, by name: functions of a size that return a function without arguments.

They use only what the package had before, too, so that one file runs with both.
"""

import numpy as np
import odl
import timing  # noqa: F401  (before torch)
import torch

from odl_learned import bridge, functionals, operators, solvers, variational

#: Pixels along a side, views, iterations.
SIZES = {"tiny": (24, 8, 6), "full": (256, 60, 20)}


def images(n, side=2.0):
    """A square of ``n x n`` pixels."""
    return odl.uniform_discr([-side / 2] * 2, [side / 2] * 2, (n, n), dtype="float32")


def scan(size):
    """A ray transform and data of a phantom with noise."""
    n, views, _ = SIZES[size]
    A = operators.parallel_ray_transform(images(n), views)
    rng = np.random.default_rng(0)
    y = A(odl.phantom.shepp_logan(A.domain, modified=True))
    return A, y + 0.01 * A.range.element(rng.standard_normal(A.range.shape))


def pdhg_ct(size):
    """Total variation from tomographic data by ODL's own primal-dual iteration."""
    A, y = scan(size)
    problem = variational.tv_problem(A, functionals.l2_fidelity(y), 0.01)
    tau, sigma = problem.step_sizes()

    def run():
        x = A.domain.zero()
        odl.solvers.pdhg(x, *problem, niter=SIZES[size][2], tau=tau, sigma=sigma)

    return run


def denoising(size):
    """Denoising by total variation as a problem."""
    space = images(SIZES[size][0], SIZES[size][0])
    rng = np.random.default_rng(0)
    noise = 0.1 * space.element(rng.standard_normal(space.shape))
    y = odl.phantom.shepp_logan(space, modified=True) + noise
    return variational.tv_problem(odl.IdentityOperator(space), functionals.l2_fidelity(y), 0.1)


def primal_dual_batch(size):
    """The method with its own choice of steps and its certificates, on a batch of four."""
    problem, n = bridge.as_batch(denoising(size)), SIZES[size][0]
    maxiter = 45 if size == "full" else 12
    return lambda: solvers.primal_dual(problem, x0=torch.zeros(4, n, n), accuracy=1e-12,
                                       maxiter=maxiter)


def primal_dual_element(size):
    """The method with fixed steps, as ODL's, on an element: iterations after the first twelve.

    In those constants are tried; the next certificate but the last is that of iteration 20.
    """
    problem = denoising(size)
    x0, steps = problem.L.domain.zero(), solvers.FixedSteps()

    def run(maxiter):
        solvers.primal_dual(problem, x0=x0, accuracy=1e-12, maxiter=maxiter, steps=steps)

    return (lambda: run(19 if size == "full" else 13)), (lambda: run(12))


def pdhg_element(size):
    """ODL's method on the same problem, as many iterations."""
    problem = denoising(size)
    tau, sigma = problem.step_sizes()

    def run(niter):
        x = problem.L.domain.zero()
        odl.solvers.pdhg(x, *problem, niter=niter, tau=tau, sigma=sigma)

    return (lambda: run(19 if size == "full" else 13)), (lambda: run(12))


def tv(size):
    """The proximal of total variation of a large image to a relative gap of 1e-3."""
    n = 2 * SIZES[size][0]
    rng = np.random.default_rng(0)
    y = odl.phantom.shepp_logan(images(n), modified=True).data
    y = torch.from_numpy((y + 0.1 * rng.standard_normal(y.shape)).astype(np.float32))[None]
    return lambda: solvers.rof(y, 0.1, 1e-3, cell_sides=(1, 1))


TASKS = {task.__name__: task for task in (
    pdhg_ct, primal_dual_batch, primal_dual_element, pdhg_element, tv)}  # fmt: skip
