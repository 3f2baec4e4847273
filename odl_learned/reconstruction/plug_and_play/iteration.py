"""The loop of plug-and-play methods: a map of states to states and images, until samples stop."""

import math

import numpy as np

from odl_learned.reconstruction.plug_and_play.answers import Answer, Convergence
from odl_learned.reconstruction.plug_and_play.stopping import Below
from odl_learned.solvers import Discrepancy, DivergenceError
from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import restricted, samples_of
from odl_learned.solvers.checks import knows, per_sample, require_start
from odl_learned.validation import require_count, shown

#: Steps that are this many times as long as both the first one and the first image have left the
#: scale of the problem; so have those at the end, of this many times the shortest one.
GROWTH = 10.0


def iterate(name, method, x0, accuracy, maxiter, until, callback, guarantee):
    r"""Apply ``(z_{k+1}, u_{k+1}) = T(z_k)`` from ``z_0 = x_0`` until every sample has stopped.

    Parameters
    ----------
    name : str
    method : object
        ``method(z) -> (z, u)``, with ``f`` and ``g``, and ``take(index)``.
    x0, accuracy, maxiter, until, callback
        See `proximal_gradient`.
    guarantee : Guarantee

    Returns
    -------
    answer : Answer
    """
    require_count("maxiter", maxiter, 1)
    space = getattr(method.g, "domain", None)
    samples = samples_of(x0, space)
    require_start("x0", x0, samples, space, "g.domain")
    accuracy = np.zeros(samples.size) if accuracy is None else per_sample(
        "accuracy", accuracy, samples)
    active = Active(samples, x0)
    z = samples.scale(1.0, x0)
    first = scale = np.full(samples.size, math.inf)
    shortest = first
    for niter in range(1, maxiter + 1):
        z_next, image = method(z)
        step, size = samples.norm(samples.add(z_next, -1.0, z)), samples.norm(image)
        lost = ~np.isfinite(step) | ~np.isfinite(size)
        if niter == 1:
            first, scale = step, size
        shortest = np.fmin(shortest, step)
        lost |= step > GROWTH * np.maximum(first, scale)
        done = step <= accuracy * size
        reached = np.zeros_like(done) if until is None else until.reached(image)
        last = niter == maxiter
        if last:
            lost |= ~done & ~reached & (step > GROWTH * shortest)
        if isinstance(guarantee, Convergence):
            _require_shrinking(name, active, step, first, size, guarantee)
        end = lost | done | reached | last
        if end.any():
            reason = np.where(lost, "diverged", np.where(done, "accuracy", np.where(
                reached, _word(until), "maxiter")))  # fmt: skip
            gone = samples.scale(samples.number(np.where(lost, math.nan, 1.0)), image)
            rest = active.finish(end, gone, niter, reason, residual=step)
            if not rest.size:
                break
            z_next, image = samples.take(z_next, rest), samples.take(image, rest)
            first, scale, shortest, accuracy = (
                v[rest] for v in (first, scale, shortest, accuracy))
            method = method.take(rest)
            until = None if until is None else restricted(until, rest)
            samples = samples.subset(rest)
        z = z_next
        if callback is not None:
            callback(active.whole(image))
    solution = active.solution()
    return Answer(solution.x, guarantee, solution.niter, solution.reason, solution.residual)


def require_parts(name, f, what, g, until):
    """Raise unless f has ``what``, g a proximal, and ``until`` is a rule to stop by."""
    for functional, part, letter in ((f, what, "f"), (g, "proximal", "g")):
        if isinstance(functional, type) or not knows(functional, part):
            raise TypeError(
                f"{letter} is {shown(functional)} without {part}; {name} expects a data term f "
                f"with {what}, such as functionals.LeastSquares(A, y), and g with a proximal, such "
                "as bridge.ImplicitRegularizer(bridge.as_proximal(denoiser, space)).")
    if not (until is None or isinstance(until, Below | Discrepancy)):
        raise TypeError(f"until is {shown(until)}; expected plug_and_play.Below(energy, delta), a "
                        "solvers.Discrepancy, or None.")


def _word(until):
    return "below" if isinstance(until, Below) else "discrepancy"


# Steps of a nonexpansive map never grow. Proximals that are iterations are off by their accuracy,
# and the first steps may be as short as that; but what doubles the first step is no rounding.
def _require_shrinking(name, active, step, first, size, guarantee):
    grown = step > 2 * first + 1e-2 * size
    if grown.any():
        k = np.argmax(grown)
        raise DivergenceError(
            f"{name} has no proof of convergence: a step{active.name(grown)} is {step[k]:.4g} "
            f"long, the first was {first[k]:.4g}, but steps of nonexpansive maps never grow. Check "
            f"the claim ({guarantee.because}) and the gradient or proximal of the data term.")
