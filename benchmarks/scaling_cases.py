"""What `scaling.py` times: functions of a side that return contestants by name.

A contestant is a function without arguments and the factor by which its time is multiplied, one
over the images or iterations in it. Where ``check`` is true they are held against each other first.
"""

import numpy as np
import odl
import peers
import scipy.sparse.linalg
import timing  # noqa: F401  (before torch)
import torch
import tv

from odl_learned import bridge, data, functionals, operators, solvers
from odl_learned.operators.tomography.projectors.geometry import ray_geometry
from odl_learned.operators.tomography.projectors.matrices import matrix_pair

VIEWS = 30
#: Side above which the matrix of the rays would exceed `SPARSE_LIMIT`, and ASTRA computes.
LARGEST_MATRIX = 1024
#: Iterations that are timed; those that are needed are counted at this side.
TIMED, COUNTED_AT = 8, 128


def space_of(n, dtype="float32"):
    """A square of the side two."""
    return odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype=dtype)


def phantom(space):
    """A phantom with noise, an element."""
    noise = np.random.default_rng(0).standard_normal(space.shape)
    return odl.phantom.shepp_logan(space, modified=True) + 0.1 * space.element(noise)


def tv_proximal(n, check):
    """TV proximal to a relative gap of 1e-3, iterations as needed at 128^2."""
    counts, y = _iterations(), phantom(space_of(n)).data

    def ours():
        return solvers.rof(y, tv.ALPHA, 1e-12, TIMED, cell_sides=(1, 1)).x

    contestants = {"odl_learned": (ours, counts["odl_learned"] / TIMED),
                   "ODL, pdhg": (lambda: tv.odl_prox(y, TIMED), counts["ODL, pdhg"] / TIMED)}
    if tv.has_skimage():
        contestants["scikit-image"] = (lambda: tv.skimage_prox(y, TIMED),
                                       counts["scikit-image"] / TIMED)
    return contestants


_counts = {}


def _iterations():
    """How many iterations each method needs to come within 1e-3 of the minimum, counted once."""
    if not _counts:
        y = phantom(space_of(COUNTED_AT)).data
        exact = solvers.rof(y.astype(np.float64), tv.ALPHA, 1e-5, cell_sides=(1, 1))
        objective = tv.tv_objective(y.astype(np.float64))
        minimum = objective(exact.x) - exact.gap
        _counts["odl_learned"] = solvers.rof(y, tv.ALPHA, tv.TARGET, cell_sides=(1, 1)).niter
        others = {"ODL, pdhg": tv.odl_prox}
        if tv.has_skimage():
            others["scikit-image"] = tv.skimage_prox
        for name, method in others.items():
            _counts[name] = tv.least_iterations(method, objective, minimum, y)
    return _counts


def projections(n, check):
    """Projection and back projection, 30 views."""
    A = operators.parallel_ray_transform(space_of(n), VIEWS)
    by_astra = odl.applications.tomo.RayTransform(A.domain, A.geometry, impl="astra_cpu")
    x = phantom(A.domain)
    back = bridge.as_module(A.adjoint)
    forward, batch = bridge.as_module(A), torch.from_numpy(np.stack([x.data] * 8))

    def many():
        with torch.no_grad():
            return back(forward(batch))

    if check:
        require_same(A.adjoint(A(x)).data, by_astra.adjoint(by_astra(x)).data)
        require_same(many()[3].numpy(), by_astra.adjoint(by_astra(x)).data)
    contestants = {"ODL with our matrix": (lambda: A.adjoint(A(x)), 1.0),
                   "ODL with ASTRA": (lambda: by_astra.adjoint(by_astra(x)), 1.0)}
    if n <= LARGEST_MATRIX:
        contestants["odl_learned, an image of eight"] = (many, 1 / 8)
    return contestants


