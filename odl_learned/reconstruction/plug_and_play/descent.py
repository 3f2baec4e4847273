"""Descent with a regularizer that has a gradient: plug and play with a nonincreasing objective."""

from collections.abc import Callable

import numpy as np

from odl_learned.functionals import precise_value
from odl_learned.reconstruction.plug_and_play.answers import Answer, Monotone
from odl_learned.reconstruction.plug_and_play.iteration import require_parts
from odl_learned.reconstruction.plug_and_play.stopping import Below
from odl_learned.solvers import Discrepancy
from odl_learned.solvers.arithmetic.active import Active
from odl_learned.solvers.arithmetic.samples import numbers_of, restricted, samples_of
from odl_learned.solvers.checks import knows, per_sample, require_start
from odl_learned.solvers.types import Image, Numbers, Proximable, Smooth
from odl_learned.validation import require_count, shown

#: Share of ``|x_+ - x|^2 / tau`` by which the objective has to fall, below one half, and the factor
#: of steps that are too long: gamma and eta of Hurault et al.
DECREASE, SHRINK = 0.1, 0.5


def descent(
    f: Proximable[Image],
    g: Smooth[Image],
    x0: Image,
    accuracy: Numbers | None,
    maxiter: int,
    tau: Numbers = 1.0,
    until: Below | Discrepancy | None = None,
    callback: Callable[[Image], object] | None = None,
) -> Answer[Image]:
    r"""Minimize a data term with a proximal and a smooth regularizer, which need not be convex.

    .. math:: x_{k+1} = \text{prox}_{\tau f} \big( x_k - \tau \nabla g(x_k) \big)
              \quad \text{with} \quad
              F(x_k) - F(x_{k+1}) \ge \tfrac{\gamma}{\tau} |x_{k+1} - x_k|^2,

    for ``F = f + g``; while this fails, tau is halved, for each sample by itself. So F never
    increases, which is checked at every step and asks nothing of g but a gradient. For a
    gradient-step denoiser, ``g = lambda / 2 |x - N(x)|^2``, a step with ``tau = 1 / lambda`` is the
    denoiser, and then the proximal of the data term: plug and play.

    Parameters
    ----------
    f : functional
        The data term, with values and ``f.proximal(tau)(x)``; convex.
    g : functional
        With values and ``g.gradient(x)``, such as `regularizers.gradient_step_functional` or a
        `regularizers.RidgeRegularizer`.
    x0, accuracy, maxiter, until, callback
        As for `proximal_gradient`.
    tau : float or array (B,), optional
        First step, positive.

    Returns
    -------
    answer : Answer
        With the objective; where F falls by less than rounding errors, ``"rounding"``.

    Raises
    ------
    TypeError, ValueError
        If a gradient, proximal or value is missing, or a number is out of bounds.

    Source: Hurault, Leclaire, Papadakis, Gradient step denoiser for convergent plug-and-play
    (2022), algorithm 1 and theorem 1.
    """
    if not knows(g, "gradient") or not callable(g):
        raise TypeError(f"g is {shown(g)}; descent expects a functional with a gradient, such as "
                        "regularizers.gradient_step_functional(denoiser, space).")
    require_parts("descent", f, "proximal", f, until)
    require_count("maxiter", maxiter, 1)
    space = getattr(g, "domain", None)
    samples = samples_of(x0, space)
    require_start("x0", x0, samples, space, "g.domain")
    tau = per_sample("tau", tau, samples)
    accuracy = np.zeros(samples.size) if accuracy is None else per_sample(
        "accuracy", accuracy, samples)
    run = _Run(f, g, samples)
    active = Active(samples, x0)
    x = samples.scale(1.0, x0)
    value = run.objective(x)
    for niter in range(1, maxiter + 1):
        x_next, next_value, tau, stuck = run.step(x, value, tau)
        step, size = samples.norm(samples.add(x_next, -1.0, x)), samples.norm(x_next)
        done = (step <= accuracy * size) & ~stuck
        reached = np.zeros_like(done) if until is None else until.reached(x_next)
        end = stuck | done | reached | (niter == maxiter)
        x, value = x_next, next_value
        if end.any():
            word = "below" if hasattr(until, "energy") else "discrepancy"
            reason = np.where(done, "accuracy", np.where(reached, word, np.where(
                stuck, "rounding", "maxiter")))  # fmt: skip
            rest = active.finish(end, x, niter, reason, residual=step, gap=value)
            if not rest.size:
                break
            x, value, tau, accuracy = samples.take(x, rest), value[rest], tau[rest], accuracy[rest]
            samples = samples.subset(rest)
            run = _Run(restricted(run.f, rest), restricted(run.g, rest), samples)
            until = None if until is None else restricted(until, rest)
        if callback is not None:
            callback(active.whole(x))
    solution = active.solution()
    return Answer(solution.x, Monotone("every step is shortened until f + g falls"),
                  solution.niter, solution.reason, solution.residual, solution.gap)  # fmt: skip


class _Run:
    """Objective and steps of the samples that run."""

    def __init__(self, f, g, samples):
        self.f, self.g, self.samples = f, g, samples

    def objective(self, x):
        return numbers_of(precise_value(self.f, x)) + numbers_of(precise_value(self.g, x))

    def step(self, x, value, tau):
        """The next point, its value, the steps taken, and where no step makes the value fall."""
        samples, eps = self.samples, self.samples.eps(x)
        slope = self.g.gradient(x)
        x_next = self._point(self, samples, x, slope, tau)
        next_value = self.objective(x_next)
        tau, stuck = tau.copy(), np.zeros(samples.size, dtype=bool)
        while True:
            moved = samples.norm(samples.add(x_next, -1.0, x)) ** 2
            wanted = DECREASE * moved / tau
            short = ~(value - next_value >= wanted) & ~stuck
            # A value is rounded by a few units of its size; a decrease below that cannot be seen.
            stuck |= short & (wanted <= 4 * eps * np.abs(value)) & np.isfinite(next_value)
            stuck |= short & (tau < 1e-30)
            short &= ~stuck
            if not short.any():
                break
            tau[short] *= SHRINK
            where = np.flatnonzero(short)
            part = _Run(restricted(self.f, where), restricted(self.g, where), samples.subset(where))
            point = self._point(part, part.samples, samples.take(x, where),
                                samples.take(slope, where), tau[where])  # fmt: skip
            next_value[where] = part.objective(point)
            x_next = samples.put(x_next, where, point)
        if stuck.any():  # they stay where they were
            where = np.flatnonzero(stuck)
            x_next = samples.put(x_next, where, samples.take(x, where))
            next_value[where] = value[where]
        return x_next, next_value, tau, stuck

    @staticmethod
    def _point(run, samples, x, slope, tau):
        tau = samples.number(tau)
        return run.f.proximal(tau)(samples.add(x, -tau, slope))
