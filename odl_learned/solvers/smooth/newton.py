"""Newton's method with conjugate gradients inside, certified, for elements and for batches."""

import math
from collections.abc import Callable

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import numbers_of, restricted, samples_of
from odl_learned.solvers.checks import (
    known_constant,
    per_sample,
    require_alike,
    require_constants,
    require_gradient,
    require_start,
)
from odl_learned.solvers.conjugate_gradient import iterate
from odl_learned.solvers.smooth.newton_model import NewtonModel
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.types import Image, Numbers, Smooth
from odl_learned.validation import require_count

INNER = 500  # A truncated conjugate gradient iteration is a descent direction, too.
SHORTEST = 1e-10


def newton_krylov(
    f: Smooth[Image],
    x0: Image,
    accuracy: Numbers,
    maxiter: int,
    callback: Callable[[Image], object] | None = None,
    precondition: Callable[[Image], Image] | None = None,
    strong_convexity: Numbers | None = None,
) -> Solution[Image]:
    r"""Minimize a smooth, strongly convex functional by Newton's method.

    .. math:: |\nabla^2 f(x_k) d_k + \nabla f(x_k)| \le \eta_k |\nabla f(x_k)|, \qquad
              x_{k+1} = x_k + t_k d_k,

    until ``|x_k - x_hat| <= |grad f(x_k)| / mu <= accuracy``. The directions come from
    preconditioned conjugate gradients, with forcing terms ``eta_k`` that shrink with the squared
    rate of the gradients, but no further than the accuracy asks for.

    A step ``t`` is taken if it halves the smallest gradient so far, or if it is certain to decrease
    ``f``. By strong convexity

    .. math:: f(x + t d) \le f(x) + t \langle \nabla f(x + t d), d \rangle
              - \tfrac{\mu}{2} |t d|^2,

    so that gradients alone prove a decrease; if ``f(x)`` can be called, the rule of Armijo counts,
    too, where rounding errors of values allow. Otherwise ``t`` moves towards the zero of the slope
    along ``d``, by at least a half. The iteration converges from every point, also if the second
    derivative is only piecewise continuous; where it is Lipschitz, quadratically.

    Parameters
    ----------
    f : functional
        With ``f.linearize(x)``, an object whose attributes are ``gradient``, ``hessian`` (a
        callable ``v -> H v``) and perhaps ``precondition``; or with ``f.gradient(x)`` and
        ``f.gradient.derivative(x)``, as of ODL. For batches with ``f.take(index)``, unless it is
        the same for all samples.
    x0 : element, or batch: array or tensor of shape ``(B, ...)``
        Starting point, not changed.
    accuracy : float, or array (B,)
        Distance to the minimizer to reach, positive, in the norm of the space.
    maxiter : int
        Largest number of Newton steps.
    callback : callable, optional
        Called with the iterate (the whole batch) after each step.
    precondition : callable, optional
        ``v -> M^-1 v``, symmetric positive definite and near the inverse of the Hessian, such as
        `circulant` and `cosine`. Default: that of ``f.linearize(x)``, or the identity.
    strong_convexity : float or array (B,), optional
        Constant ``mu``. Default: ``f.strong_convexity``.

    Returns
    -------
    solution : Solution
        ``error_bound`` is valid for every reason to stop.

    Raises
    ------
    DivergenceError
        If the Hessian is not positive definite, ``mu`` too large, values are not finite, or
        gradients do not belong to one convex functional.
    TypeError
        If ``f`` has no Hessian, or the starting point does not belong to its domain.
    ValueError
        If the constant is unknown, a number is out of bounds, or the starting point not finite.

    References
    ----------
    Eisenstat, S. C. and Walker, H. F. Choosing the forcing terms in an inexact Newton method.
    SIAM J. Sci. Comput. 17 (1996), choice 2.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import bridge, functionals, solvers
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> y = functionals.l2_fidelity(odl.phantom.shepp_logan(X, modified=True))
    >>> E = y + functionals.SmoothedTV(X, 0.1, 0.5, xi=0.0)
    >>> f = bridge.as_functional(bridge.as_module(E), X)  # which has second derivatives
    >>> solution = solvers.newton_krylov(f, X.zero(), 1e-6, 50, strong_convexity=1.0)
    >>> print(solution.niter < 20, E.gradient(solution.x).norm() < 2e-6)
    True True
    """
    samples = samples_of(x0, getattr(f, "domain", None))
    mu = known_constant(
        "strong_convexity", strong_convexity, getattr(f, "strong_convexity", math.nan), samples)
    accuracy = per_sample("accuracy", accuracy, samples)
    require_count("maxiter", maxiter, 0)
    require_start("x0", x0, samples, getattr(f, "domain", None), "f.domain")

    active = Active(samples, x0)
    x = samples.scale(1.0, x0)
    model = NewtonModel(f, x, precondition, samples)
    require_alike("the gradient at x0", model.gradient, x)
    previous = best = samples.norm(model.gradient)
    forcing = np.full(samples.size, 0.5)
    stuck = np.zeros(samples.size, dtype=bool)
    for niter in range(maxiter + 1):
        size = samples.norm(model.gradient)
        bad = ~np.isfinite(size)
        if bad.any():
            raise DivergenceError(
                f"newton_krylov diverges: the gradient{active.name(bad)} is not finite at iteration"
                f" {niter}. Check the gradient at x0, and that f is smooth."
            )
        done = size <= mu * accuracy
        over = done | stuck | (niter == maxiter)
        if over.any():
            reason = np.where(done, "accuracy", np.where(stuck, "rounding", "maxiter"))
            rest = active.finish(over, x, niter, reason, error_bound=size / mu)
            if not rest.size:
                break
            x, model, f = samples.take(x, rest), model.take(rest), restricted(f, rest)
            size, previous, best, forcing, mu, accuracy = (
                v[rest] for v in (size, previous, best, forcing, mu, accuracy))
            precondition = None if precondition is None else restricted(precondition, rest)
            samples = samples.subset(rest)
        forcing = _forcing(forcing, size, previous) if niter else forcing
        target = np.minimum(0.5 * size, np.maximum(forcing * size, 0.5 * mu * accuracy))
        d, _, _ = iterate(model, samples.scale(0.0, x), samples.scale(-1.0, model.gradient), target,
                          np.full(samples.size, INNER), samples, None, "newton_krylov")  # fmt: skip
        best = np.minimum(best, size)
        trial = samples.add(x, 1.0, d)
        following = NewtonModel(f, trial, precondition, samples)
        t, stuck = _search(f, x, d, model, following, mu, best, samples)
        if stuck.any():
            _require_precision(f, x, model, size, stuck, active, samples, niter)
        if (t < 1).any():
            trial = samples.add(x, t, d)
            following = NewtonModel(f, trial, precondition, samples)
        require_constants("newton_krylov", active, samples, trial, trial - x,
                          following.gradient - model.gradient, np.full(samples.size, math.inf), mu)
        if niter == 0:
            require_gradient("newton_krylov", active, samples, f, x, model.gradient,
                             samples.scale(1e-2 * t, d))  # fmt: skip
        stuck |= _at_rounding(f, x, d, model, size, samples.norm(following.gradient), samples)
        x, model, previous = trial, following, size
        if callback is not None:
            callback(active.whole(x))
    return active.solution()