def conjugate_gradient(n, check):
    """An iteration of conjugate gradients, 30 views."""
    if n > LARGEST_MATRIX:
        return {}
    A = operators.parallel_ray_transform(space_of(n), VIEWS)
    pair, alpha = matrix_pair(ray_geometry(A, "cpu")), np.float32(0.01)
    weight = np.float32(A.range.weighting.const / A.domain.weighting.const)
    H = A.adjoint @ A + float(alpha) * odl.IdentityOperator(A.domain)
    b = A.adjoint(A(phantom(A.domain)))
    theirs = scipy.sparse.linalg.LinearOperator(
        (n * n, n * n), dtype=np.float32,
        matvec=lambda v: weight * (pair.transpose @ (pair.matrix @ v)) + alpha * v)

    def by_us(niter=TIMED):
        return solvers.conjugate_gradient(H, b, A.domain.zero(), 1e-30, niter).x.data

    def by_scipy(niter=TIMED):
        return scipy.sparse.linalg.cg(theirs, b.data.ravel(), rtol=0, atol=0, maxiter=niter)[0]

    if check:  # later, directions are no longer conjugate in single precision, of either
        require_same(by_us(3).ravel(), by_scipy(3))
    return {"odl_learned": (by_us, 1 / TIMED), "SciPy": (by_scipy, 1 / TIMED)}


def smoothed_tv(n, check):
    """Gradient of smoothed total variation."""
    space = space_of(n)
    functional = functionals.SmoothedTV(space, 0.7, 0.5, 0.0)
    gradient, module = functional.gradient, bridge.as_module(functional)
    element = phantom(space)
    x = torch.from_numpy(element.data.copy())[None].requires_grad_(True)
    sides, cell = tuple(map(float, space.cell_sides)), float(space.cell_volume)

    def plain(u):
        down = torch.nn.functional.pad(u[:, 1:] - u[:, :-1], (0, 0, 0, 1)) / sides[0]
        right = torch.nn.functional.pad(u[:, :, 1:] - u[:, :, :-1], (0, 1)) / sides[1]
        return 0.7 * cell * torch.sqrt(down**2 + right**2 + 0.5**2).sum()

    def by(function):
        return lambda: torch.autograd.grad(function(x).sum(), x)[0]

    if check:
        for run in (by(module), by(plain)):
            require_same(run()[0].numpy(), cell * gradient(element).data)
    return {"odl_learned": (by(module), 1.0), "ODL": (lambda: gradient(element), 1.0),
            "torch, written out": (by(plain), 1.0)}


def mri(n, check):
    """Normal operator of MRI with four coils."""
    space = space_of(n, "complex64")
    mask = data.cartesian_mask(space.shape, 0.25, 0.08, np.random.default_rng(0))
    op = operators.MultiCoilFourier(space, mask, data.simulated_sensitivities(space, 4))
    normal, axes = bridge.as_module(op.normal), (-2, -1)
    x = torch.randn(1, n, n, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    maps, weights = torch.from_numpy(op.sensitivities.copy()), torch.from_numpy(op.weights.copy())

    def plain():
        k = torch.fft.fft2(torch.fft.ifftshift(maps * x[:, None], dim=axes), norm="ortho")
        k = weights * (weights * torch.fft.fftshift(k, dim=axes))
        images = torch.fft.ifft2(torch.fft.ifftshift(k, dim=axes), norm="ortho")
        return (maps.conj() * torch.fft.fftshift(images, dim=axes)).sum(1)

    contestants = {"odl_learned": lambda: normal(x), "torch, written out": plain}
    deepinv = peers.deepinv()
    if deepinv is not None:
        physics = deepinv.physics.MultiCoilMRI(mask=weights[None, None], coil_maps=maps[None],
                                               img_size=(2, n, n))
        pairs = torch.view_as_real(x).movedim(-1, 1).contiguous()
        contestants["deepinv"] = lambda: physics.A_adjoint_A(pairs)
    if check:
        require_same(normal(x).numpy(), plain().numpy())
    return {name: (timing.without_gradients(run), 1.0) for name, run in contestants.items()}


def title(case):
    """What a case computes, as a title."""
    return case.__doc__.splitlines()[0].rstrip(".")


def require_same(ours, theirs, tolerance=1e-5):
    """Raise AssertionError where two arrays differ: the race would compare different answers."""
    error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    if not error <= tolerance:
        raise AssertionError(f"answers differ by {error:.1e}, expected at most {tolerance:.0e}.")


CASES = {case.__name__: case for case in (
    tv_proximal, projections, conjugate_gradient, smoothed_tv, mri)}  # fmt: skip
