"""Races with SciPy, plain numpy and ASTRA, in one process: our CPU time over theirs."""

import time

import astra
import numpy as np
import odl
import scipy.sparse.linalg
import torch
from bridge_ct import Astra
from speed_tasks import SIZES, images, scan
from timing import race

from odl_learned import bridge, operators, solvers
from odl_learned.operators.tomography.projectors.geometry import ray_geometry
from odl_learned.operators.tomography.projectors.matrices import matrix_pair

ROUNDS = {"tiny": 3, "full": 9}
#: Iterations after which answers are compared: later on, directions are no longer conjugate in
#: single precision, those of either contestant, and errors grow tenfold in each iteration.
EARLY = 3


def pair_of(A):
    """The two matrices of a ray transform, and the ratio of the weights of its spaces."""
    weight = np.float32(A.range.weighting.const / A.domain.weighting.const)
    pair = matrix_pair(ray_geometry(A, "cpu"))
    return pair, pair.matrix, pair.transpose, weight


def require_same(ours, theirs, tolerance):
    """Raise AssertionError where two arrays differ: the race would compare different answers."""
    error = np.linalg.norm(ours.ravel() - theirs.ravel()) / np.linalg.norm(theirs)
    if not error <= tolerance:
        raise AssertionError(f"answers differ by {error:.1e}, expected at most {tolerance:.0e}.")


def conjugate_gradients(n, views, niter, rounds):
    """Ours and SciPy's for ``A* A + alpha`` and as many iterations."""
    A = operators.parallel_ray_transform(images(n), views)
    y = A(odl.phantom.shepp_logan(A.domain, modified=True))
    pair, M, MT, weight = pair_of(A)
    alpha = np.float32(0.01)
    H, b = A.adjoint @ A + float(alpha) * odl.IdentityOperator(A.domain), A.adjoint(y)
    theirs = scipy.sparse.linalg.LinearOperator(
        (n * n, n * n), matvec=lambda v: weight * (MT @ (M @ v)) + alpha * v, dtype=np.float32)

    def by_us(niter=niter):
        return solvers.conjugate_gradient(H, b, A.domain.zero(), 1e-30, niter)

    def by_scipy(niter=niter):
        return scipy.sparse.linalg.cg(theirs, b.data.ravel(), rtol=0, atol=0, maxiter=niter)[0]

    require_same(by_us(EARLY).x.data, by_scipy(EARLY), 1e-5)
    seconds = race(f"CG {n}^2, {niter} iterations", {"odl_learned": by_us, "SciPy": by_scipy},
                   rounds)
    return seconds["odl_learned"] / seconds["SciPy"]


def least_squares(n, views, niter, rounds):
    """Ours and SciPy's LSQR with damping and as many iterations."""
    A = operators.parallel_ray_transform(images(n), views)
    y = A(odl.phantom.shepp_logan(A.domain, modified=True))
    pair, M, MT, weight = pair_of(A)
    theirs = scipy.sparse.linalg.LinearOperator(
        M.shape, matvec=lambda v: M @ v, rmatvec=lambda v: MT @ v, dtype=np.float32)
    damp = 0.1

    def by_us(niter=niter):
        return solvers.lsqr(A, y, A.domain.zero(), 1e-30, niter, damp=damp)

    def by_scipy(niter=niter):
        return scipy.sparse.linalg.lsqr(theirs, y.data.ravel(), damp=damp / np.sqrt(weight),
                                        atol=0, btol=0, conlim=0, iter_lim=niter)[0]  # fmt: skip

    require_same(by_us(EARLY).x.data, by_scipy(EARLY), 1e-5)
    seconds = race(f"LSQR {n}^2, {niter} iterations", {"odl_learned": by_us, "SciPy": by_scipy},
                   rounds)
    return seconds["odl_learned"] / seconds["SciPy"]


