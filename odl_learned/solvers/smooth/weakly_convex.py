"""Accelerated gradients for functionals that are smooth and only weakly convex."""

import math
from collections.abc import Callable

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import (
    known_constant,
    knows,
    per_sample,
    require_alike,
    require_start,
)
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.types import Image, Numbers, Smooth
from odl_learned.validation import require_count


def stationary_gradient(
    f: Smooth[Image],
    x0: Image,
    accuracy: Numbers,
    maxiter: int,
    lipschitz: Numbers | None = None,
    weak_convexity: Numbers | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Find a stationary point of a smooth functional, with momentum that never leads uphill.

    .. math:: x_{k+1} = y_k - \tfrac1L \nabla f(y_k), \qquad
              y_{k+1} = x_{k+1} + \beta_k (x_{k+1} - x_k)
              \quad \text{until} \quad |\nabla f(y_k)| \le \text{accuracy},

    with Nesterov's momentum. If ``f + rho/2 |.|^2`` is convex, ``f(y) <= f(x) + <grad f(y), y - x>
    + rho/2 |y - x|^2``, and a gradient step takes ``|grad f(y)|^2 / (2 L)`` off. Where the sum is
    positive, the step is not taken and the momentum starts anew at ``x_k``. So ``f(x_k)`` never
    increases, and gradients tend to zero: a step from ``y = x`` always decreases.

    Parameters
    ----------
    f : functional
        With ``f.gradient(x)``; for batches with ``f.take(index)`` unless it is the same for all
        samples.
    x0 : element, or batch: array or tensor of shape ``(B, ...)``
        Starting point, not changed.
    accuracy : float, or array (B,)
        Norm of the gradient to reach, positive.
    maxiter : int
        Largest number of iterations.
    lipschitz : float or array (B,), optional
        Lipschitz constant ``L`` of the gradient. Default: ``f.grad_lipschitz``.
    weak_convexity : float or array (B,), optional
        ``rho``, positive. Default: ``f.weak_convexity``; L where it is unknown.
    callback : callable, optional
        Called with the iterate (the whole batch) after each iteration.

    Returns
    -------
    solution : Solution
        ``residual`` is the norm of the gradient at ``x``; there is no ``error_bound``, since there
        may be several minimizers.

    Raises
    ------
    DivergenceError
        If values are not finite.
    TypeError
        If ``f`` has no gradient, or the starting point does not belong to its domain.
    ValueError
        If a constant is unknown or out of bounds, or the starting point is not finite.

    References
    ----------
    Beck, A. and Teboulle, M. A fast iterative shrinkage-thresholding algorithm for linear inverse
    problems. SIAM J. Imaging Sci. 2 (2009), for the momentum; `solvers.restarted_gradient` for the
    condition, which is the one of strong convexity with ``mu = -rho``.
    """
    if not knows(f, "gradient"):
        raise TypeError(f"f is {f!r}; expected a functional with a gradient. A torch module "
                        "becomes one by bridge.as_functional(module, domain).")
    samples = samples_of(x0, getattr(f, "domain", None))
    L = known_constant("lipschitz", lipschitz, getattr(f, "grad_lipschitz", math.nan), samples)
    if weak_convexity is None:
        weak_convexity = getattr(f, "weak_convexity", None)
    rho = L if weak_convexity is None else per_sample("weak_convexity", weak_convexity, samples)
    accuracy = per_sample("accuracy", accuracy, samples)
    require_count("maxiter", maxiter, 0)
    require_start("x0", x0, samples, getattr(f, "domain", None), "f.domain")

    active = Active(samples, x0)
    x = y = samples.scale(1.0, x0)
    t = np.ones(samples.size)
    for niter in range(maxiter + 1):
        slope = f.gradient(y)
        if niter == 0:
            require_alike("f.gradient(x0)", slope, y)
        size = samples.norm(slope)
        bad = ~np.isfinite(size)
        if bad.any():
            raise DivergenceError(
                f"stationary_gradient diverges: the gradient{active.name(bad)} is not finite at "
                f"iteration {niter}. Pass a lipschitz larger than {L[np.argmax(bad)]:.6g}, or "
                "check f.gradient(x0).")
        done = size <= accuracy
        if niter == maxiter or done.any():
            reason = np.where(done, "accuracy", "maxiter")
            rest = active.finish(done | (niter == maxiter), y, niter, reason, residual=size)
            if not rest.size:
                break
            x, y, slope = (samples.take(v, rest) for v in (x, y, slope))
            L, rho, accuracy, t, size = (v[rest] for v in (L, rho, accuracy, t, size))
            f, samples = restricted(f, rest), samples.subset(rest)
        way = samples.add(y, -1.0, x)
        rise = samples.inner(slope, way) + 0.5 * rho * samples.inner(way, way)
        uphill = rise > 0.5 * size**2 / L
        x_next = samples.add(y, -1 / L, slope)
        if uphill.any():
            back = np.flatnonzero(uphill)
            x_next = samples.put(x_next, back, samples.take(x, back))
        t = np.where(uphill, 1.0, t)
        t_next = 0.5 * (1 + np.sqrt(1 + 4 * t**2))
        beta = np.where(uphill, 0.0, (t - 1) / t_next)
        x, y, t = x_next, samples.extrapolate(x_next, beta, x), np.where(uphill, 1.0, t_next)
        if callback is not None:
            callback(active.whole(y))
    return active.solution()
