r"""The primal-dual hybrid gradient method with a certificate, for elements and for batches."""

from collections.abc import Callable
from typing import Any

import numpy as np

from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import per_sample, require_adjoint
from odl_learned.solvers.nonsmooth.steps import AdaptiveSteps, StepRule
from odl_learned.solvers.solution import DivergenceError, Solution
from odl_learned.solvers.types import CertifiedProblem, Numbers, Point
from odl_learned.validation import require_count, shown


def primal_dual(
    problem: CertifiedProblem,
    x0: Point | None = None,
    accuracy: Numbers = 1e-4,
    maxiter: int = 10000,
    steps: StepRule | None = None,
    dual0: Point | None = None,
    callback: Callable[[Any], object] | None = None,
) -> Solution:
    r"""Minimize ``f(x) + g(L x)`` up to a relative duality gap.

    .. math:: x_{k+1} = \text{prox}_{\tau f}(x_k - \tau L^* y_k), \qquad
              y_{k+1} = \text{prox}_{\sigma g^*}
              (y_k + \sigma L (x_{k+1} + \theta (x_{k+1} - x_k))),

    until ``problem.gap(x, y) <= accuracy |problem.value(x)|``, both finite: then the value is at
    most ``accuracy`` times itself above the minimum. The gap is looked at after iterations 10, 20,
    ..., 200, 250, 300, ...; where the value at an iterate is infinite, at a feasible point near it,
    which then is the solution (`variational.Problem.certificate`).

    Parameters
    ----------
    problem : variational.Problem, or its twin ``bridge.as_batch(problem)``
        Or any object with ``f``, ``g``, ``L``, ``certificate(x, y)``, ``step_sizes(ratio)``,
        ``operator_norm`` and ``strong_convexity``. Every sample of a batch stops by itself. A
        problem whose gap does not tend to zero, see `variational.Problem.gap`, runs to ``maxiter``.
    x0 : element of ``L.domain`` or batch, optional
        Starting point, not changed. Default: zero.
    accuracy : float or array, optional
        Relative gap to reach, positive; one per sample, or one for all.
    maxiter : int, optional
        Largest number of iterations.
    steps : FixedSteps, AdaptiveSteps, Accelerated or LinearRate, optional
        How steps are chosen. Default: ``AdaptiveSteps()``.
    dual0 : element of ``L.range`` or batch, optional
        Dual starting point, such as the ``dual`` of an earlier solution. Default: zero.
    callback : callable, optional
        Called with the iterate, of the samples that still run, after each iteration.

    Returns
    -------
    solution : Solution
        With ``dual`` and ``gap``; ``error_bound`` is ``sqrt(2 gap / mu)`` where the objective is
        strongly convex with ``mu = problem.strong_convexity > 0``, else None. An infinite gap
        certifies nothing; the reason then is ``"maxiter"``. ``"rounding"``: at least half of the
        gap allows for rounding errors, so that more iterations do not make it much smaller.

    Raises
    ------
    DivergenceError
        If ``tau sigma |L|^2 > 1``, ``L.adjoint`` is not the adjoint, or values are not finite.
    TypeError
        If a starting point does not belong to its space.
    ValueError
        If a number is out of bounds, or a starting point is needed or not finite.

    References
    ----------
    Chambolle, A. and Pock, T. An introduction to continuous optimization for imaging. Acta Numerica
    25 (2016), algorithm 6, and the references of the step rules.
    """
    if isinstance(problem, type) or not hasattr(problem, "certificate"):
        given = shown(problem) if isinstance(problem, type) else f"a {type(problem).__name__}"
        raise TypeError(
            f"problem is {given}; expected a variational.Problem, such as "
            "tv_problem(...) or Problem(f, g, L), or its twin bridge.as_batch(problem)."
        )
    if isinstance(steps, type) or not (steps is None or hasattr(steps, "start")):
        raise TypeError(
            f"steps is {steps!r}; expected a rule such as AdaptiveSteps(), FixedSteps(), "
            "Accelerated(strong_convexity) or LinearRate(primal, dual)."
        )
    L = problem.L
    x = L.domain.zero() if x0 is None else _checked("x0", x0, L.domain, "domain")
    samples = samples_of(x, L.domain)
    if dual0 is None:
        y = samples.scale(0.0, L(x))
    else:
        y = _checked("dual0", dual0, L.range, "range")
    dual_samples = samples_of(y, L.range)
    if dual_samples.size != samples.size:
        raise ValueError(
            f"dual0 has {dual_samples.size} samples, expected {samples.size}, those of x0."
        )
    _require_finite(samples, x, "x0")
    _require_finite(dual_samples, y, "dual0")
    accuracy = per_sample("accuracy", accuracy, samples)
    require_count("maxiter", maxiter, 0)
    rule = (AdaptiveSteps() if steps is None else steps).start(problem, samples)

    active = Active(samples, x)
    L, primal_map, dual_map = _parts(problem, samples)
    image, back = L(x), L.adjoint(y)
    for niter in range(maxiter + 1):
        if niter == maxiter or _is_checked(niter):
            _require_adjoint(problem, active, niter, samples, dual_samples, (x, image), (y, back))
            image = None  # a certificate needs its memory
            answer, value, gap, rounding = problem.certificate(x, y)
            _require_no_nan(value, niter)
            finite = np.isfinite(value) & np.isfinite(gap)
            reached = finite & (gap <= accuracy[active.index] * np.abs(value))
            stuck = finite & ~reached & (gap <= 2 * rounding)
            if reached.any() or stuck.any() or niter == maxiter:
                reason = np.where(reached, "accuracy", np.where(stuck, "rounding", "maxiter"))
                rest = active.finish(
                    reached | stuck | (niter == maxiter), answer, niter, reason, gap=gap, dual=y,
                    error_bound=_error_bound(gap, problem.strong_convexity))  # fmt: skip
                if not len(rest):
                    break
                x, back, y = (s.take(v, rest) for s, v in (
                    (samples, x), (samples, back), (dual_samples, y)))
                samples, dual_samples = samples.subset(rest), dual_samples.subset(rest)
                problem, rule = restricted(problem, rest), rule.take(rest)
                L, primal_map, dual_map = _parts(problem, samples)
            image = L(x)

        # What is no longer needed goes at once.
        x_next = primal_map(rule.tau, samples.add(x, -rule.tau, back))
        rule.advance()
        before, image = image, L(x_next)
        target = dual_samples.reach(y, rule.sigma, image, rule.theta, before)
        if not (niter < 10 or rule.needs_residuals):
            before = None
        y_next = dual_map(rule.sigma, target)
        del target
        back_next = L.adjoint(y_next)
        if niter < 10:
            _require_adjoint(problem, active, niter + 1, samples, dual_samples,
                             (x_next, image), (y_next, back_next))  # fmt: skip
            # In steps shorter than this, L (x_next - x) may be no more than rounding errors.
            shortest = 1e3 * samples.eps(x) * samples.norm(x_next)
            _require_convergence(samples.norm(samples.difference(x_next, x)),
                                 dual_samples.norm(dual_samples.difference(image, before)),
                                 shortest, rule, niter + 1)  # fmt: skip
        if rule.needs_residuals:
            primal = samples.norm(samples.lack(x_next, 1 / rule.tau, x, back_next, back))
        x, back = x_next, back_next
        del x_next, back_next
        if rule.needs_residuals:
            dual = dual_samples.norm(dual_samples.lack(y_next, 1 / rule.sigma, y, image, before))
            rule.observe(primal, dual)
        y = y_next
        del y_next, before
        if callback is not None:
            callback(x)
    return active.solution()