def expectation_maximization(size):
    """Ours on elements, and five lines of numpy with the matrix."""
    A, _ = scan(size)
    y = A(odl.phantom.shepp_logan(A.domain, modified=True)) + 0.01 * A.range.one()
    pair, M, MT, _ = pair_of(A)
    counts, niter = y.data.ravel(), SIZES[size][2]
    sensitivity = MT @ np.ones_like(counts)

    def by_numpy():
        x = np.ones_like(sensitivity)
        for _ in range(niter):
            x *= (MT @ (counts / (M @ x + np.float32(0.01)))) / sensitivity
        return x

    def by_us():
        return solvers.mlem(A, y, A.domain.one(), 0.01 * A.range.one(), niter)

    require_same(by_us().x.data, by_numpy(), 1e-4)
    seconds = race(f"MLEM {A.domain.shape}", {"odl_learned": by_us, "numpy": by_numpy},
                   ROUNDS[size])
    return seconds["odl_learned"] / seconds["numpy"]


def projections(size):
    """Our projection and back projection of eight images, and ASTRA's one by one."""
    n, views, _ = SIZES[size]
    A = operators.parallel_ray_transform(images(n, n), 3 * views)
    x = torch.rand(8, n, n, generator=torch.Generator().manual_seed(0))
    y = torch.rand(8, *A.range.shape, generator=torch.Generator().manual_seed(1))
    module, loop = bridge.as_module(A), Astra(A)
    pair = module.native.pair
    require_same(module(x).numpy(), loop.forward(x).numpy(), 1e-5)
    ratios = []
    for name, ours, theirs in (("forward", lambda: pair.project(x), lambda: loop.forward(x)),
                               ("transpose", lambda: pair.backproject(y),
                                lambda: loop.transpose(y))):  # fmt: skip
        seconds = race(f"CT {n}^2, batch 8, {name}, ASTRA {astra.__version__}",
                       {"odl_learned": ours, "ASTRA": theirs}, ROUNDS[size])
        ratios.append(seconds["odl_learned"] / seconds["ASTRA"])
    return ratios


class _Trivial:
    """``1/4 |x|^2``, and a proximal that does nothing: what it costs is one multiplication."""

    grad_lipschitz = 1.0

    def gradient(self, x):
        return 0.5 * x

    def proximal(self, tau):
        return lambda x: x

    def __call__(self, x):
        if hasattr(x, "space"):
            return 0.25 * x.norm() ** 2
        return 0.25 * (x.numpy() ** 2).sum((1, 2))


class _Half:
    """``x -> x / 2``, its own adjoint."""

    def __call__(self, x):
        return 0.5 * x

    @property
    def adjoint(self):
        return self


def overhead(size):
    """Microseconds an iteration of first-order methods on top of gradients and proximals.

    The largest of three methods, on an element and on a batch of four of 16 x 16 pixels, with
    stopping rules and certificates.
    """
    element = images(16).one()
    found = {}
    for kind, x0 in (("element", element), ("batch", torch.ones(4, 16, 16))):
        f = _Trivial()
        solve = {
            "proximal_gradient": lambda k, x0=x0: solvers.proximal_gradient(
                f, f, x0, 1e-300, k, 1.0, g_strong_convexity=1e-3),
            "fista": lambda k, x0=x0: solvers.fista(
                f, f, x0, 1e-300, k, 1.0, g_strong_convexity=1e-3),
            "landweber": lambda k, x0=x0: solvers.landweber(
                _Half(), x0, 0.0 * x0, 1e-300, omega=1.0, maxiter=k)}  # fmt: skip
        step = _microseconds(lambda x0=x0: 0.5 * x0, 1)
        for name, function in solve.items():
            few, many = (_microseconds(lambda k=k, function=function: function(k), k)
                         for k in (10, 60))
            products = 2 if name == "landweber" else 1
            found[kind, name] = (60 * many - 10 * few) / 50 - products * step
            print(f"  {kind:8s} {name:20s} {found[kind, name]:6.0f} us an iteration", flush=True)
    return max(found.values())


def _microseconds(function, count):
    """Median CPU time of a call over a number, of nine rounds of ten calls."""
    function()
    rounds = []
    for _ in range(9):
        begin = time.process_time()
        for _ in range(10):
            function()
        rounds.append((time.process_time() - begin) / 10 / count)
    return 1e6 * float(np.median(rounds))
