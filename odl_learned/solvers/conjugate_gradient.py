"""Conjugate gradients, preconditioned, that name operators they are not made for."""

import math
from collections.abc import Callable

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import per_sample, require_alike, require_start
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.stopping import confirmed
from odl_learned.solvers.types import Image, Numbers
from odl_learned.validation import require_count

#: The first so many iterations try whether the operator is what it should be.
TRIALS = 10


def conjugate_gradient(
    operator: Callable[[Image], Image],
    b: Image,
    x0: Image,
    accuracy: Numbers,
    maxiter: int,
    precondition: Callable[[Image], Image] | None = None,
    lower_bound: Numbers | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Solution[Image]:
    r"""Solve ``H x = b`` for a symmetric positive definite ``H``.

    .. math:: |x - \hat x| \le |b - H x| / \mu \le \text{accuracy} \qquad (H \ge \mu > 0).

    Needs about ``sqrt(kappa) / 2 log(2 / accuracy)`` iterations with the condition number ``kappa``
    of ``M^-1 H``. The residual that stops it is computed from ``x``, not by the recurrence.

    Parameters
    ----------
    operator : linear operator, or callable
        ``H``, symmetric in the inner product of the space; on complex spaces over the real numbers.
        For batches with ``take(index)``, unless it is the same for all samples.
    b : element or batch ``(B, ...)``
        Right-hand side.
    x0 : element or batch ``(B, ...)``
        Starting point, not changed.
    accuracy : float or array (B,)
        Distance to the solution to reach if ``lower_bound`` is known; otherwise size of the
        residual ``|b - H x|``. Positive.
    maxiter : int
        Largest number of iterations.
    precondition : callable, optional
        ``v -> M^-1 v``, symmetric positive definite, such as `circulant` and `cosine`.
    lower_bound : float or array (B,), optional
        ``mu > 0`` below the spectrum of ``H``, such as ``alpha`` for ``A* A + alpha``.
    callback : callable, optional
        Called with the iterate (the whole batch) after each iteration.

    Returns
    -------
    solution : Solution
        ``error_bound`` is ``|b - H x| / mu``, or None without a ``lower_bound``.

    Raises
    ------
    DivergenceError
        If the operator or the preconditioner turns out not to be symmetric and positive definite,
        ``lower_bound`` not to be one, or values are not finite.
    TypeError, ValueError
        If an argument is not what it should be.

    References
    ----------
    Hestenes, M. R. and Stiefel, E. Methods of conjugate gradients for solving linear systems.
    J. Res. Natl. Bur. Stand. 49 (1952).
    """
    domain, image = getattr(operator, "domain", None), getattr(operator, "range", None)
    if not callable(operator) or (domain is not None and image is not None and domain != image):
        raise TypeError(
            f"operator is {operator!r}; expected a symmetric positive definite one, such as A* A "
            "(A.adjoint * A) or a function v -> H v."
        )
    samples = samples_of(x0, domain)
    for name, x in (("x0", x0), ("b", b)):
        require_start(name, x, samples, getattr(operator, "domain", None), "operator.domain")
    if samples_of(b).size != samples.size:
        raise ValueError(f"b has {samples_of(b).size} samples, expected {samples.size} as x0.")
    accuracy = per_sample("accuracy", accuracy, samples)
    require_count("maxiter", maxiter, 0)
    mu = None if lower_bound is None else per_sample("lower_bound", lower_bound, samples)
    target = accuracy if mu is None else mu * accuracy
    system = System(operator, precondition, mu)

    def run(index, x, limit, whole):
        part, arithmetic = system.take(index), samples.subset(index)
        image = part.product(x)
        require_alike("operator(x0)", image, x)
        residual = samples.take(b, index) - image
        tell = None if callback is None else lambda x: callback(whole(x))
        return iterate(part, arithmetic.scale(1.0, x), residual, target[index], limit, arithmetic,
                       tell, "conjugate_gradient")  # fmt: skip

    def measure(index, x):
        arithmetic = samples.subset(index)
        size = arithmetic.norm(samples.take(b, index) - system.take(index).product(x))
        return size, target[index], None if mu is None else size / mu[index]

    return confirmed(samples, samples.scale(1.0, x0), maxiter, run, measure)


class System:
    """``H`` with ``M^-1`` and a lower bound of the spectrum, or None, restricted together."""

    def __init__(self, operator, precondition, mu):
        self.product, self.mu, self._pre = operator, mu, precondition
        self.precondition = (lambda v: v) if precondition is None else precondition

    def take(self, index):
        """The system of some of the samples."""
        mu = None if self.mu is None else self.mu[index]
        pre = None if self._pre is None else restricted(self._pre, index)
        return System(restricted(self.product, index), pre, mu)


def iterate(system, x, residual, target, limit, samples, callback, name, trials=TRIALS):
    """Conjugate gradients until the recurrence has ``|r| <= target`` or ``limit`` iterations.

    Parameters
    ----------
    system : object
        With ``product(v)``, ``precondition(v)``, ``take(index)`` and ``mu``, an array or None.
    x, residual : elements or batches
        Overwritten.
    target, limit : arrays, one number per sample
    samples : Element or Batch
    callback : callable or None
    name : str
        Of the solver, for messages.
    trials : int, optional
        The first so many iterations try the system.

    Returns
    -------
    x : element or batch
    niter, reason : arrays, one entry per sample
    """
    active, size, k = Active(samples, x), samples.norm(residual), 0
    p = previous = rho = None
    spectrum = length = np.zeros(samples.size)
    while active.index.size:
        if not ((size > target) & (size < np.inf) & (k < limit)).all():
            _require(np.isfinite(size), name, active, k, "the residual is not finite", size,
                     "Check the operator, its data and the preconditioner")  # fmt: skip
            done = size <= target
            rest = active.finish(done | (k >= limit), x, k, np.where(done, "accuracy", "maxiter"))
            if not rest.size:
                break
            x, residual = samples.take(x, rest), samples.take(residual, rest)
            size, target, limit, spectrum, length = (
                v[rest] for v in (size, target, limit, spectrum, length))
            if p is not None:
                p, rho = samples.take(p, rest), rho[rest]
            if previous is not None:
                previous = tuple(samples.take(v, rest) for v in previous)
            system, samples = system.take(rest), samples.subset(rest)
        z = system.precondition(residual)
        rho_next = samples.inner(residual, z) if z is not residual else size**2
        _require(rho_next > 0, name, active, k, "<r, M^-1 r> is {:.3g}, expected it positive",
                 rho_next, "Check that precondition is symmetric and positive definite")
        if p is None:
            p = samples.scale(1.0, z)
        elif previous is None:
            p = samples.blend(p, rho_next / rho, z)
        else:  # the direction before is compared with
            p = samples.add(z, rho_next / rho, p)
        Hp, rho = system.product(p), rho_next
        curvature = samples.inner(p, Hp)
        _require(curvature > 0, name, active, k, "<p, H p> is {:.3g}, expected it positive",
                 curvature, "Check that the operator is positive definite")
        if k < trials:
            spectrum, length = _try_system(system, p, Hp, curvature, previous, length, spectrum,
                                           samples, active, k, name)  # fmt: skip
            previous = (p, Hp) if k + 1 < trials else None
        x = samples.increase(x, rho / curvature, p)
        residual = samples.increase(residual, -rho / curvature, Hp)
        size, k = samples.norm(residual), k + 1
        if callback is not None:
            callback(samples.scale(1.0, active.whole(x)))
    solution = active.solution()
    return solution.x, *(np.atleast_1d(v) for v in (solution.niter, solution.reason))


# <p, H q> and <H p, q> of one symmetric H differ by rounding errors, a multiple of eps |H| |p| |q|.
# So does <p, H p> / <p, p> from the interval of the spectrum.
def _try_system(system, p, Hp, curvature, previous, before, spectrum, samples, active, k, name):
    length = samples.norm(p)
    spectrum = np.maximum(spectrum, samples.norm(Hp) / length)
    if system.mu is not None:
        rate = curvature / length**2
        _require(rate + 1e-5 * spectrum >= 0.999 * system.mu, name, active, k,
                 "lower_bound is too large: <p, H p> / <p, p> is {:.6g}", rate,
                 "Pass a smaller lower_bound")  # fmt: skip
    if previous is not None:
        q, Hq = previous
        difference = np.abs(samples.inner(p, Hq) - samples.inner(Hp, q))
        _require(difference <= 1e-3 * spectrum * length * before, name, active, k,
                 "<p, H q> and <H p, q> differ by {:.3g}", difference,
                 "Check that the operator is symmetric in the inner product of its space, as "
                 "A.adjoint * A is")  # fmt: skip
    return spectrum, length


def _require(holds, name, active, k, what, values, cure):
    if not holds.all():
        value = values[np.argmin(holds)]
        value = math.nan if value is None else value
        raise DivergenceError(
            f"{name} fails: {what.format(value)}{active.name(~holds)}, at iteration {k}. {cure}."
        )
