"""LSQR: least squares and Tikhonov's problem by Golub-Kahan bidiagonalization."""

from collections.abc import Callable

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import Element, restricted, samples_of
from odl_learned.solvers.checks import (
    per_sample,
    require_adjoint,
    require_alike,
    require_forward_operator,
    require_start,
)
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.stopping import confirmed
from odl_learned.solvers.types import Data, Image, LinearMap, Numbers
from odl_learned.validation import is_finite_number, require_count


def lsqr(
    forward_op: LinearMap[Image, Data],
    data: Data,
    x0: Image,
    accuracy: Numbers,
    maxiter: int,
    damp: Numbers = 0.0,
    noise_norm: Numbers | None = None,
    tau: float = 1.1,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Solve least squares problems, damped or stopped by the discrepancy principle.

    .. math:: \min_x \tfrac12 |A x - y|^2 + \tfrac{\alpha}{2} |x|^2, \qquad
              \sqrt \alpha = \text{damp},

    in the norms of the spaces, without forming ``A* A``. With damping it stops at a certified
    distance to the minimizer,

    .. math:: |x - \hat x| \le |A^* (A x - y) + \alpha x| / \alpha \le \text{accuracy},

    computed from ``x``, not by the recurrence. Without, it stops at Paige and Saunders' estimates,

    .. math:: |A^* r| \le \text{accuracy} \, |A| \, |r| \quad \text{or} \quad
              |r| \le \text{accuracy} \, (|y| + |A| \, |x|), \qquad r = y - A x .

    Parameters
    ----------
    forward_op : linear operator
        ``A`` with ``A.adjoint``; for batches with ``take(index)``, unless it is the same for all
        samples.
    data : element of the range, or batch ``(B, ...)``
        Measurement ``y``.
    x0 : element of the domain, or batch ``(B, ...)``
        Starting point, not changed; zero for the classical method.
    accuracy : float or array (B,)
        Distance to the minimizer to reach with damping, a relative accuracy without. Positive.
    maxiter : int
        Largest number of iterations, with one product by ``A`` and by its adjoint each.
    damp : float or array (B,), optional
        Square root of the regularization parameter ``alpha``, nonnegative.
    noise_norm : float or array (B,), optional
        Norm of the noise in the norm of the range, positive: stop as soon as
        ``|A x - y| <= tau |noise|``, if this comes first.
    tau : float, optional
        Safety factor, at least one.
    callback : callable, optional
        Called with the iterate (the whole batch) after each iteration.

    Returns
    -------
    solution : Solution
        ``error_bound`` with damping only.

    Raises
    ------
    DivergenceError
        If ``forward_op.adjoint`` turns out not to be the adjoint, or values are not finite.
    TypeError
        If the operator is nonlinear, or data or starting point do not belong to its spaces.
    ValueError
        If a number is out of bounds or the data are not finite.

    References
    ----------
    Paige, C. C. and Saunders, M. A. LSQR: an algorithm for sparse linear equations and sparse
    least squares. ACM Trans. Math. Softw. 8 (1982), stopping rules of section 6.
    """
    require_forward_operator(forward_op)
    images, residuals = (samples_of(x, getattr(forward_op, side, None))
                         for x, side in ((x0, "domain"), (data, "range")))
    for name, x, arithmetic, side in (
        ("data", data, residuals, "range"), ("x0", x0, images, "domain")
    ):
        require_start(name, x, arithmetic, getattr(forward_op, side, None), f"forward_op.{side}")
    if images.size != residuals.size:
        raise ValueError(f"data has {residuals.size} samples, expected {images.size} as x0.")
    accuracy = per_sample("accuracy", accuracy, images)
    require_count("maxiter", maxiter, 0)
    damp = _damping(damp, images)
    if not (is_finite_number(tau) and tau >= 1):
        raise ValueError(f"tau is {tau!r}; expected a finite number of at least 1, such as 1.1.")
    level = np.full(images.size, -np.inf) if noise_norm is None else tau * per_sample(
        "noise_norm", noise_norm, images, ": leave it out to go on to the accuracy")
    problem = _Problem(forward_op, data, damp, accuracy, level, images, residuals)

    def run(index, x, limit, whole):
        tell = None if callback is None else lambda x: callback(whole(x))
        return _bidiagonalize(problem.take(index), x, limit, tell)

    def measure(index, x):
        part = problem.take(index)
        size, damped = part.images.norm(part.gradient(x)), part.damp > 0
        bound = np.divide(size, part.damp**2, where=damped, out=np.full(damped.shape, np.inf))
        return (bound, np.where(damped, part.accuracy, np.inf), bound if damp.any() else None)

    return confirmed(images, images.scale(1.0, x0), maxiter, run, measure)


class _Problem:
    """The least squares problem of the running samples."""

    def __init__(self, forward_op, data, damp, accuracy, level, images, residuals):
        self.forward_op, self.adjoint, self.data = forward_op, forward_op.adjoint, data
        self.damp, self.accuracy, self.level = damp, accuracy, level
        self.images, self.residuals = images, residuals

    def take(self, index):
        """The problem of some of the samples."""
        return _Problem(restricted(self.forward_op, index), self.residuals.take(self.data, index),
                        self.damp[index], self.accuracy[index], self.level[index],
                        self.images.subset(index), self.residuals.subset(index))  # fmt: skip

    def gradient(self, x):
        """``A* (A x - y) + alpha x``."""
        return self.images.add(self.adjoint(self.forward_op(x) - self.data), self.damp**2, x)


# Golub-Kahan for the stacked operator (A, damp): x -> (A x, damp x) and the data (y, 0). Its left
# vectors are pairs (u, w) of data and image; its residual phibar contains damp |x|, which is taken
# out for the discrepancy principle. With the start zero, these are the iterates of the paper.
def _bidiagonalize(problem, x, limit, callback):
    X, Y = problem.images, problem.residuals
    active, k, damp = Active(X, x), 0, problem.damp
    x = X.scale(1.0, x)
    u, w = problem.data - problem.forward_op(x), X.scale(-damp, x)
    y_norm = Y.norm(problem.data)
    beta = np.hypot(Y.norm(u), X.norm(w))
    u, w = Y.shrink(_inverse(beta), u), X.shrink(_inverse(beta), w)
    v = X.add(problem.adjoint(u), damp, w)
    require_alike("forward_op.adjoint(data)", v, x)
    alfa = X.norm(v)
    v = X.shrink(_inverse(alfa), v)
    p = X.scale(1.0, v)
    phibar, rhobar, slope, total = beta, alfa, beta * alfa, alfa**2
    while active.index.size:
        done, noise = _reached(problem, x, phibar, slope, total, y_norm)
        if (done | noise | (k >= limit) | ~(slope < np.inf)).any():
            bad = ~np.isfinite(slope)
            if bad.any():
                raise DivergenceError(
                    f"lsqr fails: values{active.name(bad)} are not finite at iteration {k}. Check "
                    "forward_op and its adjoint."
                )
            reason = np.where(noise, "discrepancy", np.where(done, "accuracy", "maxiter"))
            rest = active.finish(done | noise | (k >= limit), x, k, reason)
            if not rest.size:
                break
            problem, limit = problem.take(rest), limit[rest]
            x, w, v, p = (X.take(a, rest) for a in (x, w, v, p))
            u = Y.take(u, rest)
            y_norm, alfa, phibar, rhobar, slope, total = (
                a[rest] for a in (y_norm, alfa, phibar, rhobar, slope, total))
            X, Y, damp = problem.images, problem.residuals, problem.damp
        damped = damp.any()
        Av = problem.forward_op(v)
        u = Y.blend(u, -alfa, Av)
        beta = Y.norm(u)
        if damped:
            w = X.increase(X.shrink(-alfa, w), damp, v)
            beta = np.hypot(beta, X.norm(w))
            w = X.shrink(_inverse(beta), w)
        u = Y.shrink(_inverse(beta), u)
        back = problem.adjoint(u)
        if k < 10:
            require_adjoint("lsqr", active, Y.inner(Av, u), X.inner(v, back), Y.norm(Av),
                            1e-5 * np.sqrt(total), k)  # fmt: skip
        v = X.blend(v, -beta, back)
        v = X.increase(v, damp, w) if damped else v
        alfa = X.norm(v)
        v = X.shrink(_inverse(alfa), v)
        total = total + alfa**2 + beta**2
        rho = np.hypot(rhobar, beta)
        c, s = rhobar / rho, beta / rho
        phi, phibar = c * phibar, s * phibar
        x = X.increase(x, phi / rho, p)
        p = X.blend(p, -s * alfa / rho, v)
        rhobar, slope, k = -c * alfa, phibar * alfa * np.abs(c), k + 1
        if callback is not None:
            callback(X.scale(1.0, active.whole(x)))
    solution = active.solution()
    return solution.x, *(np.atleast_1d(a) for a in (solution.niter, solution.reason))


def _reached(problem, x, phibar, slope, total, y_norm):
    """Where the accuracy is reached by the recurrence, and where the residual is noise."""
    damp, noisy = problem.damp, problem.level > -np.inf
    done = (slope <= damp**2 * problem.accuracy) | (slope == 0)
    if noisy.any() or not damp.all():
        x_norm, size = problem.images.norm(x), np.sqrt(total)
        estimated = (slope <= problem.accuracy * size * phibar) | (
            phibar <= problem.accuracy * (y_norm + size * x_norm))
        done = done | (damp == 0) & estimated
        residual = np.sqrt(np.maximum(phibar**2 - (damp * x_norm) ** 2, 0))
        noisy = residual <= problem.level
    return done, noisy


def _inverse(values):
    return np.divide(1.0, values, where=values > 0, out=np.zeros(np.shape(values)))


def _damping(damp, samples):
    if is_finite_number(damp) and damp == 0:
        return np.zeros(samples.size)
    if not isinstance(samples, Element) and np.ndim(damp) and np.all(np.asarray(damp) == 0):
        return np.zeros(samples.size)
    return per_sample("damp", damp, samples, "; leave it out for none")
