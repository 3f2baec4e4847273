"""Gradient descent, plain, accelerated and with restarts, with a certified error."""

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
    require_constants,
    require_gradient,
    require_start,
)
from odl_learned.solvers.smooth.momentum import ConstantMomentum, NoMomentum, RestartedMomentum
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.types import Image, Numbers, Smooth
from odl_learned.validation import require_count


def accelerated_gradient(
    f: Smooth[Image],
    x0: Image,
    accuracy: Numbers,
    maxiter: int,
    lipschitz: Numbers | None = None,
    strong_convexity: Numbers | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Minimize a smooth, strongly convex functional up to a certified distance.

    .. math:: x_{k+1} = y_k - \tfrac1L \nabla f(y_k), \qquad
              y_{k+1} = x_{k+1} + \frac{\sqrt L - \sqrt \mu}{\sqrt L + \sqrt \mu}
              (x_{k+1} - x_k),

    until ``|y_k - x_hat| <= |grad f(y_k)| / mu <= accuracy``, which bounds the distance of ``y_k``
    to the minimizer ``x_hat``. Needs about ``sqrt(L / mu) log(1 / accuracy)`` iterations. Of an
    element it needs ``+``, ``-``, multiplication by a number and ``norm()``; samples of a batch
    stop one by one.

    Gradients at two points differ by at least ``mu`` and at most ``L`` times their distance; a pair
    that does not proves a constant wrong, and with it the certificate. The first ten pairs of
    successive points and every tenth later one are tried. Where ``f(x)`` can be called, values
    along a short step from the start try the gradient.

    Parameters
    ----------
    f : functional
        With ``f.gradient(x)`` in the inner product whose norm the elements have; for batches with
        ``f.take(index)`` unless it is the same for all samples.
    x0 : element, or batch: array or tensor of shape ``(B, ...)``
        Starting point, not changed.
    accuracy : float, or array (B,)
        Distance to the minimizer to reach, positive, in the norm of the space. The bound is exact
        up to rounding errors of the gradient.
    maxiter : int
        Largest number of iterations.
    lipschitz : float or array (B,), optional
        Lipschitz constant ``L`` of the gradient. Default: ``f.grad_lipschitz``.
    strong_convexity : float or array (B,), optional
        Constant ``mu`` of strong convexity. Default: ``f.strong_convexity``.
    callback : callable, optional
        Called with the iterate (the whole batch) after each iteration.

    Returns
    -------
    solution : Solution
        ``error_bound`` is valid for either reason to stop, ``"accuracy"`` or ``"maxiter"``.

    Raises
    ------
    DivergenceError
        If ``lipschitz`` is too small or ``strong_convexity`` too large, ``f.gradient`` is not the
        gradient of ``f``, or values are not finite.
    TypeError
        If ``f`` has no gradient, or the starting point does not belong to its domain.
    ValueError
        If a constant is unknown or out of bounds, or the starting point is not finite.

    References
    ----------
    Nesterov, Y. Introductory Lectures on Convex Optimization. Kluwer 2004, (2.2.22).
    """
    return _descend("accelerated_gradient", ConstantMomentum, f, x0, accuracy, maxiter,
                    lipschitz, strong_convexity, callback)  # fmt: skip


def restarted_gradient(
    f: Smooth[Image],
    x0: Image,
    accuracy: Numbers,
    maxiter: int,
    lipschitz: Numbers | None = None,
    strong_convexity: Numbers | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Minimize a smooth, strongly convex functional with momentum that is forgotten uphill.

    .. math:: x_{k+1} = y_k - \tfrac1L \nabla f(y_k), \qquad
              y_{k+1} = x_{k+1} + \beta_k (x_{k+1} - x_k), \qquad f(x_{k+1}) \le f(x_k),

    where ``beta_k`` is that of `accelerated_gradient` at first. Where a bound of ``f(x_{k+1}) -
    f(x_k)`` is positive, the step is not taken, and the momentum starts anew from a small one. If
    the functional is more convex around the minimizer than ``mu`` says, this finds out and needs
    fewer iterations; see `RestartedMomentum`.

    Parameters
    ----------
    f, x0, accuracy, maxiter, lipschitz, strong_convexity, callback
        As in `accelerated_gradient`; elements also need ``inner``.

    Returns
    -------
    solution : Solution

    References
    ----------
    Nesterov, Y. Introductory Lectures on Convex Optimization. Kluwer 2004, (2.2.20) for the
    momentum. O'Donoghue, B. and Candes, E. Adaptive restart for accelerated gradient schemes.
    Found. Comput. Math. 15 (2015), for restarts; with the condition here they are monotone.
    """
    return _descend("restarted_gradient", RestartedMomentum, f, x0, accuracy, maxiter,
                    lipschitz, strong_convexity, callback)  # fmt: skip


def gradient_descent(
    f: Smooth[Image],
    x0: Image,
    accuracy: Numbers,
    maxiter: int,
    lipschitz: Numbers | None = None,
    strong_convexity: Numbers | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Minimize a smooth, strongly convex functional by plain gradient descent.

    .. math:: x_{k+1} = x_k - \frac{2}{L + \mu} \nabla f(x_k)
              \quad \text{until} \quad |\nabla f(x_k)| / \mu \le \text{accuracy} .

    Needs about ``L / (2 mu) log(1 / accuracy)`` iterations, which is why there is
    `accelerated_gradient`; parameters, certificate and errors are the same.

    Parameters
    ----------
    f, x0, accuracy, maxiter, lipschitz, strong_convexity, callback
        As in `accelerated_gradient`.

    Returns
    -------
    solution : Solution

    References
    ----------
    Nesterov, Y. Introductory Lectures on Convex Optimization. Kluwer 2004, theorem 2.1.15.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, solvers
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> E = functionals.l2_fidelity(X.one()) + functionals.SmoothedTV(X, 0.1, 0.1, xi=0.1)
    >>> solution = solvers.gradient_descent(E, X.zero(), 1e-6, 1000, E.grad_lipschitz, 1.1)
    >>> print(f"{solution.x.data[0, 0]:.5f}", solution.error_bound <= 1e-6)  # 1 / 1.1 everywhere
    0.90909 True
    """
    return _descend("gradient_descent", NoMomentum, f, x0, accuracy,
                    maxiter, lipschitz, strong_convexity, callback)  # fmt: skip


def _descend(name, momentum_of, f, x0, accuracy, maxiter, lipschitz, strong_convexity, callback):
    if not knows(f, "gradient"):
        raise TypeError(
            f"f is {f!r}; expected a functional with a gradient. A torch module becomes one by "
            "bridge.as_functional(module, domain)."
        )
    samples = samples_of(x0, getattr(f, "domain", None))
    L = known_constant("lipschitz", lipschitz, getattr(f, "grad_lipschitz", math.nan), samples)
    mu = known_constant(
        "strong_convexity", strong_convexity, getattr(f, "strong_convexity", math.nan), samples)
    if np.any(mu > L):
        k = np.argmax(mu > L)
        raise ValueError(
            f"strong_convexity is {mu[k]}, expected at most {L[k]}, the value of lipschitz: "
            "gradients cannot change by more than lipschitz and less than strong_convexity times a "
            "distance."
        )
    accuracy = per_sample("accuracy", accuracy, samples)
    require_count("maxiter", maxiter, 0)
    require_start("x0", x0, samples, getattr(f, "domain", None), "f.domain")

    active = Active(samples, x0)
    momentum = momentum_of(L, mu)
    x = y = samples.scale(1.0, x0)
    gradient = f.gradient
    slope = gradient(y)
    require_alike("f.gradient(x0)", slope, y)
    for niter in range(maxiter + 1):
        bound = samples.norm(slope) / mu
        bad = ~np.isfinite(bound)
        if bad.any():
            raise DivergenceError(
                f"{name} diverges: the gradient{active.name(bad)} is not finite at iteration "
                f"{niter}. Pass a lipschitz larger than {L[np.argmax(bad)]:.6g}, or check "
                "f.gradient(x0)."
            )
        done = bound <= accuracy
        if niter == maxiter or done.any():
            reason = np.where(done, "accuracy", "maxiter")
            rest = active.finish(done | (niter == maxiter), y, niter, reason, error_bound=bound)
            if not rest.size:
                break
            x, y, slope = (samples.take(v, rest) for v in (x, y, slope))
            L, mu, accuracy = (v[rest] for v in (L, mu, accuracy))
            momentum.take(rest)
            f, samples = restricted(f, rest), samples.subset(rest)
            gradient = f.gradient
        x_next = samples.add(y, -momentum.step, slope)
        x_next, y_next = momentum.extrapolate(samples, x, y, slope, x_next)
        slope_next = gradient(y_next)
        if niter < 10 or niter % 10 == 0:
            require_constants(name, active, samples, y_next, y_next - y, slope_next - slope, L, mu)
        if niter == 0:
            short = samples.scale(-1e-2 / L, slope)
            require_gradient(name, active, samples, f, y, slope, short, L)
        x, y, slope = x_next, y_next, slope_next
        if callback is not None:
            callback(active.whole(y))
    return active.solution()