def _forcing(forcing, size, previous):
    safeguard = 0.9 * forcing**2
    rate = 0.9 * (size / previous) ** 2
    return np.minimum(0.5, np.where(safeguard > 0.1, np.maximum(rate, safeguard), rate))


def _search(f, x, d, model, following, mu, best, samples):
    """Return steps ``t``, and which samples find none."""
    start, length = samples.inner(model.gradient, d), samples.norm(d)
    t, slope = np.ones(samples.size), samples.inner(following.gradient, d)
    accepted = _accepts(f, x, d, t, start, slope, length, mu,
                        samples.norm(following.gradient), best, samples)  # fmt: skip
    stuck = np.zeros(samples.size, dtype=bool)
    while not accepted.all():
        index = np.flatnonzero(~accepted)
        zero = start[index] / (start[index] - slope[index])
        zero = np.where(np.isfinite(zero), zero, 0.1)
        t[index] *= np.clip(zero, 0.1, 0.5)
        part, g = samples.subset(index), restricted(f, index)
        x_part, d_part = samples.take(x, index), samples.take(d, index)
        gradient = g.gradient(part.add(x_part, t[index], d_part))
        slope[index] = part.inner(gradient, d_part)
        accepted[index] = _accepts(g, x_part, d_part, t[index], start[index], slope[index],
                                   length[index], mu[index], part.norm(gradient), best[index], part)
        stuck |= ~accepted & (t < SHORTEST)
        accepted |= stuck
    return np.where(stuck, 0, t), stuck


def _accepts(f, x, d, t, start, slope, length, mu, size, best, samples):
    certain = t * slope <= mu / 4 * (t * length) ** 2
    accepted = np.isfinite(size) & (certain | (size <= 0.5 * best))
    open_ = np.flatnonzero(~accepted & np.isfinite(size))
    if callable(f) and open_.size:
        g, part = restricted(f, open_), samples.subset(open_)
        x, d, t = samples.take(x, open_), samples.take(d, open_), t[open_]
        before, after = numbers_of(g(x)), numbers_of(g(part.add(x, t, d)))
        margin = -1e-4 * t * start[open_]
        precise = margin > 10 * part.eps(x) * np.abs(before)
        accepted[open_] = precise & (after <= before - margin)
    return accepted


# The gradient of a quadratic, H x - b, carries rounding errors of about eps |H x|.
def _rounding(f, x, model, samples):
    scale = samples.norm(model.product(x))
    known = np.asarray(getattr(f, "grad_lipschitz", math.nan), dtype=float)
    known = np.where(np.isfinite(known), known, 0) * samples.norm(x)
    return 100 * samples.eps(x) * np.maximum(scale, known)


def _at_rounding(f, x, d, model, before, after, samples):
    """Which gradients no longer shrink, although the step is tiny, and are rounding errors."""
    stalled = (after > 0.5 * before) & (
        samples.norm(d) <= math.sqrt(samples.eps(x)) * samples.norm(x))
    return stalled & (after <= _rounding(f, x, model, samples)) if stalled.any() else stalled


def _require_precision(f, x, model, size, stuck, active, samples, niter):
    wrong = stuck & (size > _rounding(f, x, model, samples))
    if wrong.any():
        raise DivergenceError(
            f"newton_krylov fails: no step along a descent direction{active.name(wrong)} decreases "
            f"f at iteration {niter}. Check that gradient and Hessian belong to f, and that "
            "strong_convexity is a bound from below."
        )