class _Proximal:
    """``(sigma, x) -> prox_{sigma f}(x)``, made anew where the steps have changed."""

    def __init__(self, functional, samples):
        self.functional, self.samples, self.steps = functional, samples, None

    def __call__(self, steps, x):
        if self.steps is None or not np.array_equal(steps, self.steps):
            self.apply = self.functional.proximal(self.samples.number(steps))
            self.steps = steps.copy()
        return self.apply(x)


def _parts(problem, samples):
    return (problem.L, _Proximal(problem.f, samples), _Proximal(problem.g.convex_conj, samples))


def _is_checked(niter):
    return niter > 0 and niter % (10 if niter <= 200 else 50) == 0


def _error_bound(gap, mu):
    """``sqrt(2 gap / mu)``, or None without strong convexity."""
    return np.sqrt(2 * gap / mu) if np.all(np.asarray(mu) > 0) else None


def _checked(name, x, space, side):
    if x not in space:
        raise TypeError(
            f"{name} is not an element of L.{side}, {space!r}; pass an element of it, or for a "
            "batched problem a tensor of shape (B, ...) of its dtype."
        )
    return x


def _require_finite(samples, x, name):
    if not np.all(np.isfinite(samples.norm(x))):
        raise ValueError(f"{name} contains NaN or infinite values; expected finite numbers "
                         "only. Find them with numpy.isfinite and replace them first.")


@np.errstate(over="ignore", invalid="ignore")
def _require_adjoint(problem, active, niter, samples, dual_samples, primal, dual):
    (x, image), (y, back) = primal, dual
    length = dual_samples.norm(y)
    require_adjoint(
        "primal_dual", active, dual_samples.inner(image, y), samples.inner(x, back),
        dual_samples.norm(image) * length,
        1e-5 * problem.operator_norm * samples.norm(x) * length, niter, "L")  # fmt: skip


def _require_convergence(step, change, shortest, rule, niter):
    """Raise if values are not finite, or a step proves that ``tau sigma |L|^2 > 1``."""
    _require_no_nan(step + change, niter)
    rate = np.where(step > shortest, change / np.where(step > 0, step, 1.0), 0.0)
    product = rule.tau * rule.sigma * rate**2
    if np.any(product > 1 + 1e-2):
        k = np.argmax(product)
        raise DivergenceError(
            f"primal_dual may diverge: tau sigma |L|^2 is at least {product[k]:.3g} at iteration "
            f"{niter}, expected at most one, since |L| is at least {rate[k]:.6g}. Steps rely on "
            "problem.operator_norm: pass Problem(..., norm=...) a bound that holds, or, if the "
            "norm was computed, check that L is linear and L.adjoint its adjoint."
        )


def _require_no_nan(values, niter):
    if np.any(np.isnan(values)):
        raise DivergenceError(
            f"primal_dual diverges: values are not finite at iteration {niter}. Check that L and "
            "the proximals yield finite values."
        )
